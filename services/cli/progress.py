"""Progress of a job, from its events: a bar where a person watches, plain lines everywhere else."""

import sys
import time
from collections import deque
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from services.cli.console import advise, stderr
from services.objectives import first_objective
from services.visible import one_line

if TYPE_CHECKING:
    from datetime import datetime

    from services.client import Client, Job
    from services.schemas import EventView

PACE_POINTS = 50
"""Latest steps that the pace is measured over: it follows a cluster that grows or shrinks."""

PLAIN_LINE_SECONDS = 5.0
"""Least time between two plain lines about one job."""


def watch(client: "Client", job: "Job", description: str) -> "Job":
    """`follow`, by someone who may leave: Ctrl-C ends the watching, not the job.

    Raises GtnNasError if it did not succeed.
    """
    from services.lifecycle import JobState

    try:
        ended = follow(client, job, description)
    except KeyboardInterrupt:
        advise(f"{description} goes on; watch it again with: gtn-nas follow {job.id}")
        raise
    if ended.state is JobState.FAILED and not (ended.error and ended.error.met_again):
        advise(f"it goes on from where it was with: gtn-nas resume {job.id}")
    advise_of_missing(ended)
    return succeeded(ended, description)


def follow(client: "Client", job: "Job", description: str) -> "Job":
    """Show a job's progress from where it stands until it has ended, however it does, and return it."""
    news = News(total=job.progress.total, objective=first_objective(job.request))
    known = job.last_event_id or 0  # what was over before one looked is learnt from, not shown
    with progress_display(description) as display:
        for event in client.events(job.id):
            news.take(event)
            if event.id == known:  # the steps of an old job are forgotten
                news.done = max(news.done, job.progress.done)
            if event.id >= known:
                display.show(news)
    return client.get_job(job.id)


def measured(value: float, metric: str, *, decimals: int = 1) -> str:
    """Such as `accuracy 85.7%` or `score 1.234`."""
    return f"accuracy {value:.{decimals}%}" if metric == "accuracy" else f"{metric} {value:,.4g}"


def advise_of_missing(job: "Job") -> None:
    """Tell why a search has fewer candidates than it was asked for, or not all that were given."""
    if early := ending(job):
        advise(f"it ended early: {early}")
    if left_out := _result(job).get("left_out"):
        advise(f"left out, as they are beyond the constraints: {', '.join(left_out)}")


def ending(job: "Job") -> str:
    """Why a search ended before all its candidates; empty where it did not, and for other jobs."""
    result = _result(job)
    exhausted: str | None = result.get("exhausted")
    return exhausted or ("by its time limit" if result.get("timed_out") else "")


def _result(job: "Job") -> dict[str, Any]:
    """What the run told at its end; empty before, and for jobs that tell it otherwise."""
    return job.model_dump().get("result") or {}


def succeeded(job: "Job", description: str) -> "Job":
    """The job. Raises GtnNasError if it has ended otherwise."""
    from gtn_core.errors import GtnNasError
    from services.lifecycle import JobState

    if job.state is not JobState.SUCCEEDED:
        raise GtnNasError(f"{description} {job.id} is {job.state}" + (f": {job.error}" if job.error else ""))
    return job


class News:
    """How far a job is and how fast, as its events have told so far."""

    def __init__(self, total: int, state: str = "queued", objective: str = "accuracy") -> None:
        self.done, self.total, self.state, self.detail = 0, total, state, ""
        self.remark = ""  # what the job is doing beside its steps, until the next other news
        self.pace = Pace()
        self._objective = objective
        self._best: float | None = None

    def take(self, event: "EventView") -> None:
        """Learn from one event; unknown types change nothing."""
        data = event.data
        self.done, self.total = data.get("done", self.done), data.get("total", self.total)
        self.remark = ""
        if event.type in {"state", "suspended"}:
            self.state = data.get("state", self.state)
            self.pace = Pace()  # time spent waiting or asleep says nothing about it
        elif event.type == "log":
            self.remark = data.get("message", "")
        elif event.type == "waiting" and data["waiting_for"]:
            self.remark = f"waiting: {data['waiting_for']}"
        elif event.type == "extended":
            self.total = data["max_candidates"]
        elif event.type == "meta_step":
            self.done = data["step"]
            self.detail = f"loss {data['loss']:.3f}, accuracy {data['accuracy']:.1%}"
        elif event.type == "candidate" and data["metrics"]:
            self._take_result(data["metrics"].get(self._objective))
        elif event.type == "epoch":
            self.detail = f"validation accuracy {data['validation_accuracy']:.1%}"
        if event.type not in {"state", "suspended", "log", "waiting"}:
            self.pace.note(event.created_at, self.done)

    def _take_result(self, value: float | None) -> None:
        from nas.ranking import DIRECTIONS

        direction = DIRECTIONS[self._objective]
        if value is None:
            return
        if self._best is None or direction * value > direction * self._best:
            self._best = value
        self.detail = f"best {measured(self._best, self._objective)}"

    @property
    def forecast(self) -> str:
        """Steps a second and time left, such as `2.1/s, 19 s left`; empty while nobody can tell."""
        rate = self.pace.rate
        if not rate or self.state != "running" or self.done >= self.total:
            return ""
        return f"{rate:.2g}/s, {duration((self.total - self.done) / rate)} left"


class Pace:
    """Steps a second by the times of the events, which are right also for what was over before one looked."""

    def __init__(self) -> None:
        self._points: deque[tuple[datetime, int]] = deque(maxlen=PACE_POINTS)

    def note(self, moment: "datetime", done: int) -> None:
        """So many are done at that moment."""
        if not self._points or done != self._points[-1][1]:
            self._points.append((moment, done))

    @property
    def rate(self) -> float:
        """0 while it is not known. It begins with the end of the first step, which also started workers."""
        if len(self._points) < 2:
            return 0.0
        (start, first), (end, last) = self._points[0], self._points[-1]
        seconds = (end - start).total_seconds()
        return (last - first) / seconds if seconds > 0 else 0.0


def duration(seconds: float) -> str:
    """Such as `19 s`, `3 min 20 s` or `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


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
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4, max_width=30)),
            MofNCompleteColumn(),
            # Rich knows its own pace only, which for a job that was under way is that of reading old news.
            TextColumn("{task.fields[forecast]}", table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[detail]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
        )
        self._progress = Progress(*columns, console=stderr(), expand=True)
        self._task = self._progress.add_task(description, total=None, forecast="", detail="")

    def show(self, news: News) -> None:
        told = one_line(news.remark or news.detail)
        detail = told if news.state == "running" and told else news.state
        self._progress.update(
            self._task, completed=news.done, total=news.total, forecast=news.forecast, detail=detail
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class _PlainLines:
    def __init__(self, description: str) -> None:
        self._description, self._next_line_at = description, 0.0
        self._told_at_once = ("", "")

    def show(self, news: News) -> None:
        told_at_once = (news.state, news.remark)
        if told_at_once == self._told_at_once and time.monotonic() < self._next_line_at:
            return
        self._told_at_once, self._next_line_at = told_at_once, time.monotonic() + PLAIN_LINE_SECONDS
        told = (
            f"{self._description}: {news.state}",
            f"{news.done}/{news.total}",
            news.forecast,
            one_line(news.remark or news.detail),
        )
        print(", ".join(filter(None, told)), file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
