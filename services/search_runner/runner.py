"""Running one search: claim it, load what it refers to, evaluate candidates on Ray, record how it ended."""

import structlog

from nas.estimators import estimator_data
from services.checkpoints import load_checkpoint, load_checkpoint_data
from services.execution import Ending, execute, find_job
from services.lease import Lease, new_owner
from services.lifecycle import JobKind
from services.ray_session import ray_session
from services.schemas.requests import SearchRequest
from services.search_runner.replay import rebuild_search
from services.search_runner.store_observer import StoreObserver
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import JsonObject
from services.wiring import Backend, make_backend

log = structlog.get_logger(__name__)


def run_search(search_id: str, settings: Settings, shutdown: Shutdown) -> Ending | None:
    """Claim the search and run it; None when it cannot be claimed: it is not queued, or someone else has it.

    Candidates that an earlier runner finished are told to the algorithm again, those that it had in flight
    are evaluated first. Raises StoreUnavailableError when the database cannot be reached for the claim,
    SchemaMismatchError when it is of another version, ServiceError when it has no such search.
    """
    structlog.contextvars.bind_contextvars(search=search_id)
    backend = make_backend(settings)
    owner = new_owner("search-runner")
    job = backend.store.claim(JobKind.SEARCH, owner, settings.lease_seconds, job_id=search_id)
    if job is None:
        find_job(backend.store, search_id)
        log.info("nothing to do: the search is not queued, or another runner has it")
        return None

    def work(lease: Lease) -> JsonObject:
        return _evaluate_candidates(lease, backend)

    return execute(backend.store, job, owner, settings.lease_seconds, shutdown, work)


def _evaluate_candidates(lease: Lease, backend: Backend) -> JsonObject:
    request = SearchRequest.model_validate(lease.job.request)
    checkpoint = load_checkpoint(backend.artifacts, request.checkpoint_id)
    splits = load_checkpoint_data(checkpoint, backend.settings)
    search = lease.insist(lambda: rebuild_search(backend.store, lease.job.id, request, checkpoint.manifest))
    data = estimator_data(checkpoint.synthesize(), splits)
    log.info("search rebuilt", done=lease.job.progress_done, total=lease.job.progress_total)
    lease.raise_if_stopped()
    if not search.finished:
        with ray_session(backend.settings.ray_address) as scratch:
            from services.search_runner.engines import engine_for, room_watch

            engine = engine_for(backend.settings, search.spec, room_watch(lease, backend), scratch)
            engine.run(search, data, StoreObserver(backend.store, lease))
    if not search.finished:
        lease.raise_if_stopped()
    return {
        "exhausted": search.exhausted,
        "timed_out": not search.finished,
        "left_out": list(search.left_out),
    }
