"""What must be in order before requests can be served."""

from collections.abc import Callable
from typing import Protocol

from services.artifacts import ArtifactStore
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


def readiness(store: Store, artifacts: ArtifactStore, dispatcher: BackgroundDispatcher | None) -> Readiness:
    """All checks; what is not ready says why."""
    checks = [
        _check("database", store.check, "answers, and its schema is current"),
        _check("artifacts", artifacts.check, "can be read"),
    ]
    if dispatcher is not None:
        trouble = dispatcher.trouble
        checks.append(ReadinessCheck(name="dispatcher", ready=trouble is None, detail=trouble or "runs"))
    return Readiness(ready=all(check.ready for check in checks), checks=checks)


def _check(name: str, check: Callable[[], object], good: str) -> ReadinessCheck:
    try:
        check()
    except ServiceError as error:
        return ReadinessCheck(name=name, ready=False, detail=str(error))
    return ReadinessCheck(name=name, ready=True, detail=good)
