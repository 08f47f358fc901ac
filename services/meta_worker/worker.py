"""The worker's loop: claim the job whose turn it is, run it under its lease, again."""

from collections.abc import Callable
from pathlib import Path

import structlog

from nas.slot import release_memory
from services.dispatch.silent_runners import SilentRunners
from services.errors import ConflictError, ServiceError, StoreUnavailableError
from services.execution import Ending, execute, find_job
from services.lease import Lease, new_owner
from services.lifecycle import JobKind
from services.meta_worker.fidelity_job import run_fidelity_report
from services.meta_worker.final_training_job import run_final_training
from services.meta_worker.job_state import discard_ended, state_folder
from services.meta_worker.meta_training_job import run_meta_training
from services.settings import Settings
from services.shutdown import Shutdown
from services.store import JobRecord, JsonObject
from services.wiring import Backend, make_backend

RunJob = Callable[[Lease, Backend, Path], JsonObject]
"""Runs the job that the lease holds and returns its result; what resumes it goes into the folder."""

KINDS: dict[JobKind, RunJob] = {
    JobKind.META_TRAINING: run_meta_training,
    JobKind.FINAL_TRAINING: run_final_training,
    JobKind.FIDELITY_REPORT: run_fidelity_report,
}

log = structlog.get_logger(__name__)


class Worker:
    """Works on one job at a time. Several workers, on one machine or many, share the queue."""

    def __init__(self, settings: Settings, shutdown: Shutdown) -> None:
        """Raises StoreUnavailableError or SchemaMismatchError when the database cannot be used."""
        self._settings, self._shutdown = settings, shutdown
        self._backend = make_backend(settings)
        self._store = self._backend.store
        self._silent_runners = SilentRunners(self._store)

    def run(self) -> None:
        """Work until the shutdown is requested; a job in hand is then saved and given back.

        Raises ServiceError once the process can use its GPU no more, which then goes on in a new one.
        """
        log.info("worker started", database=str(self._store))
        self._discard_ended()
        while not self._shutdown.requested:
            try:
                ending = self.work_once()
            except StoreUnavailableError as error:
                log.warning("waiting for the database", error=str(error))
                ending = None
            if ending is Ending.UNUSABLE:
                raise ServiceError("the device of this worker answers no more: it has to be started again")
            if ending in {None, Ending.ABANDONED}:
                self._shutdown.wait(self._settings.poll_seconds)
        log.info("worker ended")

    def work_once(self) -> Ending | None:
        """Claim the job whose turn it is, of any kind, and run it; None when there is none to claim."""
        self._silent_runners.requeue()
        turn = self._store.next_queued(KINDS)
        if turn is None:
            return None
        owner = new_owner("meta-worker")
        job = self._store.claim(turn.kind, owner, self._settings.lease_seconds)
        if job is None:
            return None
        with structlog.contextvars.bound_contextvars(job=job.id):
            return self._work_on(job, owner, KINDS[job.kind])

    def work_on(self, job_id: str) -> Ending | None:
        """Claim this job and run it; None when it cannot be claimed. Raises ServiceError."""
        owner, kind = new_owner("meta-worker"), find_job(self._store, job_id).kind
        if kind not in KINDS:
            raise ServiceError(f"job {job_id} is a {kind.value}, which is not run here")
        job = self._store.claim(kind, owner, self._settings.lease_seconds, job_id=job_id)
        if job is None:
            log.info("nothing to do: the job is not queued, or another worker has it", job=job_id)
            return None
        with structlog.contextvars.bound_contextvars(job=job.id):
            return self._work_on(job, owner, KINDS[job.kind])

    def _work_on(self, job: JobRecord, owner: str, run_job: RunJob) -> Ending:
        log.info("job claimed", kind=job.kind.value, attempt=job.attempts)

        def work(lease: Lease) -> JsonObject:
            if job.attempts > self._settings.max_attempts:
                raise ServiceError(
                    f"{job.attempts - 1} workers died on this job without any progress; "
                    "their logs, and the memory of their machines, may tell why"
                )
            return run_job(lease, self._backend, state_folder(self._settings.data_dir, job.kind, job.id))

        ending = execute(self._store, job, owner, self._settings.lease_seconds, self._shutdown, work)
        if ending is not Ending.UNUSABLE:
            release_memory("cuda")  # what is kept for a next job, searches on the machine could not have
        self._discard_ended()
        return ending

    def _discard_ended(self) -> None:
        try:
            discard_ended(self._settings.data_dir, self._store, list(KINDS))
        except StoreUnavailableError:  # another time
            return
        except (ConflictError, OSError) as error:
            log.warning("states of ended jobs not discarded", reason=str(error))
