import sys
from pathlib import Path

import pytest
import torch

from services.controller.local_gpus import _asked, gpus_of_this_machine


@pytest.fixture(autouse=True)
def never_asked() -> None:
    _asked.cache_clear()


def test_there_are_as_many_as_pytorch_sees() -> None:
    assert gpus_of_this_machine() == torch.cuda.device_count()


def test_an_answer_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", _python(tmp_path, "echo 3; echo asked >> $0.log"))

    assert [gpus_of_this_machine() for _ in range(2)] == [3, 3]
    assert (tmp_path / "python.log").read_text() == "asked\n"


def test_without_pytorch_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", _python(tmp_path, "exit 1"))

    assert gpus_of_this_machine() == 0


def _python(folder: Path, does: str) -> str:
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.controller.local_gpus._PATIENCE_SECONDS", 0.2)


@pytest.mark.usefixtures("busy")
def test_a_machine_that_is_too_busy_to_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", _python(tmp_path, "exec sleep 60"))
    assert gpus_of_this_machine() == 0
    (tmp_path / "python").chmod(0o644)  # as while a Python is being replaced
    assert gpus_of_this_machine() == 0
    monkeypatch.setattr("services.controller.local_gpus._PATIENCE_SECONDS", 60)
    _python(tmp_path, "echo 2")
    assert gpus_of_this_machine() == 2
