"""SIGTERM and SIGINT as a flag: long work looks at it and ends in order."""

import signal
import time
from types import FrameType


class Shutdown:
    """Whether this process was asked to end. The first signal sets the flag, the second one interrupts."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT. Call it again after a library has put its own handlers there."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def wait(self, seconds: float) -> None:
        """Sleep, but not much beyond the request. A handler must take no lock, so this looks at the flag."""
        deadline = time.monotonic() + seconds
        while not self.requested and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
