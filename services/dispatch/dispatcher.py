"""The controller's thread that keeps jobs moving: expired leases, queued jobs, runners that died."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from services.dispatch.lane import Lane
from services.dispatch.silent_runners import SilentRunners
from services.errors import ClusterUnavailableError, ServiceError
from services.store import Store

LAST_LOOK_SECONDS = 5.0
"""How long the look in hand is waited for when the controller ends."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Trouble:
    """What kept a turn from going well; the exception itself would hold on to all that it came through."""

    error: str
    told: str | None  # to whoever asks whether all is well


class Dispatcher:
    """Looks at the store every `poll_seconds`, one lane after the other.

    A controller that is killed and started again goes on where it was: a job whose runner lives is running
    under a lease, any other is queued, or will be once its lease has run out.
    """

    def __init__(
        self,
        store: Store,
        lanes: Sequence[Lane],
        *,
        poll_seconds: float,
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        self._silent_runners = SilentRunners(store)
        self._lanes, self._housekeeping = lanes, housekeeping
        self._poll_seconds = poll_seconds
        self._troubles: dict[Callable[[], None], _Trouble] = {}  # what turns met when they were last taken
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Why jobs are not looked after, as where the database takes no writes.

        A cluster that is away is none: jobs wait for it, and say so.
        """
        if not self._thread.is_alive():
            return "has stopped: queued searches are not started; restart the controller"
        met = [each.told for turn, each in list(self._troubles.items()) if turn != self._housekeeping]
        return next((told for told in met if told), None)

    def start(self) -> None:
        """Start looking, at once and then every `poll_seconds`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, then end the launchers' runners; both take a bounded time.

        A look that stands still, as before a database that does, ends with the process.
        """
        self._stopping.set()
        self._thread.join(LAST_LOOK_SECONDS)
        for lane in self._lanes:
            lane.shutdown()

    def step(self) -> None:
        """One look: take back what nobody holds, one look of every lane, then the housekeeping."""
        for turn in (self._requeue_expired, *(lane.step for lane in self._lanes), self._housekeeping):
            self._guarded(turn)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            self._stopping.wait(self._poll_seconds)

    def _guarded(self, turn: Callable[[], None]) -> None:
        """Take a turn; what keeps it from going well is logged once, until it changes or is over."""
        try:
            turn()
        except ServiceError as error:
            told = None if isinstance(error, ClusterUnavailableError) else str(error)
            if self._is_new(turn, _Trouble(repr(error), told)):
                log.warning("database, artifacts or cluster are away", error=str(error))
        except OSError as error:
            if self._is_new(turn, _Trouble(repr(error), str(error))):
                log.warning("a file, a folder or a process could not be used", error=str(error))
        except Exception as error:  # a defect, but one that should not end everything else
            told = f"fails with a {type(error).__name__}; its log has the details"
            if self._is_new(turn, _Trouble(repr(error), told)):
                log.exception("dispatching failed")
        else:
            if (over := self._troubles.pop(turn, None)) is not None:
                log.info("dispatching goes on", after=over.error)

    def _is_new(self, turn: Callable[[], None], trouble: _Trouble) -> bool:
        before, self._troubles[turn] = self._troubles.get(turn), trouble
        return before != trouble

    def _requeue_expired(self) -> None:
        for job in self._silent_runners.requeue():
            log.warning(
                "lease expired, back in the queue", job=job.id, kind=job.kind.value, attempts=job.attempts
            )
