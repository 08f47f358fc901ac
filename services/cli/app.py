"""The commands, put together in the order in which a user meets them."""

from importlib.metadata import version
from typing import Annotated

import typer

from services.cli import administration, checkpoints, fidelity, jobs, results, serving, steering, submission
from services.cli.console import say
from services.cli.failures import Commands


def _tell_version(asked: bool) -> None:
    if asked:
        say(f"gtn-nas {version('gtn-nas')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit."),
]

app = typer.Typer(
    name="gtn-nas",
    cls=Commands,
    help="Neural architecture search on Generative Teaching Networks.\n\n"
    "Start with `gtn-nas demo`, or with `gtn-nas up` in one terminal and the other commands in a second.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options_of_all(_version: Version = False) -> None:
    """Options that stand before a command."""


app.command()(serving.demo)
app.command()(serving.up)
app.command()(serving.serve)
app.command("meta-worker")(serving.meta_worker)
app.command("train-gtn")(submission.train_gtn)
app.command()(submission.search)
app.command()(submission.clone)
app.command()(jobs.jobs)
app.command()(jobs.status)
app.command()(jobs.follow)
app.command()(steering.edit)
app.command()(steering.pause)
app.command()(steering.resume)
app.command()(steering.extend)
app.command()(steering.cancel)
app.command()(steering.delete)
app.command()(results.rank)
app.command()(results.show)
app.command()(submission.retrain)
app.command()(results.export)
app.command()(fidelity.fidelity)
app.add_typer(checkpoints.app, name="checkpoint")
app.add_typer(administration.api_key_app, name="api-key")
app.add_typer(administration.db_app, name="db")
