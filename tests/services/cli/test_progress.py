"""Progress as a person sees it on a terminal, and as a log file gets it."""

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.cli.progress import News, duration, progress_display
from services.schemas import EventView


def event(type_: str, second: float = 0, **data: Any) -> EventView:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return EventView(id=1, type=type_, data=data, created_at=moment)


EVENTS = [
    event("state", state="running", action="claim"),
    event("candidate", done=1, total=5, metrics={"accuracy": 0.5}),
    event("candidate", done=2, total=5, metrics=None),
    event("candidate", done=3, total=5, metrics={"accuracy": 0.25}),
    event("something new", unheard="of"),
]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_latest_news_are_shown(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _attach_terminal(monkeypatch, 160, attached=terminal)
    news = News(total=5)
    with progress_display("search") as display:
        for each in EVENTS:
            news.take(each)
            display.show(news)
        news.take(event("state", state="succeeded", action="succeed"))
        display.show(news)
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.replace("\x1b[?25h", "").strip().splitlines()[-1]
    assert "3/5" in last
    assert "succeeded" in last
    if not terminal:
        assert captured.err.splitlines() == [
            "search: running, 0/5",
            "search: succeeded, 3/5, best accuracy 50.0%",
        ]


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (event("meta_step", step=7, total=9, loss=0.25, accuracy=0.5), "loss 0.250, accuracy 50.0%"),
        (event("epoch", done=7, total=9, validation_accuracy=0.75), "validation accuracy 75.0%"),
        (event("progress", done=7, total=9), ""),
    ],
)
def test_every_kind_of_job_tells_its_own_measure(told: EventView, detail: str) -> None:
    news = News(total=9)
    news.take(told)
    assert (news.done, news.total, news.detail) == (7, 9, detail)


@pytest.mark.parametrize(
    ("objective", "measurements", "detail"),
    [
        ("score", [-7.5, -2.25, -3.0], "best score -2.25"),
        ("loss", [0.75, 0.5, 0.625], "best loss 0.5"),
        ("params", [12_000, 9_876, 10_000], "best params 9,876"),
    ],
)
def test_the_best_is_that_of_what_the_search_works_for(
    objective: str, measurements: list[float], detail: str
) -> None:
    news = News(total=5, objective=objective)
    for done, value in enumerate(measurements, start=1):
        news.take(event("candidate", done=done, total=5, metrics={"accuracy": 0.1 * done, objective: value}))
    news.take(event("candidate", done=4, total=5, metrics={"accuracy": 0.9}))
    assert news.detail == detail


def test_what_a_job_does_beside_its_steps_is_told_until_it_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    news = News(total=9)
    news.take(event("meta_step", step=9, total=9, loss=0.25, accuracy=0.5))
    news.take(event("log", message="measuring learning curves"))
    with progress_display("meta-training") as display:
        display.show(news)
        news.take(event("state", state="succeeded", action="succeed"))
        display.show(news)
    assert capsys.readouterr().err.splitlines() == [
        "meta-training: queued, 9/9, measuring learning curves",
        "meta-training: succeeded, 9/9, loss 0.250, accuracy 50.0%",
    ]


def test_what_a_job_waits_for_is_told_at_once_and_until_it_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    news = News(total=9)
    with progress_display("search") as display:
        for told in (
            event("state", state="running", action="claim"),
            event("waiting", waiting_for="no node has 8 GPUs"),
            event("waiting", waiting_for=None),
        ):
            news.take(told)
            display.show(news)
    assert capsys.readouterr().err.splitlines() == [
        "search: running, 0/9",
        "search: running, 0/9, waiting: no node has 8 GPUs",
        "search: running, 0/9",
    ]


def test_brackets_in_what_is_told_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _attach_terminal(monkeypatch, 160)
    news = News(total=9, state="running")
    news.take(event("log", message="waiting for [/] and [red]"))
    with progress_display("search") as display:
        display.show(news)
    assert "waiting for [/] and [red]" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_told_commands_no_terminal_and_stays_on_its_line(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _attach_terminal(monkeypatch, 160, attached=terminal)
    news = News(total=9, state="running")
    news.take(event("waiting", waiting_for="\x1b]0;mine\x07\nsearch: succeeded"))
    with progress_display("search") as display:
        display.show(news)
    assert r"waiting: \x1b]0;mine\x07 search: succeeded" in capsys.readouterr().err


def _attach_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *, attached: bool = True) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: attached)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))


def candidate(second: float, done: int) -> EventView:
    return event("candidate", second, done=done, total=40, metrics={"accuracy": 0.5})


def test_rate_and_time_left_are_those_of_the_events_without_the_start() -> None:
    news = News(total=40)
    news.take(event("state", 0, state="running", action="claim"))
    news.take(candidate(12, 1))  # eleven of these seconds were the workers' start
    assert news.forecast == ""
    news.take(candidate(12.5, 2))
    assert news.forecast == "2/s, 19 s left"
    for done in range(3, 21):
        news.take(candidate(11.5 + done / 2, done))
    assert news.forecast == "2/s, 10 s left"

    news.take(event("state", 100, state="paused", action="pause"))
    assert news.forecast == ""
    news.take(event("state", 900, state="running", action="claim"))
    assert news.forecast == ""  # the pause says nothing about the pace
    news.take(candidate(912, 21))
    news.take(candidate(916, 22))
    assert news.forecast == "0.25/s, 1 min 12 s left"


def test_an_extended_search_has_further_to_go() -> None:
    news = News(total=5)
    news.take(event("extended", max_candidates=50, max_seconds=None))
    assert news.total == 50


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (7500, "2 h 5 min")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_a_bar_fits_its_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _attach_terminal(monkeypatch, columns)
    news = News(total=40)
    with progress_display("final training") as display:
        for told in (event("state", 0, state="running"), candidate(1, 16), candidate(1.5, 17)):
            news.take(told)
            display.show(news)
    last = capsys.readouterr().err.replace("\x1b[?25h", "").replace("\x1b[2K", "").split("\r")[-1].strip()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)
    assert len(plain) <= columns
    for part in ("17/40", "2/s, 12 s left", "best accuracy 50.0%"):
        assert part in plain
