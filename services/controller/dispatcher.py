"""The controller's thread that keeps searches moving: expired leases, queued searches, runners that died."""

import threading
import time
from collections.abc import Callable

import structlog

from services.controller.launcher import Launcher, RunnerExit
from services.errors import LeaseLostError, NotFoundError, ServiceError
from services.execution import Ending
from services.lease import owner_prefix
from services.lifecycle import JobKind, JobState
from services.search_runner.exit_codes import EXIT_CODES
from services.store import JobRecord, Store

LETTING_GO_SECONDS = 15.0
"""How long a runner may live on after its search was taken from it, or is no longer to run."""

STARTING_SECONDS = 120.0
"""How long a runner may take to claim its search: mostly the import of PyTorch on a busy machine."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Looks at the store every `poll_seconds`; what it remembers beyond that it can do without.

    A controller that is killed and started again therefore goes on where it was: a search whose runner
    lives is running under a lease, any other is queued, or will be once its lease has run out. Runners of
    a controller that was killed are adopted by the launcher; one that hangs is killed before its search is
    given to another, so that two never work on one search.
    """

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        *,
        poll_seconds: float,
        max_running_searches: int,
        max_attempts: int,
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._launcher = store, launcher
        self._poll_seconds = poll_seconds
        self._max_running, self._max_attempts = max_running_searches, max_attempts
        self._housekeeping = housekeeping
        self._early_deaths: dict[str, int] = {}  # runners of a search that died before they could claim it
        self._last_words: dict[str, str] = {}  # the log tail of a search's last runner that died
        self._has_held: set[str] = set()  # searches whose present runner was seen with the lease
        self._idle_since: dict[str, float] = {}  # searches whose present runner was seen without business
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
                self._housekeeping()
            except (ServiceError, OSError) as error:
                log.warning("database or cluster are away", error=str(error))
            except Exception:  # a defect, but one that should not end all other searches
                log.exception("dispatching failed")
            self._stopping.wait(self._poll_seconds)

    def step(self) -> None:
        """One look: take back what nobody holds, note which runners ended, end idle ones, launch others."""
        for job in self._store.requeue_expired():
            log.warning(
                "lease expired, back in the queue", job=job.id, kind=job.kind.value, attempts=job.attempts
            )
        for runner_exit in self._launcher.reap():
            self._note(runner_exit)
        for search_id in self._launcher.active():
            if self._is_useless(search_id):
                log.warning("runner has no business and does not end; killing it", search=search_id)
                self._launcher.end(search_id)
        self._launch_waiting()

    def _launch_waiting(self) -> None:
        """Give the free places to the searches whose turn it is."""
        places_taken = self._running() | self._launcher.active()
        seen = set(places_taken)
        while len(places_taken) < self._max_running:
            job = self._store.next_queued(JobKind.SEARCH, seen)
            if job is None:
                return
            seen.add(job.id)
            if job.attempts + self._early_deaths.get(job.id, 0) >= self._max_attempts:
                self._fail(job)
            else:
                self._launcher.launch(job.id)
                places_taken.add(job.id)

    def _note(self, runner_exit: RunnerExit) -> None:
        search_id = runner_exit.search_id
        log.info("runner ended", search=search_id, exit_code=runner_exit.exit_code)
        self._has_held.discard(search_id)
        self._idle_since.pop(search_id, None)
        if runner_exit.exit_code == EXIT_CODES[Ending.ABANDONED]:
            return None  # no fault of its own, and its lease is the pause before the next attempt
        if runner_exit.pid is not None:  # dead for certain: nobody need wait for its lease to run out
            self._store.requeue_dead(search_id, owner_prefix("search-runner", runner_exit.pid))
        job = self._find(search_id)
        if job is None or runner_exit.exit_code == 0 or job.state.terminal:
            return self._forget(search_id)
        self._last_words[search_id] = runner_exit.log_tail
        if job.state is JobState.QUEUED:  # it never claimed the search; other deaths the store counts
            self._early_deaths[search_id] = self._early_deaths.get(search_id, 0) + 1
        return None

    def _is_useless(self, search_id: str) -> bool:
        """Whether a runner has had nothing to do with its search for longer than it takes to let go of it.

        It was deleted, paused or cancelled, its lease ran out because it was silent, or it never claimed it.
        """
        job = self._find(search_id)
        if job is not None and job.state is JobState.RUNNING and job.lease_owner is not None:
            self._has_held.add(search_id)
            self._idle_since.pop(search_id, None)
            return False
        idle_since = self._idle_since.setdefault(search_id, time.monotonic())
        starting = job is not None and job.state is JobState.QUEUED and search_id not in self._has_held
        return time.monotonic() - idle_since > (STARTING_SECONDS if starting else LETTING_GO_SECONDS)

    def _find(self, search_id: str) -> JobRecord | None:
        """The search; None when it was deleted meanwhile."""
        try:
            return self._store.get_job(search_id, JobKind.SEARCH)
        except NotFoundError:
            return None

    def _running(self) -> set[str]:
        """The ids of all running searches."""
        running: set[str] = set()
        cursor = None
        while True:
            page = self._store.list_jobs(JobKind.SEARCH, state=JobState.RUNNING, limit=200, cursor=cursor)
            running |= {job.id for job in page}
            cursor = page.next_cursor
            if cursor is None:
                return running

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
