"""Locks of runners, and of the services on a data folder."""

import os
import stat
from pathlib import Path

from services.dispatch.runner_locks import acquire


def test_a_data_folder_that_a_lock_makes_is_its_owners_alone(tmp_path: Path) -> None:
    descriptor = acquire(tmp_path / "data" / "up.lock")
    assert descriptor is not None
    os.close(descriptor)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
