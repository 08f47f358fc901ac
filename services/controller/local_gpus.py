"""The GPUs of this machine, as PyTorch counts them, without PyTorch in this process."""

import subprocess
import sys
from functools import cache

_COUNT = "import torch; print(torch.cuda.device_count())"
_PATIENCE_SECONDS = 120.0


def gpus_of_this_machine() -> int:
    """How many there are; 0 where PyTorch is missing, and with it whatever could use them.

    The answer is kept, unless the machine was too busy for one.
    """
    try:
        return _asked()
    except (OSError, subprocess.TimeoutExpired):
        return 0


@cache
def _asked() -> int:
    """PyTorch would hold 200 MiB of a process that lives for months, and its import, two seconds long, would
    hold up every other request.
    """
    asked = subprocess.run(
        [sys.executable, "-P", "-c", _COUNT],  # -P: what lies in the working directory is not imported
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    return int(asked.stdout) if asked.returncode == 0 else 0
