"""A look at something that may never answer, as an object store behind a network that drops packets."""

import threading
from collections.abc import Callable
from concurrent.futures import Future


class TimedCheck:
    """A check that is waited for so long, and runs in one thread however often it is asked for.

    Probes come every few seconds: were each to wait by itself, they would soon hold all of the controller's
    threads. Whoever asks while the check runs waits for its answer.
    """

    def __init__(self, check: Callable[[], object], seconds: float) -> None:
        self._check, self._seconds = check, seconds
        self._lock = threading.Lock()
        self._running: Future[None] | None = None

    def __call__(self) -> None:
        """Raises what the check raises, and TimeoutError when it takes longer; it then runs on."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                threading.Thread(target=self._run, args=(self._running,), daemon=True).start()
            running = self._running
        try:
            running.result(self._seconds)
        except TimeoutError:
            if running.done():  # by an error of its own
                raise
            raise TimeoutError(f"has not answered within {self._seconds:g} s") from None

    def _run(self, running: Future[None]) -> None:
        error: Exception | None = None
        try:
            self._check()
        except Exception as raised:
            error = raised
        with self._lock:
            self._running = None  # first: whoever has the answer may ask anew
        if error is None:
            running.set_result(None)
        else:
            running.set_exception(error)
