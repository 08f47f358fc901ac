"""What a client must not wait for: the libraries that only learning needs."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "ray", "sklearn", "scipy", "numpy", "PIL", "sqlalchemy", "fastapi"}


@pytest.mark.parametrize(
    "code",
    [
        "import services.client",
        "import gtn_core, nas",
        "from gtn_core import MetaTrainingConfig, GtnNasError",
        "from services.cli.app import app; app(['rank', '--help'])",
        "from services.client import Client, ControllerUnreachableError\n"
        "try: Client('http://127.0.0.1:9', retries=0).health()\n"
        "except ControllerUnreachableError: pass",
    ],
)
def test_it_needs_none_of_the_heavy_libraries(code: str) -> None:
    report = f"import atexit, sys\natexit.register(lambda: print({HEAVY} & {{*sys.modules}}))\n"
    answer = subprocess.run([sys.executable, "-c", report + code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "set()"
