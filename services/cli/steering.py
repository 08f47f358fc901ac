"""Commands that change jobs: edit, pause, resume, extend, cancel, delete."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import options
from services.cli.console import connect, deletion, print_json, say
from services.cli.failures import complain
from services.cli.jobs import JobId, JobIds, SearchId, SearchIds, resolve_job, resolve_search

if TYPE_CHECKING:
    from services.client import Client, Job


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
        edited = client.edit(resolve_job(client, job), name=name, priority=priority)
    if as_json:
        print_json(edited)
    else:
        say(f"{edited.name or edited.id}, priority {edited.priority}")


def pause(searches: SearchIds, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Stop scoring candidates until `resume`; what was scored stays.

    Example: `gtn-nas pause 1f0c9a7be2d34c58`
    """
    _each(searches, lambda client, search: client.pause(search), url, as_json=as_json, resolve=resolve_search)


def resume(jobs: JobIds, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Let paused searches, and jobs that failed, go on from where they were.

    Example: `gtn-nas resume 1f0c9a7be2d34c58`
    """
    _each(jobs, lambda client, job: client.resume(job), url, as_json=as_json)


def extend(
    search: SearchId,
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
    _each(
        [search],
        lambda client, search: client.extend(search, candidates=candidates, seconds=seconds),
        url,
        as_json=as_json,
        resolve=resolve_search,
    )


def cancel(jobs: JobIds, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """End jobs for good; a search keeps what was scored. A name must be that of one job alone.

    Example: `gtn-nas cancel 1f0c9a7be2d34c58`
    """
    _each(jobs, lambda client, job: client.cancel(job), url, as_json=as_json, resolve=_unambiguous)


def delete(jobs: JobIds, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Delete jobs that have ended: a search with its candidates, a final training with its weights.

    Final trainings of a search's candidates are cancelled; the checkpoint of a meta-training stays.
    A name must be that of one job alone.

    Example: `gtn-nas delete 1f0c9a7be2d34c58`
    """
    _each(jobs, lambda client, job: client.delete(job), url, as_json=as_json, resolve=_unambiguous)


def _unambiguous(client: "Client", text: str) -> str:
    """As `resolve_job`; what cannot be taken back happens to no job that only shares the name."""
    return resolve_job(client, text, unambiguous=True)


def _each(
    given: list[str],
    act: "Callable[[Client, str], Job | None]",
    url: str | None,
    *,
    as_json: bool,
    resolve: "Callable[[Client, str], str]" = resolve_job,
) -> None:
    """Do it to each job. Where there are several, what fails is told in a line, and the others are done."""
    from gtn_core.errors import GtnNasError
    from services.client import ControllerUnreachableError

    several = len(given) > 1
    done: list[Any] = []
    with connect(url) as client:
        for text in given:
            try:
                identifier = resolve(client, text)
                job = act(client, identifier)
            except GtnNasError as error:
                if not several or isinstance(error, ControllerUnreachableError):
                    raise
                complain(f"{text}: {' '.join(str(error).split())}")
                continue
            done.append(job or deletion(identifier))
            if not as_json:
                state = job.state.value if job else "deleted"
                say(f"{text}: {state}" if several else state)
    if as_json:
        print_json(done if several else done[0])
    if len(done) < len(given):
        raise typer.Exit(1)
