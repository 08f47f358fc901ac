"""Progress as a person sees it on a terminal, and as a log file gets it."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from services.cli.progress import News, progress_display
from services.schemas import EventView


def event(type_: str, **data: Any) -> EventView:
    return EventView(id=1, type=type_, data=data, created_at=datetime(2026, 1, 1, tzinfo=UTC))


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
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
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
