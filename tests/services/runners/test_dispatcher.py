"""The dispatcher over a real store: which searches get a runner, and what happens when runners die."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import pytest
import structlog.testing

from services.dispatch import runner_locks
from services.dispatch.dispatcher import Dispatcher
from services.dispatch.lane import STARTING_SECONDS, Lane
from services.dispatch.launcher import Launcher, RunnerExit, SubprocessLauncher
from services.dispatch.waiting_jobs import ROOM_SECONDS
from services.errors import ClusterUnavailableError, StoreUnavailableError
from services.lifecycle import Action, JobKind, JobState
from services.processes import start
from services.store import EventType, JobRecord, Store

QueueSearch = Callable[..., JobRecord]
WaitUntil = Callable[..., None]
SLEEP = "import time; time.sleep(600)"
CLAIM_AND_SLEEP = """
import sys, time
from services.lease import new_owner
from services.lifecycle import JobKind
from services.store import open_store
open_store("{url}").claim(JobKind.SEARCH, new_owner("search-runner"), 600, job_id=sys.argv[1])
time.sleep(600)
"""
CONTROLLER = """
import os, sys, time
from pathlib import Path
from services.dispatch.launcher import SubprocessLauncher
SubprocessLauncher(os.environ, Path({folder!r}), [sys.executable, "-c", {runner!r}]).launch({search!r})
Path({folder!r}, "started").touch()
time.sleep(600)
"""
DIE = "import sys; sys.exit('no memory for search ' + sys.argv[1])"


@pytest.fixture
def make_dispatcher(
    store: Store, tmp_path: Path
) -> Iterator[Callable[..., tuple[Dispatcher, SubprocessLauncher]]]:
    """A dispatcher, not started, whose runners execute `code`."""
    launchers = []

    def make(code: str = SLEEP, *, max_running: int = 2) -> tuple[Dispatcher, SubprocessLauncher]:
        launchers.append(SubprocessLauncher(os.environ, tmp_path, [sys.executable, "-c", code]))
        lane = Lane(store, launchers[-1], [JobKind.SEARCH], max_running=max_running, max_attempts=3)
        return Dispatcher(store, [lane], poll_seconds=0.05), launchers[-1]

    yield make
    for launcher in launchers:
        launcher.shutdown()


MakeDispatcher = Callable[..., tuple[Dispatcher, SubprocessLauncher]]


def test_the_oldest_searches_run_first_and_no_more_than_the_limit(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch
) -> None:
    searches = [queue_search().id for _ in range(4)]
    dispatcher, launcher = make_dispatcher(max_running=2)
    for _ in range(3):
        dispatcher.step()
    assert launcher.active() == set(searches[:2])
    launcher.shutdown()
    # Another controller's runner, and an orphan's: they count, although this launcher does not know them.
    dispatcher, launcher = make_dispatcher(max_running=2)
    assert store.claim(JobKind.SEARCH, "orphan", 30, job_id=searches[0]) is not None
    dispatcher.step()
    assert launcher.active() == {searches[1]}


def test_a_runner_that_finds_the_database_unfit_is_followed_by_another_after_a_pause(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = queue_search().id
    dispatcher, launcher = make_dispatcher("import sys; print('no schema'); sys.exit(4)")
    launched: list[str] = []
    monkeypatch.setattr(launcher, "launch", lambda job: (launched.append(job), launch(job)))
    launch = type(launcher).launch.__get__(launcher)
    monkeypatch.setattr("services.dispatch.lane.UNCLAIMED_PAUSE_SECONDS", 0)
    wait_until(lambda: dispatcher.step() or len(launched) > 4)  # more often than a runner may die
    monkeypatch.setattr("services.dispatch.lane.UNCLAIMED_PAUSE_SECONDS", 600)
    wait_until(lambda: dispatcher.step() or not launcher.active())
    before = len(launched)
    for _ in range(3):
        dispatcher.step()
    assert len(launched) == before
    waiting = store.get_job(search)
    assert (waiting.state, waiting.waiting_for) == (
        JobState.QUEUED,
        "a runner; the last one said: no schema",
    )
    told = [event.data for event in store.events_after(search) if event.type == EventType.WAITING]
    assert told == [{"waiting_for": waiting.waiting_for}]  # however many said it
    claimed = store.claim(JobKind.SEARCH, "fit", 30, job_id=search)
    assert claimed is not None
    assert claimed.waiting_for is None


def test_what_is_not_queued_gets_no_runner(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch
) -> None:
    paused, cancelled = queue_search().id, queue_search().id
    store.act(paused, Action.PAUSE)
    store.act(cancelled, Action.CANCEL)
    dispatcher, launcher = make_dispatcher()
    dispatcher.step()
    assert launcher.active() == frozenset()
    store.act(paused, Action.RESUME)
    dispatcher.step()
    assert launcher.active() == {paused}


def test_a_search_whose_former_runner_has_not_let_go_yet_waits(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch
) -> None:
    search = queue_search().id
    assert store.claim(JobKind.SEARCH, "former", 30, job_id=search) is not None
    store.act(search, Action.PAUSE)
    store.act(search, Action.RESUME)
    dispatcher, launcher = make_dispatcher()
    dispatcher.step()
    assert launcher.active() == frozenset()
    store.release(search, "former")
    dispatcher.step()
    assert launcher.active() == {search}


def test_places_go_to_the_searches_whose_turn_it_is(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch
) -> None:
    first, again = queue_search(owner_key_id="a").id, queue_search(owner_key_id="a").id
    other, urgent = queue_search(owner_key_id="b").id, queue_search(owner_key_id="a", priority=1).id
    dispatcher, launcher = make_dispatcher(max_running=3)
    dispatcher.step()
    # Key a has its urgent search running; the next place is key b's, and then age decides.
    assert launcher.active() == {urgent, other, first}
    store.act(other, Action.CANCEL)
    launcher.end(other)
    assert again not in launcher.active()


def test_a_killed_runners_search_is_taken_back_before_its_lease_runs_out(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch, wait_until: WaitUntil
) -> None:
    search = queue_search().id
    dispatcher, launcher = make_dispatcher(CLAIM_AND_SLEEP.format(url=store))
    dispatcher.step()
    wait_until(lambda: store.get_job(search).state is JobState.RUNNING)
    owner = store.get_job(search).lease_owner
    launcher.end(search)

    def passed_on() -> bool:
        dispatcher.step()
        return store.get_job(search).lease_owner not in {owner, None}

    wait_until(passed_on)
    assert store.get_job(search).attempts == 2


def test_runners_that_die_after_some_progress_do_not_add_up(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    wait_until: WaitUntil,
    succeed: Callable[..., None],
) -> None:
    search = queue_search().id
    dispatcher, launcher = make_dispatcher(CLAIM_AND_SLEEP.format(url=store))
    owners: list[str | None] = [None]

    def passed_on() -> bool:
        dispatcher.step()
        job = store.get_job(search)
        return job.state.terminal or job.lease_owner not in owners

    for number in range(3):
        wait_until(passed_on)
        job = store.get_job(search)
        assert job.state is JobState.RUNNING, job.error
        owners.append(job.lease_owner)
        succeed(search, number, owner=job.lease_owner)
        launcher.end(search)


def test_a_runner_that_is_killed_with_its_controller_has_not_failed(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that starts Ray when Ctrl-C is pressed: it hears of that too late."""
    monkeypatch.setattr("services.dispatch.launcher.GRACE_SECONDS", 0.1)
    search = queue_search().id
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    dispatcher, _ = make_dispatcher(deaf + CLAIM_AND_SLEEP.format(url=store))
    dispatcher.start()
    wait_until(lambda: store.get_job(search).state is JobState.RUNNING)
    dispatcher.stop()
    job = store.get_job(search)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_a_runner_that_hangs_is_killed_before_another_gets_its_search(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.dispatch.lane.LETTING_GO_SECONDS", 1.0)
    search = queue_search().id
    dispatcher, launcher = make_dispatcher(CLAIM_AND_SLEEP.format(url=store))
    dispatcher.step()
    wait_until(lambda: store.get_job(search).state is JobState.RUNNING)
    dispatcher.step()
    first = runners_of(launcher, search)
    store.act(search, Action.PAUSE)
    store.act(search, Action.RESUME)
    store.requeue_dead("search-runner", search)  # as when the lease of one that sleeps has run out

    def replaced() -> bool:
        dispatcher.step()
        runners = runners_of(launcher, search)
        assert len(runners) <= 1, "never two at one search"
        return bool(runners - first)

    wait_until(replaced)


class ClusterWithoutRoom(Launcher):
    """A cluster that forgets a submission which it was told to end before it had room for it."""

    def __init__(self) -> None:
        self.has_room = False
        self.submitted: set[str] = set()
        self.ended: list[str] = []

    def launch(self, job_id: str) -> None:
        self.submitted.add(job_id)

    def active(self) -> frozenset[str]:
        return frozenset(self.submitted)

    def waiting(self) -> frozenset[str]:
        return frozenset() if self.has_room else self.active()

    def reap(self) -> list[RunnerExit]:
        return []

    def end(self, job_id: str) -> None:
        self.submitted.discard(job_id)
        self.ended.append(job_id)

    def shutdown(self) -> list[RunnerExit]:
        return []


def test_a_search_that_is_resumed_gets_the_time_that_any_runner_has_to_begin(
    store: Store, queue_search: QueueSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dispatch.lane.LETTING_GO_SECONDS", -1.0)
    cluster, search = ClusterWithoutRoom(), queue_search().id
    lane = Lane(store, cluster, [JobKind.SEARCH], max_running=1, max_attempts=3)
    lane.step()
    store.act(search, Action.PAUSE)
    lane.step()
    assert cluster.ended == [search]
    store.act(search, Action.RESUME)
    lane.step()
    cluster.has_room = True
    now = time.monotonic()
    monkeypatch.setattr("services.dispatch.lane.time.monotonic", lambda: now + STARTING_SECONDS)
    lane.step()
    assert cluster.ended == [search], "once only"


def test_runners_that_end_while_the_database_is_away_are_not_forgotten(
    store: Store, queue_search: QueueSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = [queue_search().id for _ in range(2)]
    exits = [RunnerExit(search, 1, f"the last words of {search}") for search in searches]

    class Cluster(ClusterWithoutRoom):
        def reap(self) -> list[RunnerExit]:
            told = exits[:]
            exits.clear()
            return told

    def away(_: str) -> NoReturn:
        raise StoreUnavailableError("the database does not answer")

    lane = Lane(store, Cluster(), [JobKind.SEARCH], max_running=2, max_attempts=1)
    with monkeypatch.context() as patch:
        patch.setattr(store, "get_job", away)
        with pytest.raises(StoreUnavailableError):
            lane.step()
    lane.step()
    for search in searches:  # both count as early deaths, and one is allowed
        job = store.get_job(search)
        assert job.error is not None
        assert f"the last words of {search}" in job.error["detail"]


def test_a_search_says_that_it_waits_for_room_on_the_cluster(
    store: Store, queue_search: QueueSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, search = ClusterWithoutRoom(), queue_search().id
    lane = Lane(store, cluster, [JobKind.SEARCH], max_running=1, max_attempts=3)
    for _ in range(2):
        lane.step()
    assert store.get_job(search).waiting_for is None  # a moment is no wait
    now = time.monotonic()
    monkeypatch.setattr("services.dispatch.waiting_jobs.time.monotonic", lambda: now + ROOM_SECONDS + 1)
    lane.step()
    assert store.get_job(search).waiting_for == "room on the cluster: no node has begun its runner"


@pytest.mark.parametrize("looked_after", [False, True])
def test_searches_say_that_the_cluster_is_away_until_it_is_back(
    store: Store, queue_search: QueueSearch, wait_until: WaitUntil, looked_after: bool
) -> None:
    """Whether it is noticed when a runner is to be started, or already when running ones are looked at."""

    class ClusterAway(ClusterWithoutRoom):
        away = True

        def launch(self, job_id: str) -> None:
            self.ask()
            super().launch(job_id)

        def reap(self) -> list[RunnerExit]:
            if looked_after:
                self.ask()
            return []

        def ask(self) -> None:
            if self.away:
                raise ClusterUnavailableError("Ray at http://head:8265 does not answer")

    cluster, searches = ClusterAway(), [queue_search().id for _ in range(2)]
    lane = Lane(store, cluster, [JobKind.SEARCH], max_running=3, max_attempts=3)
    dispatcher = Dispatcher(store, [lane], poll_seconds=0.01)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(ClusterUnavailableError):
                lane.step()
        searches.append(queue_search().id)
        with pytest.raises(ClusterUnavailableError):
            lane.step()
        for search in searches:
            told = [event.data for event in store.events_after(search) if event.type == EventType.WAITING]
            assert told == [{"waiting_for": "the cluster: Ray at http://head:8265 does not answer"}]
        dispatcher.start()
        time.sleep(0.2)
        assert dispatcher.trouble is None, "the controller is in order"
        cluster.away = False
        wait_until(lambda: cluster.submitted == set(searches))
        dispatcher.stop()
    assert [store.get_job(search).waiting_for for search in searches] == [None] * 3
    told = [each["event"] for each in logs if "away" in each["event"] or "goes on" in each["event"]]
    assert told == ["database, artifacts or cluster are away", "dispatching goes on"], (
        "once, however often it was met"
    )


@pytest.mark.parametrize("ending", ["gone", "adopted"])
def test_a_controller_that_was_killed_leaves_no_search_with_two_runners(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    wait_until: WaitUntil,
    tmp_path: Path,
    ending: str,
) -> None:
    search = queue_search().id
    controller = start(
        [sys.executable, "-c", CONTROLLER.format(folder=str(tmp_path), search=search, runner=SLEEP)],
        environment=os.environ,
        log_path=tmp_path / "controller.log",
    )
    wait_until(lambda: (tmp_path / "started").exists())
    lock = tmp_path / "runners" / f"{search}.lock"
    orphan = runner_locks.holder(lock)
    assert orphan is not None
    dispatcher, launcher = make_dispatcher(max_running=2)
    dispatcher.step()
    assert launcher.active() == frozenset()  # its controller lives: it is none of ours
    controller.kill()
    controller.wait()
    dispatcher.step()
    assert launcher.active() == {search}
    assert runner_locks.holder(lock) == orphan
    if ending == "gone":
        os.kill(orphan, signal.SIGKILL)
        wait_until(lambda: dispatcher.step() or runner_locks.holder(lock) not in {orphan, None})
        assert launcher.active() == {search}
    launcher.shutdown()
    assert runner_locks.holder(lock) is None
    assert not lock.exists()


def runners_of(launcher: SubprocessLauncher, search: str) -> set[int]:
    """The processes that hold the search's lock."""
    pid = runner_locks.holder(launcher.log_path(search).parent / "runners" / f"{search}.lock")
    return set() if pid is None else {pid}


def test_a_silent_runners_search_is_taken_back_and_launched_again(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch
) -> None:
    search = queue_search().id
    assert store.claim(JobKind.SEARCH, "orphan", 0.3, job_id=search) is not None
    dispatcher, launcher = make_dispatcher()
    dispatcher.step()
    assert launcher.active() == frozenset()  # its lease is valid: the orphan may well be alive
    time.sleep(0.4)
    dispatcher.step()
    assert launcher.active() == {search}


def test_runners_that_slept_with_the_controllers_machine_keep_their_searches(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher, _ = make_dispatcher()
    dispatcher.step()
    search = queue_search().id
    assert store.claim(JobKind.SEARCH, "runner", 0, job_id=search) is not None
    monkeypatch.setattr(
        "services.dispatch.silent_runners.LONGEST_GAP", timedelta(0)
    )  # any gap is a suspension
    dispatcher.step()
    assert store.get_job(search).state is JobState.RUNNING
    monkeypatch.setattr("services.dispatch.silent_runners.RENEWAL_SECONDS", 0.0)
    dispatcher.step()
    assert store.get_job(search).state is JobState.QUEUED


def test_a_search_whose_runners_die_before_they_claim_it_fails_with_their_last_words(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch, wait_until: WaitUntil
) -> None:
    search = queue_search().id
    dispatcher, _ = make_dispatcher(DIE)
    dispatcher.start()
    wait_until(lambda: store.get_job(search).state.terminal)
    dispatcher.stop()
    job = store.get_job(search)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert f"no memory for search {search}" in job.error["detail"]
    assert "3 runners in a row" in job.error["detail"]


@pytest.mark.parametrize("delete", [False, True])
def test_what_a_dead_runner_said_is_forgotten_with_its_search(
    store: Store, queue_search: QueueSearch, tmp_path: Path, wait_until: WaitUntil, delete: bool
) -> None:
    search = queue_search().id
    launcher = SubprocessLauncher(os.environ, tmp_path, [sys.executable, "-c", DIE])
    lane = Lane(store, launcher, [JobKind.SEARCH], max_running=1, max_attempts=3)
    lane.step()
    launcher.launch = lambda _: None  # type: ignore[method-assign]  # no other follows
    wait_until(lambda: lane.step() or not launcher.active())
    assert lane._last_words.keys() == lane._early_deaths.keys() == {search}

    store.act(search, Action.CANCEL)
    if delete:
        store.delete_job(search)
    lane.step()

    assert not lane._last_words
    assert not lane._early_deaths


def test_a_search_whose_runners_die_under_their_lease_fails_too(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch
) -> None:
    search = queue_search().id
    dispatcher, _ = make_dispatcher(DIE)
    for number in range(3):
        assert store.claim(JobKind.SEARCH, f"runner {number}", 0.05, job_id=search) is not None
        time.sleep(0.1)
        assert [job.id for job in store.requeue_expired()] == [search]
    dispatcher.step()
    assert store.get_job(search).state is JobState.FAILED


def test_runners_that_get_somewhere_may_die_as_often_as_they_like(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    succeed: Callable[..., None],
) -> None:
    search = queue_search(candidates=10).id
    dispatcher, launcher = make_dispatcher()
    for number in range(5):
        assert store.claim(JobKind.SEARCH, "runner", 0.3, job_id=search) is not None
        succeed(search, number)
        time.sleep(0.4)
        store.requeue_expired()
    dispatcher.step()
    assert launcher.active() == {search}


def test_a_runner_that_lets_go_in_order_is_no_death(
    store: Store, make_dispatcher: MakeDispatcher, queue_search: QueueSearch, wait_until: WaitUntil
) -> None:
    search = queue_search().id
    dispatcher, launcher = make_dispatcher("import sys; print('let go'); sys.exit(0)")
    dispatcher.start()
    wait_until(lambda: launcher.log_path(search).exists())
    wait_until(lambda: launcher.log_path(search).read_text().count("let go") > 4)
    dispatcher.stop()
    assert store.get_job(search).state is JobState.QUEUED


def test_the_thread_survives_a_store_that_is_away_for_a_moment(
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    database_away: Callable[[], AbstractContextManager[None]],
    wait_until: WaitUntil,
) -> None:
    dispatcher, launcher = make_dispatcher()
    with database_away():
        dispatcher.start()
        wait_until(lambda: dispatcher.trouble is not None)
        assert "gtn-nas.db does not answer" in str(dispatcher.trouble)
    search = queue_search().id
    wait_until(lambda: launcher.active() == {search})
    wait_until(lambda: dispatcher.trouble is None)
    dispatcher.stop()
    assert "has stopped" in str(dispatcher.trouble)
    assert launcher.active() == frozenset()


def test_a_database_that_stands_still_keeps_no_controller_from_its_end(
    store: Store,
    make_dispatcher: MakeDispatcher,
    queue_search: QueueSearch,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.dispatch.dispatcher.LAST_LOOK_SECONDS", 0.1)
    monkeypatch.setattr("services.dispatch.lane.GIVING_BACK_SECONDS", 0.1)
    search = queue_search().id
    dispatcher, launcher = make_dispatcher()
    dispatcher.start()
    wait_until(lambda: launcher.active() == {search})
    asked, answers = Event(), Event()

    def stand_still(*_arguments: object, **_options: object) -> None:
        asked.set()
        answers.wait()

    for name in ("next_queued", "requeue_dead"):
        monkeypatch.setattr(store, name, stand_still)
    wait_until(asked.is_set)
    end = Thread(target=dispatcher.stop, daemon=True)
    end.start()
    wait_until(lambda: not end.is_alive())
    assert launcher.active() == frozenset()
    answers.set()
