"""Commands that read what searches found: rank, show, export."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import options
from services.cli.candidates import candidate_rows, describe
from services.cli.console import (
    STDOUT,
    advise,
    connect,
    print_json,
    say,
    say_written,
    stdout,
    write_result,
)
from services.cli.jobs import SearchId, resolve_search
from services.cli.progress import advise_of_missing
from services.cli.tables import print_table
from services.export_formats import ExportFormat

if TYPE_CHECKING:
    from services.client.candidates import CandidateQuery
    from services.schemas import ArchitectureView


def rank(
    search: SearchId,
    limit: options.Limit = 20,
    pareto: Annotated[
        bool, typer.Option(help="Only those that no other beats in every objective of the search.")
    ] = False,
    order_by: Annotated[
        str | None,
        typer.Option(
            help="accuracy, loss, params, flops, seconds, number or created_at; a minus before it is for the "
            "largest first.",
            show_default="rank",
        ),
    ] = None,
    max_params: Annotated[int | None, typer.Option(min=0, help="Only those with at most so many.")] = None,
    max_flops: Annotated[int | None, typer.Option(min=0, help="Only those with at most so many.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(min=0, help="Only those that were measured to be as fast.")
    ] = None,
    min_accuracy: Annotated[float | None, typer.Option(help="Only those as good, from 0 to 1.")] = None,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Show the ranked architectures of a search, also while it runs.

    Example: `gtn-nas rank 1f0c9a7be2d34c58 --limit 5 --max-params 100000`
    """
    asked: CandidateQuery = {
        "state": "succeeded",
        "order_by": order_by,
        "max_params": max_params,
        "max_flops": max_flops,
        "max_latency_ms": max_latency_ms,
        "min_accuracy": min_accuracy,
    }
    narrowed = [name for name, value in asked.items() if value is not None and name != "state"]
    if pareto and narrowed:
        raise typer.BadParameter(
            f"--pareto is of the whole search; leave out --{narrowed[0].replace('_', '-')}"
        )
    with connect(url) as client:
        search = resolve_search(client, search)
        if pareto:
            candidates = client.pareto(search)[:limit]
        else:
            candidates = list(client.candidates(search, limit=limit, **asked))
        failed = [] if candidates else list(client.candidates(search, limit=1, state="failed"))
        job = client.get_search(search)
    if as_json:
        print_json(candidates)
        return
    advise_of_missing(job)
    if candidates:
        print_table(candidate_rows(candidates))
    else:
        bounded = set(narrowed) - {"order_by"}
        none = "no candidate is within these bounds" if bounded else "no candidate has a score"
        why = [f"{each.id} failed, {each.error.reason}: {each.error.detail}" for each in failed if each.error]
        advise("; ".join([none, *why, f"how the search is: gtn-nas status {search}"]))


def show(candidate: options.CandidateId, as_json: options.AsJson = False, url: options.Url = None) -> None:
    """Show one candidate, with its cell drawn.

    Example: `gtn-nas show 1f0c9a7be2d34c58-17`
    """
    with connect(url) as client:
        found = client.get_candidate(candidate)
        space_config = client.get_search(found.search_id).request["search_space"]
    if as_json:
        print_json(found)
        return
    say(describe(found, _drawing(found.architecture, space_config), stdout().width))


def _drawing(architecture: "ArchitectureView", space_config: dict[str, Any]) -> str:
    """The cell; where this machine lacks the space, which another package may bring, only that."""
    from gtn_core.errors import GtnNasError
    from nas import Architecture, get_search_space
    from nas.drawing import draw_text

    try:
        space = get_search_space(**space_config)
        return draw_text(space, Architecture(architecture.space, architecture.encoding))
    except GtnNasError as error:
        return f"not drawn: {error}"


def export(
    candidate: options.CandidateId,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write; - for stdout; python: a folder, .zip or -."),
    ],
    format_: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = "python",
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Write a retrained candidate as a model that runs without this package.

    Example: `gtn-nas export 1f0c9a7be2d34c58-17 --format python -o best-model`
    """
    with connect(url) as client:
        content = client.export(candidate, format_)
    if format_ == "python" and output != STDOUT and output.suffix != ".zip":
        unpack(content, output)
        say_written(output, as_json=as_json)
    else:
        write_result(content, output, as_json=as_json)


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files of an exported archive into a folder."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder)  # it strips drives, roots and `..` from the names
