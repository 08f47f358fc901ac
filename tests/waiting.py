"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 240) -> None:
    """The limit is generous, since it is there to end a test that hangs.

    What takes long is asked for more and more rarely: most conditions are requests, which take from the
    processors what the awaited works with.
    """
    deadline, pause = time.monotonic() + seconds, 0.02
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
        pause = min(1.3 * pause, 0.3)
