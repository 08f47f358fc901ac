"""Commands that change jobs: edit, pause, resume, extend, cancel, delete."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import options
from services.cli.console import connect, print_json, say, say_deleted
from services.cli.jobs import JobId

if TYPE_CHECKING:
    from services.client import Job


def edit(
    job: JobId,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="Higher first; counts while it waits.")
    ] = None,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Give a job another name, or another priority.

    Example: `gtn-nas edit 1f0c9a7be2d34c58 --name baseline --priority 10`
    """
    if name is None and priority is None:
        raise typer.BadParameter("nothing to change; give --name, --priority or both")
    with connect(url) as client:
        edited = client.edit(job, name=name, priority=priority)
    if as_json:
        print_json(edited)
    else:
        say(f"{edited.name or edited.id}, priority {edited.priority}")


def pause(search: options.SearchId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Stop scoring candidates until `resume`; what was scored stays.

    Example: `gtn-nas pause 1f0c9a7be2d34c58`
    """
    with connect(url) as client:
        _tell(client.pause(search), as_json=as_json)


def resume(job: JobId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Let a paused search, or a job that failed, go on from where it was.

    Example: `gtn-nas resume 1f0c9a7be2d34c58`
    """
    with connect(url) as client:
        _tell(client.resume(job), as_json=as_json)


def extend(
    search: options.SearchId,
    candidates: Annotated[
        int | None, typer.Option("--candidates", "-n", min=1, help="How many more to evaluate.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="How much longer it may take.")] = None,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Let a search score more candidates or take longer, also one that has ended.

    Example: `gtn-nas extend 1f0c9a7be2d34c58 --candidates 50`
    """
    if candidates is None and seconds is None:
        raise typer.BadParameter("nothing to add; give --candidates, --seconds or both")
    with connect(url) as client:
        _tell(client.extend(search, candidates=candidates, seconds=seconds), as_json=as_json)


def cancel(job: JobId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """End a job for good; a search keeps what was scored.

    Example: `gtn-nas cancel 1f0c9a7be2d34c58`
    """
    with connect(url) as client:
        _tell(client.cancel(job), as_json=as_json)


def delete(job: JobId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Delete a job that has ended: a search with its candidates, a final training with its weights.

    Final trainings of a search's candidates are cancelled; the checkpoint of a meta-training stays.

    Example: `gtn-nas delete 1f0c9a7be2d34c58`
    """
    with connect(url) as client:
        client.delete(job)
    say_deleted(job, as_json=as_json)


def _tell(job: "Job", *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        say(job.state.value)
