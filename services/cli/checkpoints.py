"""`gtn-nas checkpoint`: frozen GTN checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli import options
from services.cli.console import connect, print_json, say, stdout
from services.cli.submission import resolve_checkpoint

app = typer.Typer(help="Frozen GTN checkpoints.", no_args_is_help=True)

CheckpointId = Annotated[str, typer.Argument(help="Checkpoint id, the start of one, or `latest`.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]


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
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    identifier = Column("checkpoint", no_wrap=True)  # cut ids are of no use
    table = Table(identifier, "data set", "inner steps", "validation accuracy", "created", box=SIMPLE_HEAD)
    for checkpoint in checkpoints:
        manifest = checkpoint.manifest
        accuracy = manifest["metrics"].get("validation_accuracy")
        table.add_row(
            checkpoint.id[:16],
            manifest["dataset"]["name"],
            str(manifest["config"]["inner_steps"]),
            "" if accuracy is None else f"{accuracy:.1%}",
            f"{checkpoint.created_at.astimezone():%Y-%m-%d %H:%M:%S}",
        )
    stdout().print(table)


@app.command()
def show(checkpoint: CheckpointId, url: options.Url = None) -> None:
    """Print a checkpoint's manifest as JSON.

    Example: `gtn-nas checkpoint show latest`
    """
    with connect(url) as client:
        print_json(client.get_checkpoint(resolve_checkpoint(client, checkpoint)))


@app.command()
def samples(checkpoint: CheckpointId, output: Output, url: options.Url = None) -> None:
    """Write a picture of the synthetic data: one row per inner step, one column per class.

    Example: `gtn-nas checkpoint samples latest -o samples.png`
    """
    with connect(url) as client:
        output.write_bytes(client.samples(resolve_checkpoint(client, checkpoint)))
    say(output)


@app.command("import")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A checkpoint file.")],
    url: options.Url = None,
) -> None:
    """Upload a checkpoint file, and print its id.

    Example: `gtn-nas checkpoint import digits.gtn`
    """
    with connect(url) as client:
        say(client.create_checkpoint(file).id)


@app.command("export")
def export_checkpoint(checkpoint: CheckpointId, output: Output, url: options.Url = None) -> None:
    """Write a checkpoint file.

    Example: `gtn-nas checkpoint export latest -o digits.gtn`
    """
    with connect(url) as client:
        output.write_bytes(client.download_checkpoint(resolve_checkpoint(client, checkpoint)))
    say(output)
