"""Jobs of some kinds and the runners that they get: how many at a time, and what happens when runners die."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog

from services.dispatch.launcher import Launcher, RunnerExit
from services.dispatch.waiting_jobs import WaitingJobs
from services.errors import (
    ClusterUnavailableError,
    LeaseLostError,
    NotFoundError,
    StoreUnavailableError,
    problem_urn,
)
from services.execution import Ending
from services.exit_codes import EXIT_CODES
from services.lease import owner_prefix
from services.lifecycle import JobKind, JobState
from services.store import JobRecord, Store
from services.store.json_values import storable

LETTING_GO_SECONDS = 15.0
"""How long a runner may live on after its job was taken from it, or is no longer to run."""

STARTING_SECONDS = 120.0
"""How long a runner may take to claim its job: mostly the import of PyTorch on a busy machine."""

UNCLAIMED_PAUSE_SECONDS = 10.0
"""Before the next runner of a job whose last one found the database away, or of another version."""

GIVING_BACK_SECONDS = 5.0
"""For what killed runners held, when the controller ends; otherwise their leases run out."""

log = structlog.get_logger(__name__)


class Lane:
    """Gives the queued jobs of its kinds to the runners of one launcher.

    What it remembers beyond the store it can do without. Runners of a controller that was killed are adopted
    by the launcher; one that hangs is killed before its job is given to another, so that two never work on
    one job.
    """

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        kinds: Sequence[JobKind],
        *,
        max_running: int,
        max_attempts: int,
    ) -> None:
        """Runners that others have started count as running here too."""
        self._store, self._launcher, self._kinds = store, launcher, kinds
        self._max_running, self._max_attempts = max_running, max_attempts
        self._exits: deque[RunnerExit] = deque()  # of runners, yet to be noted
        self._early_deaths: dict[str, int] = {}  # runners of a job that died before they could claim it
        self._last_words: dict[str, str] = {}  # the log tail of a job's last runner that died
        self._has_held: set[str] = set()  # jobs whose present runner was seen with the lease
        self._idle_since: dict[str, float] = {}  # jobs whose present runner was seen without business
        self._pauses: dict[str, float] = {}  # jobs that wait for a database, and until when
        self._waiting_jobs = WaitingJobs(store)

    def step(self) -> None:
        """One look: note which runners ended, end idle ones, launch others.

        Raises ClusterUnavailableError when runners cannot be started or looked at; queued jobs are told so.
        """
        away: ClusterUnavailableError | None = None
        try:
            self._look_after_runners()
        except ClusterUnavailableError as error:
            away = error
        self._launch_waiting(away)

    def shutdown(self) -> None:
        """End the launcher's runners, within a bounded time; what the killed ones held is given back."""
        exits = self._launcher.shutdown()
        # In a thread that ends with the process: a database that stands still never answers.
        giving_back = threading.Thread(target=self._give_back, args=[exits], daemon=True)
        giving_back.start()
        giving_back.join(GIVING_BACK_SECONDS)

    def _give_back(self, exits: Sequence[RunnerExit]) -> None:
        for ended in exits:
            if ended.pid is not None and ended.exit_code != 0:
                with suppress(StoreUnavailableError):  # their leases run out
                    self._take_back(ended.pid, ended.job_id, on_purpose=True)

    def _look_after_runners(self) -> None:
        self._exits.extend(self._launcher.reap())
        while self._exits:  # told once: those that cannot be noted, as the database is away, wait for that
            self._note(self._exits[0])
            self._exits.popleft()
        active = self._launcher.active()
        self._forget_ended((self._last_words.keys() | self._early_deaths.keys()) - active)
        self._idle_since = {job_id: since for job_id, since in self._idle_since.items() if job_id in active}
        for job_id in active:
            if self._is_useless(job_id):
                log.warning("runner has no business and does not end; killing it", job=job_id)
                self._launcher.end(job_id)
        self._waiting_jobs.for_room(self._launcher.waiting())

    def _launch_waiting(self, away: ClusterUnavailableError | None) -> None:
        """Give the free places to the jobs whose turn it is, unless what runs them is away."""
        places_taken = self._running() | self._launcher.active()
        now = time.monotonic()
        self._pauses = {job_id: end for job_id, end in self._pauses.items() if end > now}
        seen = places_taken | self._pauses.keys()
        while len(places_taken) < self._max_running:
            job = self._store.next_queued(self._kinds, seen)
            if job is None:
                break
            seen.add(job.id)
            if job.attempts + self._early_deaths.get(job.id, 0) >= self._max_attempts:
                self._fail(job)
                continue
            places_taken.add(job.id)
            away = away or self._launch(job.id)
            self._waiting_jobs.for_cluster(job.id, away)
        if away is not None:
            raise away

    def _launch(self, job_id: str) -> ClusterUnavailableError | None:
        """Start the job's runner; the error where there is nothing to start it on."""
        try:
            self._launcher.launch(job_id)
        except ClusterUnavailableError as error:
            return error
        return None

    def _note(self, runner_exit: RunnerExit) -> None:
        job_id = runner_exit.job_id
        said = storable(runner_exit.log_tail).strip().rpartition("\n")[2].strip()
        if runner_exit.exit_code:
            log.warning("runner ended", job=job_id, exit_code=runner_exit.exit_code, said=said)
        else:
            log.info("runner ended", job=job_id, exit_code=runner_exit.exit_code)
        had_claimed = job_id in self._has_held
        self._has_held.discard(job_id)
        if runner_exit.exit_code == EXIT_CODES[Ending.ABANDONED]:
            self._last_words[job_id] = runner_exit.log_tail
            if not had_claimed:
                self._pauses[job_id] = time.monotonic() + UNCLAIMED_PAUSE_SECONDS
                if said:
                    self._waiting_jobs.tell(job_id, f"a runner; the last one said: {said}")
            return None  # no fault of its own, and its lease is the pause before the next attempt
        if runner_exit.pid is not None:  # dead for certain: nobody need wait for its lease to run out
            had_claimed |= self._take_back(runner_exit.pid, job_id)
        job = self._find(job_id)
        if job is None or runner_exit.exit_code == 0 or job.state.terminal:
            return self._forget(job_id)
        self._last_words[job_id] = runner_exit.log_tail
        if job.state is JobState.QUEUED and not had_claimed:  # other deaths the store counts
            self._early_deaths[job_id] = self._early_deaths.get(job_id, 0) + 1
        return None

    def _take_back(self, pid: int, job_id: str, *, on_purpose: bool = False) -> bool:
        """Free the job of a runner that is dead; whether it was running."""
        prefix = owner_prefix("search-runner", pid)
        return bool(self._store.requeue_dead(prefix, job_id, on_purpose=on_purpose))

    def _is_useless(self, job_id: str) -> bool:
        """Whether a runner has had nothing to do with its job for longer than it takes to let go of it.

        It was deleted, paused or cancelled, its lease ran out because it was silent, or it never claimed it.
        """
        job = self._find(job_id)
        if job is not None and job.state is JobState.QUEUED and job_id in self._launcher.waiting():
            self._idle_since.pop(job_id, None)
            return False
        if job is not None and job.state is JobState.RUNNING and job.lease_owner is not None:
            self._has_held.add(job_id)
            self._early_deaths.pop(job_id, None)
            self._idle_since.pop(job_id, None)
            return False
        idle_since = self._idle_since.setdefault(job_id, time.monotonic())
        starting = job is not None and job.state is JobState.QUEUED and job_id not in self._has_held
        return time.monotonic() - idle_since > (STARTING_SECONDS if starting else LETTING_GO_SECONDS)

    def _find(self, job_id: str) -> JobRecord | None:
        """The job; None when it was deleted meanwhile."""
        try:
            return self._store.get_job(job_id)
        except NotFoundError:
            return None

    def _running(self) -> set[str]:
        """The ids of all running jobs of these kinds, whoever runs them."""
        running: set[str] = set()
        for kind in self._kinds:
            cursor = None
            while True:
                page = self._store.list_jobs(kind, state=JobState.RUNNING, limit=200, cursor=cursor)
                running |= {job.id for job in page}
                cursor = page.next_cursor
                if cursor is None:
                    break
        return running

    def _fail(self, job: JobRecord) -> None:
        owner = "dispatcher"
        if self._store.claim(job.kind, owner, lease_seconds=60, job_id=job.id) is None:
            return  # someone else has it after all
        last_words = self._last_words.get(job.id) or "nothing that is known here; look into the runners' logs"
        problem = {
            "type": problem_urn("runner-died"),
            "title": f"The {job.kind.noun}'s runners keep dying",
            "detail": f"{self._max_attempts} runners in a row died without any progress. "
            f"The last one said:\n{last_words}",
            "instance": job.id,
            "remedy": "once the cause is mended, resume it: it goes on from where it was",
        }
        try:
            self._store.finish(job.id, owner, error=problem)
        except LeaseLostError:
            log.warning("job changed hands while it was being failed", job=job.id)
        self._forget(job.id)

    def _forget_ended(self, job_ids: Iterable[str]) -> None:
        """Of a job that was cancelled or deleted while it had no runner, no exit of a runner tells."""
        for job_id in job_ids:
            job = self._find(job_id)
            if job is None or job.state.terminal:
                self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        self._waiting_jobs.forget(job_id)
        self._early_deaths.pop(job_id, None)
        self._last_words.pop(job_id, None)
