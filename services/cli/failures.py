"""Errors that a user can do something about, each in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

from services.visible import one_line


def message_of(error: Exception) -> str | None:
    """What to tell the user; None for an error that nobody expected."""
    # Imported when something has gone wrong, and not before: `--help` should be there at once.
    from pydantic import ValidationError

    from gtn_core.errors import GtnNasError
    from services.errors import in_own_words

    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or error.title}: {in_own_words(problem['msg'])}"
            for problem in error.errors(include_url=False)
        )
    if isinstance(error, ModuleNotFoundError) and error.name in _ONLY_FOR_LEARNING:
        return (
            f"this needs {error.name}, which is not installed here; "
            "do it where the package is complete: see docs/cluster.md"
        )
    if isinstance(error, ModuleNotFoundError) and error.name in _ONLY_ON_POSIX:
        return (
            "the services run on Linux and macOS, on Windows in its subsystem for Linux; "
            "here only the commands that talk to a controller do: pass its --url"
        )
    if isinstance(error, UnicodeEncodeError):
        unreadable = error.object[error.start : error.end]
        return (
            f"{unreadable!r} cannot be sent: it was given in another encoding than the locale's; "
            "set LC_ALL=C.UTF-8, or use other letters"
        )
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, GtnNasError | OSError):
        return " ".join(str(error).split())
    return None


def complain(message: str) -> None:
    """The one line of a failure."""
    print(f"gtn-nas: {one_line(message)}", file=sys.stderr)


class Commands(TyperGroup):
    """Commands whose wrong usage is told as any other failure, with where to read how they are used."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the options before the command."""
        with _usage_told():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest, and run the command."""
        with _usage_told():
            return super().invoke(ctx)


@contextmanager
def _usage_told() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer has told how it is used
            raise
        told = error.format_message().removesuffix(".")
        own = told.removeprefix("Invalid value: ")
        message = told[0].lower() + told[1:] if own == told else own
        command = error.ctx.command_path if error.ctx else "gtn-nas"
        complain(f"{message}; how it is used: {command} --help")
        raise typer.Exit(2) from error


# By Typer's name for one: the class is of click, of which Typer may bring its own copy.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


_ONLY_FOR_LEARNING = {"torch", "ray", "optuna", "sklearn"}  # docker/controller.Dockerfile leaves them out
_ONLY_ON_POSIX = {"fcntl", "resource"}  # locks that runners inherit; how many files a process may open
