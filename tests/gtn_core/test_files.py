"""Files that are either whole or not there."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gtn_core.files import write_atomically


def test_a_new_file_is_readable_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "digits.gtn", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "digits.gtn").stat().st_mode) == 0o640


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "digits.gtn"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
