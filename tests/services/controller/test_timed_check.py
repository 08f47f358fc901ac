"""A check that hangs holds up nobody for long, and one thread."""

import threading

import pytest

from services.controller.timed_check import TimedCheck


def test_its_answer_is_the_checks() -> None:
    answers = iter([None, ValueError("no"), TimeoutError("of its own"), None])

    def check() -> None:
        if (error := next(answers)) is not None:
            raise error

    timed = TimedCheck(check, 30)
    timed()
    with pytest.raises(ValueError, match="no"):
        timed()
    with pytest.raises(TimeoutError, match="of its own"):
        timed()
    timed()


def test_one_that_hangs_runs_once_however_often_it_is_asked_for() -> None:
    begun, answer = threading.Semaphore(0), threading.Event()

    def check() -> None:
        begun.release()
        assert answer.wait(60)

    timed = TimedCheck(check, 0.01)
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"has not answered within 0\.01 s"):
            timed()
    assert begun.acquire(timeout=60)
    assert not begun.acquire(blocking=False), "it was begun once"
    answer.set()
