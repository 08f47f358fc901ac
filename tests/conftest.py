"""Fixtures and settings that every test shares."""

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from .other_device import OtherDevice

# Workers of pytest-xdist share the cores; one thread each keeps them from fighting over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# The tests start hundreds of processes: where Python is told to keep no bytecode, each compiles all again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Ray's workers would give way to everything else (15), so that they stand still while other tests compute.
os.environ.setdefault("RAY_worker_niceness", "0")
# Nor does it start a worker per processor before any is asked for.
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")


class FailuresAtOnce:
    """Names what fails when it fails: a run that is cut off never comes to its summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            line = f"FAILED in {report.when} after {report.duration:.0f} s: {report.nodeid}"
            self._terminal.ensure_newline()
            self._terminal.write_line(line, red=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(FailuresAtOnce(terminal))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout; tests that need it are skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}")
    return folder


@pytest.fixture
def other_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherDevice]:
    """A device beside the CPU, which is watched while the test runs."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it refuses `meta`
    with OtherDevice() as device:
        yield device
