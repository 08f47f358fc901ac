"""The local stack's children: restarted when they die, given up when they keep dying."""

import errno
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services.errors import ServiceError
from services.lease import owner_prefix
from services.lifecycle import JobKind, JobState
from services.local_stack import MAX_RESTARTS, Child, LocalStack
from services.ports import listen
from services.processes import stop
from services.settings import Settings
from services.store import Store


def test_a_taken_port_is_refused_before_anything_is_started(settings: Settings) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} .*--port"):
            LocalStack(settings.model_copy(update={"port": port}))


def test_a_free_port_is_chosen_for_port_0(settings: Settings) -> None:
    stack = LocalStack(settings.model_copy(update={"port": 0}))
    with stack.listener:
        assert stack.settings.port > 0
        assert stack.url == f"http://127.0.0.1:{stack.settings.port}"


def test_of_two_stacks_that_begin_at_once_one_is_refused(settings: Settings) -> None:
    """Not once its controller cannot listen: until then it would take the other's controller for its own."""
    stack = LocalStack(settings.model_copy(update={"port": 0}))
    with stack.listener, pytest.raises(ServiceError, match="in use"):
        LocalStack(stack.settings)


def test_a_folder_has_one_stack_until_that_has_ended(settings: Settings) -> None:
    anywhere = settings.model_copy(update={"port": 0})
    stack = LocalStack(anywhere)
    stack.children.clear()
    told = f"process {os.getpid()} runs the services on {re.escape(str(settings.data_dir))} already"
    with stack, pytest.raises(ServiceError, match=told):
        LocalStack(anywhere)
    with LocalStack(anywhere).listener:
        pass


def test_a_lock_that_no_process_here_has_keeps_nobody_out(settings: Settings) -> None:
    """A file system may not notice that the machine which had it is gone."""
    anywhere = settings.model_copy(update={"port": 0})
    elsewhere = LocalStack(anywhere)
    (settings.data_dir / "up.lock").write_text(f"{2**31 - 1}")
    with elsewhere.listener, LocalStack(anywhere).listener as listener:
        assert listener.fileno() > 0


def test_a_folder_that_cannot_be_locked_is_used_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("services.local_stack.acquire", refuse)
    with LocalStack(settings.model_copy(update={"port": 0})).listener as listener:
        assert listener.fileno() > 0


def test_who_asks_a_controller_that_was_given_up_is_refused_at_once(
    settings: Settings, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """On a socket that is held for it one would wait for an answer as long as one's patience lasts."""
    stack = LocalStack(settings.model_copy(update={"port": 0}))
    stack.children[:] = [
        Child("controller", ("no_such_module",), dict(os.environ), tmp_path / "log", first_pause=0.01)
    ]

    def is_refused() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", stack.settings.port)) == errno.ECONNREFUSED

    with stack:
        wait_until(is_refused)
        assert stack.failure is not None


def test_a_child_that_dies_is_started_again(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    child = Child("server", ("http.server", "0"), dict(os.environ), tmp_path / "log", first_pause=0.01)
    child.keep_alive()
    first = child.process
    assert first is not None
    first.send_signal(signal.SIGKILL)

    def is_back() -> bool:
        child.keep_alive()
        return child.process not in {None, first}

    wait_until(is_back)
    assert child.failure is None
    assert child.process is not None
    stop([child.process], grace_seconds=5)


def test_what_a_dead_worker_had_in_hand_is_queued_again_at_once(
    settings: Settings, store: Store, wait_until: Callable[..., None]
) -> None:
    """Its lease would hold it for half a minute; the worker's own death is noticed at once."""
    training = store.create_job(JobKind.META_TRAINING, name="", request={}, progress_total=1)
    stack = LocalStack(settings.model_copy(update={"port": 0}))
    stack.listener.close()
    worker = stack.children[1]
    worker._command = [sys.executable, "-m", "http.server", "0"]
    worker.keep_alive()
    assert worker.process is not None
    owner = f"{owner_prefix('meta-worker', worker.process.pid)}1"
    assert store.claim(JobKind.META_TRAINING, owner, 3600, job_id=training.id)
    worker.process.send_signal(signal.SIGKILL)

    def is_noticed() -> bool:
        worker.keep_alive()
        return worker.process is None

    wait_until(is_noticed)
    assert store.get_job(training.id).state is JobState.QUEUED


def given_up(child: Child, wait_until: Callable[..., None]) -> str:
    """Why a child is not started again, once it is not."""

    def has_failed() -> bool:
        child.keep_alive()
        return child.failure is not None

    wait_until(has_failed)
    assert child.failure is not None
    return child.failure


def test_a_child_that_cannot_be_started_is_tried_again_and_then_given_up(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """What was raised would end the thread that watches, and with it all other children."""
    log = tmp_path / "log"
    log.mkdir()
    child = Child("server", ("json.tool",), dict(os.environ), log, first_pause=0.01)
    failure = given_up(child, wait_until)
    assert "the server ended 4 times in a row, now could not be started: [Errno 21]" in failure


def test_a_child_that_keeps_dying_is_given_up_with_its_last_words(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    log = tmp_path / "log"
    child = Child("server", ("no_such_module",), dict(os.environ), log, first_pause=0.01)
    failure = given_up(child, wait_until)
    assert "the server ended 4 times in a row" in failure
    assert "No module named no_such_module" in failure
    assert str(log) in failure
    assert len(log.read_text().splitlines()) == MAX_RESTARTS + 1
    child.keep_alive()
    assert child.process is None
