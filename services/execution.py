"""One claimed job up to its end: what its runner did decides what the store is told."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from pydantic import ValidationError

from gtn_core.errors import GtnNasError
from services.errors import ClusterUnavailableError, LeaseLostError, StoreUnavailableError
from services.lease import JobInterrupted, Lease
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject, Store

log = structlog.get_logger(__name__)


class Ending(StrEnum):
    """How a runner's work on a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LET_GO = "let go"  # paused, cancelled, or this process was asked to end
    LEASE_LOST = "lease lost"  # another runner has it, or it was deleted
    ABANDONED = "abandoned"  # database or cluster are away: the lease runs out, and a runner tries again


def execute(
    store: Store,
    job: JobRecord,
    owner: str,
    lease_seconds: float,
    shutdown: Shutdown,
    work: Callable[[Lease], JsonObject],
) -> Ending:
    """Run `work` on a job that `owner` has just claimed, under its lease, and record how it ended.

    `work` returns the job's result and leaves by `Lease.raise_if_stopped` when it should stop. What else
    it raises is the job's error, except that a database or a cluster which is away is no fault of the job.
    """
    with Lease(store, job, owner, lease_seconds, shutdown) as lease:
        outcome = _attempt(work, lease)
    try:
        if outcome.ending in {Ending.SUCCEEDED, Ending.FAILED}:
            store.finish(job.id, owner, result=outcome.result, error=outcome.error)
        elif outcome.ending is Ending.LET_GO:
            store.release(job.id, owner)
    except LeaseLostError as error:
        outcome = _Outcome(Ending.LEASE_LOST, reason=str(error))
    except StoreUnavailableError as error:
        outcome = _Outcome(Ending.ABANDONED, reason=str(error))
    log.info(
        "job ended here", job=job.id, kind=job.kind.value, ending=outcome.ending.value, reason=outcome.reason
    )
    return outcome.ending


@dataclass(frozen=True, slots=True)
class _Outcome:
    ending: Ending
    result: JsonObject | None = None
    error: JsonObject | None = None
    reason: str | None = None


def _attempt(work: Callable[[Lease], JsonObject], lease: Lease) -> _Outcome:
    try:
        return _Outcome(Ending.SUCCEEDED, result=work(lease))
    except JobInterrupted as interruption:
        return _Outcome(Ending.LET_GO, reason=str(interruption))
    except LeaseLostError as error:
        return _Outcome(Ending.LEASE_LOST, reason=str(error))
    except (StoreUnavailableError, ClusterUnavailableError) as error:
        return _Outcome(Ending.ABANDONED, reason=str(error))
    except Exception as error:
        expected = isinstance(error, GtnNasError | ValidationError)
        log.error("job failed", job=lease.job.id, error=str(error), exc_info=not expected)
        return _Outcome(Ending.FAILED, error=_problem(error, lease.job.id, expected), reason=str(error))


def _problem(error: Exception, job_id: str, expected: bool) -> JsonObject:
    problem = {"title": type(error).__name__, "detail": str(error), "instance": job_id}
    if not expected:
        problem["remedy"] = "This is a defect or a broken machine: the runner's log has the traceback."
    return problem
