"""Ray replaces signal handlers when it starts; a session puts the process's own back."""

import subprocess
import sys

SCRIPT = """
import os, signal
from services.ray_session import ray_session
from services.shutdown import Shutdown

shutdown = Shutdown()
shutdown.listen()
with ray_session(""):
    os.kill(os.getpid(), signal.SIGTERM)
    print("asked to end:", shutdown.requested)
"""


def test_a_signal_inside_a_session_reaches_the_processs_own_handler() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["asked to end: True"]), done.stderr
