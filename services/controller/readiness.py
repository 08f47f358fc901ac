"""What must be in order before requests can be served."""

from collections.abc import Callable
from typing import Protocol

from anyio import CapacityLimiter

from services.artifacts import ArtifactStore
from services.controller.timed_check import TimedCheck
from services.errors import ServiceError
from services.schemas import Readiness, ReadinessCheck
from services.store import Store


class BackgroundDispatcher(Protocol):
    """What the application asks of the dispatcher: that it lives as long as the application does."""

    def start(self) -> None:
        """Start dispatching in a thread of its own."""
        ...

    def stop(self) -> None:
        """Stop within a bounded time."""
        ...

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work at present, if anything does."""
        ...


ANSWER_SECONDS = 3.0
"""Less than probes wait."""

THREADS = 4
"""Kept for probes alone: those of the server may all be taken by requests."""


class ReadinessProbe:
    """All checks; what is not ready says why."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, dispatcher: BackgroundDispatcher | None
    ) -> None:
        self.threads = CapacityLimiter(THREADS)
        self._dispatcher = dispatcher
        self._store_check = TimedCheck(store.check, ANSWER_SECONDS)
        self._artifacts_check = TimedCheck(artifacts.check, ANSWER_SECONDS)

    def look(self) -> Readiness:
        """How things are now."""
        checks = [
            _check("database", self._store_check, "answers, and its schema is current"),
            _check("artifacts", self._artifacts_check, "can be read"),
        ]
        if self._dispatcher is not None:
            trouble = self._dispatcher.trouble
            checks.append(ReadinessCheck(name="dispatcher", ready=trouble is None, detail=trouble or "runs"))
        return Readiness(ready=all(check.ready for check in checks), checks=checks)


def _check(name: str, check: Callable[[], object], good: str) -> ReadinessCheck:
    try:
        check()
    except (ServiceError, TimeoutError) as error:
        return ReadinessCheck(name=name, ready=False, detail=str(error))
    return ReadinessCheck(name=name, ready=True, detail=good)
