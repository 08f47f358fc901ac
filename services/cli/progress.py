"""Progress of a job, from its events: a bar where a person watches, plain lines everywhere else."""

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from services.cli.console import advise, stderr

if TYPE_CHECKING:
    from services.client import Client, Job
    from services.schemas import EventView

PLAIN_LINE_SECONDS = 5.0
"""Least time between two plain lines about one job."""


def watch(client: "Client", job: "Job", description: str) -> "Job":
    """`follow`, by someone who may leave: Ctrl-C ends the watching, not the job."""
    try:
        return follow(client, job, description)
    except KeyboardInterrupt:
        advise(f"{description} goes on; watch it again with: gtn-nas follow {job.id}")
        raise


def follow(client: "Client", job: "Job", description: str) -> "Job":
    """Show a job's progress until it has ended, and return it. Raises GtnNasError if it did not succeed."""
    news = News(total=job.progress.total)
    with progress_display(description) as display:
        for event in client.events(job.id):
            news.take(event)
            display.show(news)
    return _succeeded(client.get_job(job.id), description)


def _succeeded(job: "Job", description: str) -> "Job":
    from gtn_core.errors import GtnNasError
    from services.lifecycle import JobState

    if job.state is not JobState.SUCCEEDED:
        raise GtnNasError(f"{description} {job.id} is {job.state}" + (f": {job.error}" if job.error else ""))
    return job


class News:
    """How far a job is, as its events have told so far."""

    def __init__(self, total: int, state: str = "queued") -> None:
        self.done, self.total, self.state, self.detail = 0, total, state, ""
        self._best = 0.0

    def take(self, event: "EventView") -> None:
        """Learn from one event; unknown types change nothing."""
        data = event.data
        self.done, self.total = data.get("done", self.done), data.get("total", self.total)
        if event.type == "state":
            self.state = data["state"]
        elif event.type == "meta_step":
            self.done = data["step"]
            self.detail = f"loss {data['loss']:.3f}, accuracy {data['accuracy']:.1%}"
        elif event.type == "candidate" and data["metrics"]:
            self._best = max(self._best, data["metrics"]["accuracy"])
            self.detail = f"best accuracy {self._best:.1%}"
        elif event.type == "epoch":
            self.detail = f"validation accuracy {data['validation_accuracy']:.1%}"


class Display(AbstractContextManager["Display", None], Protocol):
    """Something that shows progress inside its `with` block."""

    def show(self, news: News) -> None:
        """Show the latest."""
        ...


def progress_display(description: str) -> Display:
    """A bar on a terminal, else plain lines; both on stderr."""
    return _Bar(description) if sys.stderr.isatty() else _PlainLines(description)


class _Bar:
    def __init__(self, description: str) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
        )
        self._progress = Progress(*columns, console=stderr())
        self._task = self._progress.add_task(description, total=None, detail="queued")

    def show(self, news: News) -> None:
        detail = news.detail if news.state == "running" and news.detail else news.state
        self._progress.update(self._task, completed=news.done, total=news.total, detail=detail)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class _PlainLines:
    def __init__(self, description: str) -> None:
        self._description, self._state, self._next_line_at = description, "", 0.0

    def show(self, news: News) -> None:
        if news.state == self._state and time.monotonic() < self._next_line_at:
            return
        self._state, self._next_line_at = news.state, time.monotonic() + PLAIN_LINE_SECONDS
        line = f"{self._description}: {news.state}, {news.done}/{news.total}"
        print(f"{line}, {news.detail}" if news.detail else line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
