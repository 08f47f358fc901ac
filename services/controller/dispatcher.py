"""The controller's thread that keeps searches moving: expired leases, queued searches, runners that died."""

import threading
from datetime import UTC, datetime

import structlog

from services.controller.launcher import Launcher, RunnerExit
from services.errors import LeaseLostError, NotFoundError, ServiceError
from services.lifecycle import JobKind, JobState
from services.store import JobRecord, Store

log = structlog.get_logger(__name__)


class Dispatcher:
    """Looks at the store every `poll_seconds`; what it remembers beyond that it can do without.

    A controller that is killed and started again therefore goes on where it was: a search whose runner
    lives is running under a lease, any other is queued, or will be once its lease has run out.
    """

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        *,
        poll_seconds: float,
        max_running_searches: int,
        max_attempts: int,
    ) -> None:
        self._store, self._launcher = store, launcher
        self._poll_seconds = poll_seconds
        self._max_running, self._max_attempts = max_running_searches, max_attempts
        self._early_deaths: dict[str, int] = {}  # runners of a search that died before they could claim it
        self._last_words: dict[str, str] = {}  # the log tail of a search's last runner that died
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start looking, at once and then every `poll_seconds`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, then end the launcher's runners; both take a bounded time."""
        self._stopping.set()
        self._thread.join()
        self._launcher.shutdown()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except (ServiceError, OSError) as error:
                log.warning("database or cluster are away", error=str(error))
            except Exception:  # a defect, but one that should not end all other searches
                log.exception("dispatching failed")
            self._stopping.wait(self._poll_seconds)

    def step(self) -> None:
        """One look: take back what nobody holds, note which runners ended, launch what is queued."""
        for job in self._store.requeue_expired():
            log.warning(
                "lease expired, back in the queue", job=job.id, kind=job.kind.value, attempts=job.attempts
            )
        for runner_exit in self._launcher.reap():
            self._note(runner_exit)
        running = {job.id for job in self._searches(JobState.RUNNING)} | self._launcher.active()
        waiting = self._launchable() if len(running) < self._max_running else []
        for job in waiting:
            if job.attempts + self._early_deaths.get(job.id, 0) >= self._max_attempts:
                self._fail(job)
            elif len(running) < self._max_running:
                self._launcher.launch(job.id)
                running.add(job.id)

    def _note(self, runner_exit: RunnerExit) -> None:
        search_id = runner_exit.search_id
        log.info("runner ended", search=search_id, exit_code=runner_exit.exit_code)
        try:
            job = self._store.get_job(search_id, JobKind.SEARCH)
        except NotFoundError:  # deleted meanwhile
            return self._forget(search_id)
        if runner_exit.exit_code == 0 or job.state.terminal:
            return self._forget(search_id)
        self._last_words[search_id] = runner_exit.log_tail
        if job.state is JobState.QUEUED:  # it never claimed the search; other deaths the store counts
            self._early_deaths[search_id] = self._early_deaths.get(search_id, 0) + 1
        return None

    def _launchable(self) -> list[JobRecord]:
        """Queued searches, oldest first, without those that an earlier runner is still letting go of."""
        now, active = datetime.now(UTC), self._launcher.active()
        return [
            job
            for job in reversed(self._searches(JobState.QUEUED))
            if job.id not in active and (job.lease_expires_at is None or job.lease_expires_at <= now)
        ]

    def _searches(self, state: JobState) -> list[JobRecord]:
        """All searches in a state, newest first."""
        searches: list[JobRecord] = []
        cursor = None
        while True:
            page = self._store.list_jobs(JobKind.SEARCH, state=state, limit=200, cursor=cursor)
            searches += page.items
            cursor = page.next_cursor
            if cursor is None:
                return searches

    def _fail(self, job: JobRecord) -> None:
        owner = "dispatcher"
        if self._store.claim(JobKind.SEARCH, owner, lease_seconds=60, job_id=job.id) is None:
            return  # someone else has it after all
        last_words = self._last_words.get(job.id, "nothing that is known here; look into the runners' logs")
        problem = {
            "type": "urn:gtn-nas:problem:runner-died",
            "title": "The search's runners keep dying",
            "detail": f"{self._max_attempts} runners in a row died without a finished candidate. "
            f"The last one said:\n{last_words}",
            "instance": job.id,
        }
        try:
            self._store.finish(job.id, owner, error=problem)
        except LeaseLostError:
            log.warning("search changed hands while it was being failed", search=job.id)
        self._forget(job.id)

    def _forget(self, search_id: str) -> None:
        self._early_deaths.pop(search_id, None)
        self._last_words.pop(search_id, None)
