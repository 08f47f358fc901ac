"""Files from which a training that was cut off goes on."""

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gtn_core.files import write_atomically


def write_state(path: Path, state: dict[str, Any], *, is_ahead: Callable[[dict[str, Any]], bool]) -> None:
    """Write the state; after a crash the file holds this state or the one before.

    One that `is_ahead` stays: whoever wrote it took over from a process that was suspended, which is this
    one.
    """
    with suppress(Exception):  # no file, or none of a training: nothing to lose
        if is_ahead(read_state(path)):
            return
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def differences(found: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """In which parts two identities differ, for people to read; empty if they are equal."""
    return ", ".join(
        f"{name} {found.get(name)} there and {ours.get(name)} here"
        for name in sorted(found.keys() | ours.keys())
        if found.get(name) != ours.get(name)
    )


def read_state(path: Path) -> dict[str, Any]:
    """What was written. Raises whatever broken bytes lead torch.load to."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
