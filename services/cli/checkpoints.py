"""`gtn-nas checkpoint`: frozen GTN checkpoints."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import options
from services.cli.console import advise, connect, print_json, say, say_deleted, short_time, write_result
from services.cli.tables import Column, Rows, print_table
from services.visible import without_hidden

if TYPE_CHECKING:
    from services.client import Client
    from services.schemas import CheckpointView

app = typer.Typer(help="Frozen GTN checkpoints.", no_args_is_help=True)

CheckpointId = Annotated[
    str, typer.Argument(help="Checkpoint id, the start of one, a name (the newest of it), or `latest`.")
]
COLUMNS = (
    Column("checkpoint"),
    Column("name", folds_to=8),
    Column("data set"),
    Column("steps", right=True),
    Column("accuracy", right=True),
    Column("created"),
)
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write; - for stdout.")]


def _png(path: Path) -> Path:
    if path.suffix.lower() not in ("", ".png"):
        raise typer.BadParameter(f"{path} does not end in .png; pictures are PNG files")
    return path


Picture = Annotated[
    Path, typer.Option("--output", "-o", help="PNG file to write; - for stdout.", callback=_png)
]


@app.command("list")
def list_checkpoints(
    limit: options.Limit = 20, as_json: options.AsJson = False, url: options.Url = None
) -> None:
    """List checkpoints, newest first.

    Example: `gtn-nas checkpoint list`
    """
    with connect(url) as client:
        checkpoints = list(client.list_checkpoints(limit=limit))
    if as_json:
        print_json(checkpoints)
        return
    print_table(Rows(COLUMNS, [_cells(checkpoint) for checkpoint in checkpoints]))


@app.command()
def show(
    checkpoint: CheckpointId,
    _as_json: options.AsJson = True,
    url: options.Url = None,
) -> None:
    """Print a checkpoint's manifest as JSON.

    Example: `gtn-nas checkpoint show latest`
    """
    with connect(url) as client:
        print_json(client.get_checkpoint(resolve_checkpoint(client, checkpoint)))


@app.command()
def samples(
    checkpoint: CheckpointId, output: Picture, as_json: options.AsJson = False, url: options.Url = None
) -> None:
    """Write a picture of the synthetic data: one row per inner step, one column per class.

    Example: `gtn-nas checkpoint samples latest -o samples.png`
    """
    with connect(url) as client:
        content = client.samples(resolve_checkpoint(client, checkpoint))
    write_result(content, output, as_json=as_json)


@app.command()
def curves(
    checkpoint: CheckpointId, output: Picture, as_json: options.AsJson = False, url: options.Url = None
) -> None:
    """Write a picture of how fast it teaches: accuracy by inner step, learned learning rates and momenta.

    Example: `gtn-nas checkpoint curves digits -o curves.png`
    """
    with connect(url) as client:
        content = client.curves(resolve_checkpoint(client, checkpoint))
    write_result(content, output, as_json=as_json)


@app.command("import")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A checkpoint file.")],
    name: options.Name = None,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Upload a checkpoint file, and print its id.

    Example: `gtn-nas checkpoint import digits.gtn --name my-digits`
    """
    with connect(url) as client:
        stored = client.create_checkpoint(file, name=name)
    if name and stored.name != without_hidden(name):
        advise(f"already here as {stored.name!r}; its name stays")
    if as_json:
        print_json(stored)
    else:
        say(stored.id)


@app.command("export")
def export_checkpoint(
    checkpoint: CheckpointId, output: Output, as_json: options.AsJson = False, url: options.Url = None
) -> None:
    """Write a checkpoint file.

    Example: `gtn-nas checkpoint export latest -o digits.gtn`
    """
    with connect(url) as client:
        content = client.download_checkpoint(resolve_checkpoint(client, checkpoint))
    write_result(content, output, as_json=as_json)


@app.command()
def delete(checkpoint: CheckpointId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Delete a checkpoint that no search and no fidelity report is about.

    Example: `gtn-nas checkpoint delete 0f3a9c7be2d34c58`
    """
    with connect(url) as client:
        identifier = resolve_checkpoint(client, checkpoint)
        client.delete_checkpoint(identifier)
    say_deleted(identifier, as_json=as_json)


def _cells(checkpoint: "CheckpointView") -> tuple[str, ...]:
    manifest = checkpoint.manifest
    accuracy = manifest["metrics"].get("validation_accuracy")
    return (
        checkpoint.id[:16],
        checkpoint.name or "",
        manifest["dataset"]["name"],
        str(manifest["config"]["inner_steps"]),
        "" if accuracy is None else f"{accuracy:.1%}",
        short_time(checkpoint.created_at),
    )


def resolve_checkpoint(client: "Client", text: str) -> str:
    """The full id of the newest of a name, of `latest`, of the start of an id, or of an id.

    Raises GtnNasError when the text is none of these, or the start of several ids.
    """
    from gtn_core.errors import GtnNasError
    from services.schemas.checkpoints import latest

    if re.fullmatch("[0-9a-f]{64}", text):
        return text
    if not text:  # as of a variable that is not set: the start of every id
        raise GtnNasError("the id of the checkpoint is empty; `gtn-nas checkpoint list` shows what there is")
    known = list(client.list_checkpoints())  # newest first
    if text == "latest":
        chosen = latest(known)
        found = [] if chosen is None else [chosen.id]
    else:
        found = [each.id for each in known if each.name == text][:1]
        found = found or [each.id for each in known if each.id.startswith(text)]
    if len(found) != 1:
        raise GtnNasError(
            f"{len(found) or 'no'} checkpoints match {text!r}; `gtn-nas checkpoint list` shows them, "
            "`gtn-nas train-gtn` makes one"
        )
    return found[0]
