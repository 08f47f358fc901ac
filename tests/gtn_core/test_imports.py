"""What a process loads before its first training: every search waits for it."""

import subprocess
import sys


def test_data_are_prepared_without_what_takes_longer_to_import_than_they_do() -> None:
    program = """
import sys
from gtn_core import FrozenCheckpoint, load_dataset
from gtn_core.presets import shipped_checkpoints

load_dataset("digits")
FrozenCheckpoint.from_bytes(shipped_checkpoints()["digits"]).synthesize()
print(sorted({"torch._dynamo", "sklearn", "torch"} & {*sys.modules}))
"""
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "['torch']\n"
