"""Options that several commands share, and how their values are read."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

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
Limit = Annotated[int, typer.Option("--limit", min=1, help="Most rows to show.")]

# Each stands for the setting of the same name; without it the environment or the default decides.
DataDir = Annotated[Path | None, typer.Option(help="Folder of the database, artifacts and logs.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="sqlite:////PATH or postgresql://USER@HOST/DATABASE.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")]
RayAddress = Annotated[str | None, typer.Option(help="Ray cluster of the searches, such as HOST:6379.")]
RayJobsUrl = Annotated[str | None, typer.Option(help="Run searches as Ray Jobs through this URL.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]


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
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values


def dataset(text: str, image_size: int | None) -> dict[str, Any]:
    """`mnist:data/mnist` as the API's data set, its path made absolute: the controller stands elsewhere."""
    name, _, path = text.partition(":")
    values: dict[str, Any] = {"name": name}
    if path:
        values["path"] = str(Path(path).expanduser().absolute())
    if image_size is not None:
        values["image_size"] = image_size
    return values
