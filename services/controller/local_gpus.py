"""The GPUs of this machine, as PyTorch counts them, without PyTorch in this process."""

import subprocess
import sys
from functools import cache

_COUNT = "import torch; print(torch.cuda.device_count())"
_PATIENCE_SECONDS = 120.0


@cache
def gpus_of_this_machine() -> int:
    """How many there are, asked once; 0 where PyTorch is missing, and with it whatever could use them.

    PyTorch would hold 200 MiB of a process that lives for months, and its import, two seconds long, would
    hold up every other request.
    """
    # -P: what lies in the working directory is not imported.
    try:
        asked = subprocess.run(
            [sys.executable, "-P", "-c", _COUNT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return 0
    return int(asked.stdout)
