"""Where output goes: results to stdout, all else to stderr."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from services.visible import visible

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from services.client import Client

STDOUT = Path("-")
"""As an output file."""


def connect(url: str | None, **options: Any) -> "Client":
    """A client of the controller at `url`, with the API key of the environment."""
    from services.client import Client
    from services.client.connection import DEFAULT_URL

    return Client(url or DEFAULT_URL, api_key=os.environ.get("GTN_NAS_API_KEY") or None, **options)


def stdout() -> "Console":
    """The console for results."""
    from rich.console import Console

    return Console(width=_width(sys.stdout))


def stderr() -> "Console":
    """The console for progress and advice."""
    from rich.console import Console

    return Console(stderr=True, width=_width(sys.stderr))


def _width(stream: TextIO) -> int | None:
    """The terminal's own width; elsewhere so much that tables need not fold."""
    return None if stream.isatty() or "COLUMNS" in os.environ else 200


def say(text: object) -> None:
    """A result for people, on stdout; brackets, numbers and long lines stay as they are."""
    stdout().print(visible(str(text)), highlight=False, markup=False, emoji=False, soft_wrap=True)


def write_result(content: bytes, output: Path, *, as_json: bool) -> None:
    """The result of a command that makes a file: the file, whole or not at all, and where it is.

    `-` is stdout, which then has the file alone.
    """
    if output == STDOUT and as_json:
        raise typer.BadParameter("the file and JSON cannot both be alone on stdout; leave out --json")
    if output == STDOUT:
        sys.stdout.buffer.write(content)
        return
    write_file(content, output)
    say_written(output, as_json=as_json)


def write_file(content: bytes, path: Path) -> None:
    """What is there already stays if this fails; a device or a pipe stays what it is."""
    from gtn_core.files import write_atomically

    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        write_atomically(path.resolve(), content)


def say_written(path: Path, *, as_json: bool) -> None:
    """Where a file or folder is that was written."""
    if as_json:
        print_json({"path": str(path)})
    else:
        say(path)


def say_deleted(identifier: str, *, as_json: bool) -> None:
    """That what has this id is gone."""
    if as_json:
        print_json(deletion(identifier))
    else:
        say("deleted")


def deletion(identifier: str) -> dict[str, Any]:
    """What `--json` says of what is gone."""
    return {"id": identifier, "deleted": True}


def advise(text: str) -> None:
    """A remark on stderr."""
    stderr().print(visible(text), highlight=False, markup=False, emoji=False)


def local_time(moment: datetime | None) -> str:
    """Date, time to the second, and zone: this machine's."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def short_time(moment: datetime | None) -> str:
    """As `local_time`, for tables: to the minute in this year, to the day before."""
    if moment is None:
        return ""
    local = moment.astimezone()
    this_year = local.year == datetime.now(UTC).astimezone().year
    return f"{local:%m-%d %H:%M}" if this_year else f"{local:%Y-%m-%d}"


def print_json(value: "BaseModel | dict[str, Any] | Sequence[BaseModel | dict[str, Any]]") -> None:
    """One JSON document on stdout."""
    print(json.dumps(_plain(value), indent=2))


def _plain(value: "BaseModel | dict[str, Any] | Sequence[BaseModel | dict[str, Any]]") -> Any:
    if isinstance(value, dict):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json")
