"""Calls that serve every kind of job: look it up, wait for it, follow its events, cancel it."""

import time
from collections.abc import Callable, Iterator

import httpx2

from services.client.connection import Connection, checked, path_of, reason_of
from services.client.errors import ApiError, ControllerUnreachableError
from services.schemas import EventView, FinalTrainingView, MetaTrainingView, SearchView

Job = MetaTrainingView | SearchView | FinalTrainingView

COLLECTIONS: dict[str, type[Job]] = {
    "searches": SearchView,
    "meta-trainings": MetaTrainingView,
    "final-trainings": FinalTrainingView,
}


class NothingMore(Exception):  # noqa: N818 - an answer, not a failure
    """The job has ended and every event was received."""


class JobCalls(Connection):
    """Jobs by their id, of whatever kind."""

    def get_job(self, job_id: str) -> Job:
        """A search, meta-training or final training. Raises ApiError 404 when none has this id."""
        return self._find(job_id)[1]

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that has not ended; cancelling it again changes nothing."""
        path, job = self._find(job_id)
        return self._act(f"{path}/cancel", type(job))

    def wait(
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
        deadline = None if timeout is None else time.monotonic() + timeout
        path, job = self._find(job_id)
        reported = None
        while True:
            if on_progress is not None and (job.state, job.progress) != reported:
                reported = (job.state, job.progress)
                on_progress(job)
            if job.state.terminal:
                return job
            if deadline is not None and time.monotonic() + poll_seconds > deadline:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout:g} s; it goes on")
            time.sleep(poll_seconds)
            job = self._get(path, type(job))

    def events(self, job_id: str, after: int = 0) -> Iterator[EventView]:
        """The job's events with ids above `after`, as they happen, until the job has ended.

        A stream that breaks is taken up again where it broke: none is missed and none comes twice.
        """
        path, _ = self._find(job_id)
        failures = 0
        while True:
            reason, received = "the stream of events keeps ending early", after
            try:
                for event in self._stream(f"{path}/events", after):
                    after = event.id
                    yield event
            except NothingMore:
                return
            except httpx2.TransportError as error:
                reason = reason_of(error)
            if after > received:
                failures = 0
            elif failures < self._retries:
                self._pause(failures)
                failures += 1
            else:
                raise ControllerUnreachableError(self.url, reason)

    def _stream(self, path: str, after: int) -> Iterator[EventView]:
        with self._http.sse(path, headers={"Last-Event-ID": str(after)}) as source:
            if checked(source.response).status_code == httpx2.codes.NO_CONTENT:
                raise NothingMore
            for message in source:
                yield EventView.model_validate_json(message.data)

    def _find(self, job_id: str) -> tuple[str, Job]:
        """The job and its path. Raises ApiError 404 when no collection has it."""
        for collection, model in COLLECTIONS.items():
            path = path_of(collection, job_id)
            try:
                return path, self._get(path, model)
            except ApiError as error:
                if error.status != httpx2.codes.NOT_FOUND:
                    raise
                missing = error
        raise missing
