"""Commands that look at jobs: jobs, status, follow."""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import options
from services.cli.console import advise, connect, local_time, print_json, say, short_time
from services.cli.progress import ending, measured, watch
from services.cli.tables import Column, Rows, print_table
from services.lifecycle import JobState
from services.objectives import first_objective
from services.visible import hanging, one_line

if TYPE_CHECKING:
    from services.client import Client, Job

JobId = Annotated[
    str,
    typer.Argument(
        help="Id or name of a meta-training, search, final training or fidelity report; of several with one "
        "name the newest counts."
    ),
]
JobIds = Annotated[list[str], typer.Argument(help="Ids or names of jobs.")]
SearchId = Annotated[str, typer.Argument(help="Id or name of a search; of one name the newest.")]
SearchIds = Annotated[list[str], typer.Argument(help="Ids or names of searches; of one name the newest.")]

COLUMNS = (
    Column("kind"),
    Column("id"),
    Column("name", folds_to=8),
    Column("state"),
    Column("progress", right=True),
    Column("created"),
)


class Kind(StrEnum):
    """Kinds of jobs, as a person calls them."""

    META_TRAINING = "meta-training"
    SEARCH = "search"
    FINAL_TRAINING = "final-training"
    FIDELITY_REPORT = "fidelity-report"


def jobs(
    kind: Annotated[Kind | None, typer.Option(help="Only jobs of this kind.")] = None,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs with this in their name.")] = None,
    limit: options.Limit = 20,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """List jobs of every kind, newest first.

    Example: `gtn-nas jobs --state running --name baseline`
    """
    kinds = list(Kind) if kind is None else [kind]
    with connect(url) as client:
        found = [(each, job) for each in kinds for job in _list(client, each, state, name, limit)]
    found = sorted(found, key=lambda each: each[1].created_at, reverse=True)[:limit]
    if as_json:
        print_json([job for _, job in found])
    else:
        print_table(Rows(COLUMNS, [_cells(each, job) for each, job in found]))
        for _, job in found:
            if job.waiting_for:
                advise(f"{job.id} waits for {one_line(job.waiting_for)}")


def status(job: JobId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Show where one job stands, and what it was asked to do.

    Example: `gtn-nas status 1f0c9a7be2d34c58`
    """
    with connect(url) as client:
        found = client.get_job(resolve_job(client, job))
    if as_json:
        print_json(found)
    else:
        facts = {name.replace("_", " "): value for name, value in _facts(found).items() if value}
        indent = max(map(len, facts))
        say(
            "\n".join(f"{name:<{indent}}  {hanging(str(value), indent + 2)}" for name, value in facts.items())
        )


def follow(job: JobId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Show a job's progress until it has ended; Ctrl-C ends the watching, not the job.

    Example: `gtn-nas follow 1f0c9a7be2d34c58`
    """
    with connect(url) as client:
        found = client.get_job(resolve_job(client, job))
        ended = watch(client, found, found.kind.noun)
    if as_json:
        print_json(ended)


def resolve_job(
    client: "Client", text: str, kinds: Sequence[Kind] = tuple(Kind), *, unambiguous: bool = False
) -> str:
    """The id itself, or that of the newest job of this name.

    Raises GtnNasError where none has it, or several where it is to be unambiguous.
    """
    from gtn_core.errors import GtnNasError

    if re.fullmatch(options.JOB, text):
        return text
    if re.fullmatch(f"{options.JOB}-[0-9]+", text):
        search = text.partition("-")[0]
        raise GtnNasError(f"{text} is a candidate: gtn-nas show {text}; its search: gtn-nas rank {search}")
    if not text:  # as of a variable that is not set: the name of every job without one
        raise GtnNasError("the id of the job is empty; `gtn-nas jobs` shows what there is")
    lists = (_list(client, kind, name=text) for kind in kinds)
    most = 2 if unambiguous else 1
    named = [job for jobs in lists for job in islice((job for job in jobs if job.name == text), most)]
    if not named:
        kind = kinds[0] if len(kinds) == 1 else "job"
        raise GtnNasError(f"no {kind} with id or name {text!r}; `gtn-nas jobs` lists them")
    if unambiguous and len(named) > 1:
        raise GtnNasError(f"several jobs are called {text!r}; give the id, which `gtn-nas jobs --name` shows")
    return max(named, key=lambda job: job.created_at).id


def resolve_search(client: "Client", text: str) -> str:
    """As `resolve_job`, of searches alone."""
    return resolve_job(client, text, (Kind.SEARCH,))


def _list(
    client: "Client",
    kind: Kind,
    state: JobState | None = None,
    name: str | None = None,
    limit: int | None = None,
) -> "Iterable[Job]":
    match kind:
        case Kind.META_TRAINING:
            return client.list_meta_trainings(state=state, name=name, limit=limit)
        case Kind.SEARCH:
            return client.list_searches(state=state, name=name, limit=limit)
        case Kind.FINAL_TRAINING:
            return client.list_final_trainings(state=state, name=name, limit=limit)
        case Kind.FIDELITY_REPORT:
            return client.list_fidelity_reports(state=state, name=name, limit=limit)


def _cells(kind: Kind, job: "Job") -> tuple[str, ...]:
    progress = f"{job.progress.done}/{job.progress.total}"
    return (kind, job.id, job.name, job.state, progress, short_time(job.created_at))


def _facts(job: "Job") -> dict[str, Any]:
    """What there is to say of a job, in order; empty where it has nothing of the kind."""
    special = job.model_dump()
    best, accuracy = special.get("best"), special.get("test_accuracy")
    return {
        "id": job.id,
        "name": job.name,
        "state": f"{job.state}, {job.progress.done}/{job.progress.total}",
        "waiting_for": job.waiting_for,
        "error": job.error,
        "ended": ending(job),
        "failed": _failed(special.get("failures")),
        "best": best and f"{best['id']}, {_result(job, best['metrics'])}",
        "test_accuracy": "" if accuracy is None else f"{accuracy:.2%}",
        "created": local_time(job.created_at),
        "started": local_time(job.started_at),
        "finished": local_time(job.finished_at),
        "checkpoint_id": special.get("checkpoint_id"),
        "candidate_id": special.get("candidate_id"),
        **{name: _short(value) for name, value in job.request.items() if name != "name"},
    }


def _failed(failures: list[dict[str, Any]] | None) -> str:
    """How many candidates, and why: each reason with the first that had it."""
    reasons = [f"{each['count']:,} × {each['reason']}, first {each['first']}" for each in failures or ()]
    return "; ".join(reasons)


def _result(job: "Job", metrics: dict[str, Any]) -> str:
    """By what the search works for, and its accuracy."""
    told = dict.fromkeys((first_objective(job.request), "accuracy"))
    known = {name: metrics[name] for name in told if metrics.get(name) is not None}
    return ", ".join(measured(value, name, decimals=2) for name, value in known.items())


def _short(value: Any) -> str:
    """`{"name": "gtn", "steps": 3}` as `gtn, steps 3`; what is not set is left out."""
    if isinstance(value, dict):
        given = {name: _short(each) for name, each in value.items() if each is not None}
        return ", ".join(text if name == "name" else f"{name} {text}" for name, text in given.items())
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    return "" if value is None else str(value)
