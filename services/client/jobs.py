"""Calls that serve every kind of job: look it up, wait for it, follow it, resume, cancel or delete it."""

import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import get_args

import httpx2

from services.client.calls import call, listing
from services.client.connection import Connection, path_of
from services.client.errors import ApiError, ControllerUnreachableError
from services.client.network import Request
from services.given import given
from services.schemas import EventView, FidelityReportView, FinalTrainingView, MetaTrainingView, SearchView

Job = SearchView | MetaTrainingView | FinalTrainingView | FidelityReportView


class JobCalls(Connection):
    """Jobs by their id, of whatever kind."""

    @call
    async def get_job(self, job_id: str) -> Job:
        """A job of whatever kind. Raises ApiError 404 when none has this id."""
        return (await self._find(job_id))[1]

    @call
    async def resume(self, job_id: str) -> Job:
        """Let a paused search, or a job that failed, go on from where it was."""
        path, job = await self._find(job_id)
        return await self._act(f"{path}/resume", type(job))

    @call
    async def edit(self, job_id: str, *, name: str | None = None, priority: int | None = None) -> Job:
        """Give a job another name, or another priority, which counts while it waits; None leaves as it is."""
        path, job = await self._find(job_id)
        return await self._edit(path, type(job), given(name=name, priority=priority))

    @call
    async def cancel(self, job_id: str) -> Job:
        """Cancel a job that has not ended; cancelling it again changes nothing."""
        path, job = await self._find(job_id)
        return await self._act(f"{path}/cancel", type(job))

    @call
    async def delete(self, job_id: str) -> None:
        """Delete a job that has ended: a search with its candidates, a final training with its weights."""
        path, _ = await self._find(job_id)
        await self._send(Request("DELETE", path))

    @call
    async def wait(
        self,
        job_id: str,
        timeout: float | None = None,
        on_progress: Callable[[Job], None] | None = None,
        poll_seconds: float = 0.5,
    ) -> Job:
        """Return the job once it has ended, however it ended: `state` and `error` say how.

        `on_progress` gets the job first as it is, then whenever its state or progress has changed. Raises
        TimeoutError when `timeout` seconds were not enough; the job goes on.
        """
        looked = time.monotonic()
        deadline = looked + (math.inf if timeout is None else timeout)
        path, job = await self._find(job_id)
        reported, pause, failures = None, poll_seconds, 0
        while True:
            if on_progress is not None and (job.state, job.progress) != reported:
                reported = (job.state, job.progress)
                on_progress(job)
            if job.state.terminal:
                return job
            if looked >= deadline:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout:g} s; it goes on")
            await self._network.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            looked = time.monotonic()
            try:
                job, pause, failures = await self._look(path, type(job)), poll_seconds, 0
            except (ApiError, ControllerUnreachableError) as failure:
                pause = max(poll_seconds, self._pause_of_watching(failures, failure))
                failures += 1

    @listing
    async def events(self, job_id: str, after: int = 0) -> AsyncGenerator[EventView]:
        """The job's events with ids above `after`, as they happen, until the job has ended.

        A stream that breaks is taken up again where it broke: none is missed and none comes twice.
        """
        path, _ = await self._find(job_id)
        async with aclosing(self._follow(f"{path}/events", after)) as events:
            async for event in events:
                yield event

    async def _find(self, job_id: str) -> tuple[str, Job]:
        """The job and its path. Raises ApiError 404 when no collection has it."""
        for model in get_args(Job):
            path = path_of(model.kind.place, job_id)
            try:
                return path, await self._get(path, model)
            except ApiError as error:
                if error.status != httpx2.codes.NOT_FOUND:
                    raise
                missing = error
        told = {
            "detail": f"no job with id {job_id!r}",
            "remedy": "`gtn-nas jobs` and the lists of jobs name them",
        }
        raise ApiError(missing.status, missing.problem.model_copy(update=told)) from None
