"""Fixtures and settings that every test shares."""

import os
from pathlib import Path

import pytest
import torch

# Workers of pytest-xdist share the cores; one thread each keeps them from fighting over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; tests that need it are skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}")
    return folder
