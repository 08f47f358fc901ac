"""Commands on jobs that are under way: jobs, follow, pause, resume, cancel."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import options
from services.cli.console import connect, print_json, say, stdout
from services.cli.progress import watch

if TYPE_CHECKING:
    from services.client import Job

JobId = Annotated[str, typer.Argument(help="Id of a meta-training, search or final training.")]
SearchId = Annotated[str, typer.Argument(help="Id of a search.")]


def jobs(limit: options.Limit = 10, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """List the newest searches, meta-trainings and final trainings.

    Example: `gtn-nas jobs --limit 5`
    """
    with connect(url) as client:
        listed: list[tuple[str, Job]] = [
            *(("meta-training", job) for job in client.list_meta_trainings(limit=limit)),
            *(("search", job) for job in client.list_searches(limit=limit)),
            *(("final training", job) for job in client.list_final_trainings(limit=limit)),
        ]
    if as_json:
        print_json([job for _, job in listed])
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    table = Table("kind", Column("id", no_wrap=True), "name", "state", "progress", "created", box=SIMPLE_HEAD)
    for kind, job in listed:
        progress = f"{job.progress.done}/{job.progress.total}"
        created = f"{job.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(kind, job.id, job.name or "", job.state, progress, created)
    stdout().print(table)


def follow(job: JobId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Show a job's progress until it has ended.

    Example: `gtn-nas follow 1f0c9a7be2d3`
    """
    with connect(url) as client:
        ended = watch(client, client.get_job(job), "job")
    if as_json:
        print_json(ended)


def pause(search: SearchId, url: options.Url = None) -> None:
    """Stop scoring candidates until `resume`; what was scored stays.

    Example: `gtn-nas pause 1f0c9a7be2d3`
    """
    with connect(url) as client:
        say(client.pause(search).state.value)


def resume(search: SearchId, url: options.Url = None) -> None:
    """Let a paused search go on from where it was.

    Example: `gtn-nas resume 1f0c9a7be2d3`
    """
    with connect(url) as client:
        say(client.resume(search).state.value)


def cancel(job: JobId, url: options.Url = None) -> None:
    """End a job for good; a search keeps what was scored.

    Example: `gtn-nas cancel 1f0c9a7be2d3`
    """
    with connect(url) as client:
        say(client.cancel(job).state.value)
