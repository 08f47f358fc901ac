"""How many files and connections this process may have open at the same time."""

import resource
import sys

MOST = 10_240 if sys.platform == "darwin" else 65_536
"""macOS refuses more than its OPEN_MAX, however high it says the limit may be raised."""


def raise_limit() -> int:
    """Raise the limit as far as the system lets every process raise its own, and answer it.

    What shells and service managers begin with, often 1,024, is meant for programs that use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return max(soft, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
