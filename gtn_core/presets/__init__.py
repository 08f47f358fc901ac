"""Named configurations of meta-training, and the frozen checkpoints that come with the package."""

import tomllib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from gtn_core.errors import UnknownNameError


def preset_names() -> list[str]:
    """The presets that `load_preset` knows."""
    return sorted(_presets())


def load_preset(name: str) -> dict[str, Any]:
    """The fields of a MetaTrainingConfig that a preset sets. Raises UnknownNameError."""
    if name not in _presets():
        raise UnknownNameError("preset", name, _presets())
    return tomllib.loads(_presets()[name].read_text())


def shipped_checkpoints() -> dict[str, bytes]:
    """The contents of the frozen checkpoints that come with the package, by name."""
    return {name: file.read_bytes() for name, file in _found(".gtn").items()}


@cache
def _presets() -> dict[str, Traversable]:
    return _found(".toml")


def _found(suffix: str) -> dict[str, Traversable]:
    folder = files("gtn_core.presets").iterdir()
    return {file.name.removesuffix(suffix): file for file in folder if file.name.endswith(suffix)}
