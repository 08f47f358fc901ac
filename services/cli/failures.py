"""Errors that a user can do something about, each in one line."""


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


_ONLY_FOR_LEARNING = {"torch", "ray", "optuna", "sklearn"}  # docker/controller.Dockerfile leaves them out
_ONLY_ON_POSIX = {"fcntl", "resource"}  # locks that runners inherit; how many files a process may open
