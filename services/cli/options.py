"""Options that several commands share, and how their values are read."""

import inspect
import json
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from services.cli.console import advise

if TYPE_CHECKING:
    from services.settings import Settings

P = ParamSpec("P")

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="GTN_NAS_URL", show_default="http://127.0.0.1:8000", help="Address of the controller."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show progress until it has ended.")]
Name = Annotated[str | None, typer.Option("--name", help="A name for people; need not be unique.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Fixes everything that is random.")]
Priority = Annotated[int | None, typer.Option("--priority", help="Higher first; 0 when not given.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Most rows to show.")]


def _candidate_id(text: str) -> str:
    if re.fullmatch(JOB, text):
        from gtn_core.errors import GtnNasError

        raise GtnNasError(
            f"{text} has no number, and so is no candidate; those of a search: gtn-nas rank {text}"
        )
    return text


JOB = "[0-9a-f]{16}"
"""What ids of jobs look like; those of candidates have a number behind it."""

CandidateId = Annotated[
    str, typer.Argument(help="Candidate id, as `gtn-nas rank` shows it.", callback=_candidate_id)
]

SETTINGS: dict[str, Any] = {
    "data_dir": Annotated[Path | None, typer.Option(help="Folder of the database, artifacts and logs.")],
    "database_url": Annotated[
        str | None, typer.Option(help="sqlite:////PATH or postgresql://USER@HOST/DATABASE.")
    ],
    "host": Annotated[str | None, typer.Option(help="Address to listen on.")],
    "port": Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")],
    "api_key": Annotated[
        str | None,
        typer.Option(
            help="Bootstrap API key. Other users of this machine see what commands are given: rather set "
            "GTN_NAS_API_KEY."
        ),
    ],
    "ray_address": Annotated[
        str | None, typer.Option(help="Ray cluster of searches and ranks, such as HOST:6379.")
    ],
    "ray_jobs_url": Annotated[
        str | None, typer.Option(help="Run searches and trainings as Ray Jobs through this URL.")
    ],
    "log_level": Annotated[str | None, typer.Option(help="debug, info, warning or error.")],
}
"""Options that stand for the setting of the same name; without one the environment or the default decides."""

DATABASE = ("data_dir", "database_url")
CONTROLLER = (*DATABASE, "host", "port", "api_key", "ray_address", "ray_jobs_url", "log_level")


def takes_settings(*names: str) -> Callable[[Callable[Concatenate["Settings", P], None]], Callable[P, None]]:
    """Decorates a command whose first parameter is the settings: those named become its options."""

    def decorate(command: Callable[Concatenate["Settings", P], None]) -> Callable[P, None]:
        @wraps(command)
        def with_options(**given: Any) -> None:
            from services.wiring import load_settings

            settings = load_settings(**{name: given.pop(name) for name in names})
            if "log_level" not in names:  # what logs says so there
                _advise_of_misspelt_settings(settings)
            command(settings, **given)  # type: ignore[call-arg]  # Typer calls by name

        _, *own = inspect.signature(command).parameters.values()
        added = [_option(name, SETTINGS[name]) for name in names]
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *added)]
        # What Typer reads: once the signature, once the annotations.
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options  # type: ignore[return-value]

    return decorate


def _advise_of_misspelt_settings(settings: "Settings") -> None:
    from services.settings import misspelt, names_given

    for name, meant in misspelt(names_given(settings)).items():
        advise(f"there is no setting {name}; did you mean {meant}?")


def _option(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def named_space(what: str, name: str | None, options: list[str] | None) -> dict[str, Any] | None:
    """As `named_config`; a file's name stands for the macro space that the file describes."""
    if name is not None and Path(name).suffix in (".toml", ".json"):
        return {"name": "macro", "description": read_mapping(Path(name)), **key_values(options)}
    return named_config(what, name, options)


def named_config(what: str, name: str | None, options: list[str] | None) -> dict[str, Any] | None:
    """`nasbench201` and `["channels=8"]` as `{"name": "nasbench201", "channels": 8}`; None when not given."""
    if name is None and options:
        raise typer.BadParameter(f"--{what}-option is given without --{what}; name what it is an option of")
    return None if name is None else {"name": name, **key_values(options)}


def key_values(pairs: list[str] | None) -> dict[str, Any]:
    """`KEY=VALUE` pairs; a value that reads as JSON is taken as JSON, any other as text."""
    values = {}
    for pair in pairs or []:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{pair!r} is not of the form KEY=VALUE, such as channels=8")
        try:
            values[key] = json.loads(text, parse_constant=_no_number)
        except json.JSONDecodeError:
            values[key] = text
    return values


def read_mapping(path: Path | None) -> dict[str, Any]:
    """What a TOML file, or one whose name ends with .json, says; nothing where there is none."""
    import tomllib

    if path is None:
        return {}
    kind, read = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        said = read(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path} is not {kind}: {error}") from error
    if not isinstance(said, dict):
        raise typer.BadParameter(f"{path} is no JSON object, but {type(said).__name__}")
    try:
        json.dumps(said, allow_nan=False)
    except (TypeError, ValueError) as error:  # a date, or an infinite number
        raise typer.BadParameter(f"{path} holds what cannot be sent: {error}") from error
    return said


def _no_number(text: str) -> float:
    raise typer.BadParameter(f"{text} is no number that could be sent; null stands for none")


def lines(option: str, values: list[str] | None) -> list[str]:
    """The values, with the lines of FILE in the place of `@FILE`."""
    found: list[str] = []
    for value in values or []:
        try:
            text = Path(value[1:]).read_text(encoding="utf-8-sig") if value.startswith("@") else value
        except OSError as error:
            raise typer.BadParameter(f"--{option} {value}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"--{option} {value} is not text: {error}") from error
        given = [line.strip() for line in text.splitlines() if line.strip()]
        if not given:
            raise typer.BadParameter(f"--{option} {value or repr(value)} is empty")
        found += given
    return found


def dataset(text: str, image_size: int | None) -> dict[str, Any]:
    """`mnist:data/mnist` as the API's data set, its path made absolute: the controller stands elsewhere."""
    from gtn_core.data import DatasetSpec

    spec = DatasetSpec.parse(text)
    if spec.image_size is not None and image_size not in (None, spec.image_size):
        raise typer.BadParameter(
            f"{text!r} has another size than --image-size {image_size}; give one of them"
        )
    path = spec.path and str(Path(spec.path).expanduser().absolute())
    return {"name": spec.name, "path": path, "image_size": image_size or spec.image_size}


def table(path: Path | None) -> dict[str, str] | None:
    """The file's content, or its name where it is too long to be sent."""
    from gtn_core.errors import DatasetError

    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"table {path} cannot be read: {error}") from error
    # As long as it is when it is sent, where every quotation mark of an encoding takes two bytes.
    if len(json.dumps(text)) > LONGEST_TABLE:
        return {"path": str(path.absolute())}
    return {"csv": text}


LONGEST_TABLE = 900_000
"""Bytes of a table that a request carries; a larger one must lie where the workers can read it."""
