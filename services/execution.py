"""One claimed job up to its end: what its runner did decides what the store is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from pydantic import ValidationError

from gtn_core.errors import GtnNasError
from nas.device_errors import WorkerUnusable, breaks_the_process
from services.errors import (
    ArtifactsUnavailableError,
    ClusterUnavailableError,
    InvalidValueError,
    LeaseLostError,
    NotFoundError,
    ServiceError,
    StoreUnavailableError,
    is_disk_full,
    problem_urn,
)
from services.lease import JobInterrupted, Lease
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject, Store
from services.store.json_values import storable
from services.telemetry import traced_job

log = structlog.get_logger(__name__)


class Ending(StrEnum):
    """How a runner's work on a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LET_GO = "let go"  # paused, cancelled, extended, or this process was asked to end
    LEASE_LOST = "lease lost"  # another runner has it, or it was deleted
    UNUSABLE = "unusable"  # this process's device answers no more: another process has to go on
    ABANDONED = "abandoned"  # database, cluster or room on the disk are away: a runner tries again later


def find_job(store: Store, job_id: str) -> JobRecord:
    """The job that this process was started for.

    Raises ServiceError when the database does not know it: several services may share a cluster by mistake.
    """
    try:
        return store.get_job(job_id)
    except NotFoundError as error:
        raise ServiceError(
            f"{error} in the database {store}: it was deleted, or this runner's controller uses another one; "
            "GTN_NAS_DATABASE_URL must name the same database on the controller and on every node of its "
            "Ray cluster"
        ) from error


@traced_job
def execute(
    store: Store,
    job: JobRecord,
    owner: str,
    lease_seconds: float,
    shutdown: Shutdown,
    work: Callable[[Lease], JsonObject],
) -> Ending:
    """Run `work` on a job that `owner` has just claimed, under its lease, and record how it ended.

    `work` returns the job's result and leaves by `Lease.raise_if_stopped` when it should stop. What else it
    raises is the job's error, except that a database, an artifact store or a cluster which is away is no
    fault of the job, and neither is a full disk: days of training are not thrown away for it.
    A database that is away at the end is waited for as long as the lease lasts.
    """
    with Lease(store, job, owner, lease_seconds, shutdown) as lease:
        outcome = _attempt(work, lease)
    try:
        if outcome.ending in {Ending.SUCCEEDED, Ending.FAILED}:
            try:
                left = _finish(store, job, owner, lease, outcome)
            except InvalidValueError as error:  # a result that cannot be stored, such as NaN
                outcome = _Outcome(Ending.FAILED, error=_problem(error, job.id, True), reason=str(error))
                left = _finish(store, job, owner, lease, outcome)
            if not left.state.terminal:
                outcome = _Outcome(Ending.LET_GO, reason=f"meanwhile paused or extended: {left.state}")
        elif outcome.ending is Ending.LET_GO:
            lease.insist(lambda: store.release(job.id, owner))
        elif outcome.waiting_for is not None:
            waiting_for = outcome.waiting_for
            lease.insist(lambda: store.excuse(job.id, owner, waiting_for))
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
    waiting_for: str | None = None  # what was away: the attempt then counts as none


def _finish(store: Store, job: JobRecord, owner: str, lease: Lease, outcome: _Outcome) -> JobRecord:
    ended = {"result": outcome.result, "error": outcome.error, "request": job.request}
    return lease.insist(lambda: store.finish(job.id, owner, **ended))


def _attempt(work: Callable[[Lease], JsonObject], lease: Lease) -> _Outcome:
    try:
        return _Outcome(Ending.SUCCEEDED, result=work(lease))
    except JobInterrupted as interruption:
        return _Outcome(Ending.LET_GO, reason=str(interruption))
    except LeaseLostError as error:
        return _Outcome(Ending.LEASE_LOST, reason=str(error))
    except ArtifactsUnavailableError as error:
        return _Outcome(Ending.ABANDONED, reason=str(error), waiting_for=f"the artifacts: {error}")
    except StoreUnavailableError as error:
        return _Outcome(Ending.ABANDONED, reason=str(error))
    except ClusterUnavailableError as error:
        waiting_for = None if error.is_local else f"the cluster: {error}"
        return _Outcome(Ending.ABANDONED, reason=str(error), waiting_for=waiting_for)
    except Exception as error:
        if isinstance(error, WorkerUnusable) or breaks_the_process(error):
            return _Outcome(Ending.UNUSABLE, reason=str(error))
        if is_disk_full(error):
            return _Outcome(Ending.ABANDONED, reason=str(error), waiting_for=f"room on the disk: {error}")
        expected = isinstance(error, GtnNasError | ValidationError)
        log.error("job failed", job=lease.job.id, error=str(error), exc_info=not expected)
        return _Outcome(
            Ending.FAILED,
            result=lease.result_of_failure,
            error=_problem(error, lease.job.id, expected),
            reason=str(error),
        )


def _problem(error: Exception, job_id: str, expected: bool) -> JsonObject:
    title = type(error).__name__
    problem = {
        "type": problem_urn(_slug(title) if expected else "internal"),
        "title": title,
        "instance": job_id,
    }
    if not expected:
        remedy = "This is a defect or a broken machine: the runner's log has the traceback."
        return problem | {"detail": storable(str(error)), "remedy": remedy}
    if isinstance(error, ValidationError) and (unknown := _unknown_options(error)):
        detail = f"this version of gtn-nas does not know {', '.join(unknown)}, which the job's request has"
        remedy = "A later version of gtn-nas, or of a plugin, made the job: resume it there."
        return problem | {"detail": storable(detail), "remedy": remedy}
    if isinstance(error, GtnNasError) and error.remedy:
        return problem | {"detail": storable(error.detail), "remedy": storable(error.remedy)}
    return problem | {"detail": storable(str(error))}


def _unknown_options(error: ValidationError) -> list[str]:
    """Requests were checked when they came, by a version that knew all that is in them."""
    return [
        ".".join(map(str, each["loc"]))
        for each in error.errors(include_url=False)
        if each["type"] == "extra_forbidden"
    ]


def _slug(name: str) -> str:
    """Of a class of errors: `memory-limit` of MemoryLimitError."""
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "-", name.removesuffix("Error")).lower()
