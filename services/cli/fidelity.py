"""`gtn-nas fidelity`: how well proxy scores rank architectures whose true accuracy is known."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli import options
from services.cli.checkpoints import resolve_checkpoint
from services.cli.console import advise, connect, write_file
from services.cli.progress import News, progress_display, watch
from services.cli.tables import Column, Rows, print_table
from services.given import given

if TYPE_CHECKING:
    from gtn_core import FrozenCheckpoint


def fidelity(
    table: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV with the columns architecture, accuracy; without one, candidates are trained for real.",
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="A checkpoint file, or an id, the start of one or `latest` at the controller.")
    ] = "latest",
    space: Annotated[str, typer.Option(help="Search space of the table, or its file.")] = "nasbench201",
    candidates: Annotated[
        int | None, typer.Option("--candidates", "-n", min=2, help="How many to draw.", show_default="100")
    ] = None,
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME, NAME:KEY=VALUE,… or NAME:{JSON}; repeat it.",
            show_default="gtn, real_data, zero_cost and ensemble",
        ),
    ] = None,
    labels: Annotated[
        int | None,
        typer.Option(
            min=0, help="Further architectures whose accuracies `calibrated` learns from.", show_default="0"
        ),
    ] = None,
    population: Annotated[
        Literal["unique", "all"] | None,
        typer.Option(
            help="Draw from all architectures, or from one of each isomorphism class.", show_default="unique"
        ),
    ] = None,
    truth_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Without a table: real steps after which an accuracy counts as true.",
            show_default="1000",
        ),
    ] = None,
    space_option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as channels=8.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Fixes candidates, scores and intervals.", show_default="0")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write scatter plots to this SVG file.")
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Let a worker of the controller make the report, and follow it.")
    ] = False,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Rank correlation of proxy scores and true accuracies, with confidence intervals; runs on this machine.

    Example: `gtn-nas fidelity --checkpoint digits.gtn --table accuracies.csv --estimator gtn:passes=4 --json`
    """
    spec = given(
        search_space=options.named_space("space", space, space_option),
        candidates=candidates,
        estimators=[named_estimator(text) for text in estimator or ()] or None,
        labels=labels,
        population=population,
        truth_steps=truth_steps,
        seed=seed,
    )
    report = _submitted(spec, table, checkpoint, url) if submit else _made_here(spec, table, checkpoint, url)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print_table(_rows(report), _rows(report, short=True))
    if plot is not None:  # after the report, which may have taken hours and must not be lost with the picture
        from nas.scatter import scatter_svg

        write_file(scatter_svg(report).encode(), plot)
        advise(f"scatter plots written to {plot}")


def named_estimator(text: str) -> dict[str, Any]:
    """`gtn`, `gtn:passes=4,readout=accuracy` or `ensemble:{"members": […]}` as the API's estimator."""
    name, _, more = text.partition(":")
    if not more.startswith("{"):
        return {"name": name, **options.key_values(more.split(",") if more else None)}
    try:
        return {"name": name, **json.loads(more)}
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"the options of {name} are not JSON: {error}") from error


def _made_here(spec: dict[str, Any], table: Path | None, checkpoint: str, url: str | None) -> dict[str, Any]:
    from nas.estimators import estimator_data
    from nas.fidelity import FidelityProgress
    from nas.fidelity_spec import FidelitySpec, make_fidelity_report, validate_fidelity_spec
    from nas.search_spaces import get_search_space
    from nas.true_accuracies import read_true_accuracies
    from services.checkpoints import load_checkpoint_data
    from services.wiring import load_settings

    asked = validate_fidelity_spec(FidelitySpec.model_validate(spec))
    space = get_search_space(asked.search_space.name, **asked.search_space.options)
    accuracies = None if table is None else read_true_accuracies(table, space)
    frozen = _load(checkpoint, url)
    data = estimator_data(frozen.synthesize(), load_checkpoint_data(frozen, load_settings()))
    news = News(total=asked.evaluations(with_table=table is not None), state="running")
    with progress_display("fidelity") as display:

        def show(progress: FidelityProgress) -> None:
            news.done, news.detail = progress.done, progress.estimator
            display.show(news)

        return make_fidelity_report(asked, data, accuracies, on_candidate=show).to_json()


def _submitted(spec: dict[str, Any], table: Path | None, checkpoint: str, url: str | None) -> dict[str, Any]:
    with connect(url) as client:
        if Path(checkpoint).is_file():
            checkpoint_id = client.create_checkpoint(Path(checkpoint)).id
        else:
            checkpoint_id = resolve_checkpoint(client, checkpoint)
        job = client.create_fidelity_report(checkpoint_id=checkpoint_id, table=options.table(table), **spec)
        report: dict[str, Any] = watch(client, job, "fidelity report").model_dump()["report"]
        return report


def _load(checkpoint: str, url: str | None) -> "FrozenCheckpoint":
    from gtn_core import FrozenCheckpoint

    if Path(checkpoint).is_file():
        return FrozenCheckpoint.load(checkpoint)
    with connect(url) as client:
        return FrozenCheckpoint.from_bytes(client.download_checkpoint(resolve_checkpoint(client, checkpoint)))


def _rows(report: dict[str, Any], *, short: bool = False) -> Rows:
    """An estimator in each row; short, with no interval but that of Spearman's rho."""
    from nas.scatter import interval_text

    def text(interval: dict[str, Any]) -> str:
        return interval_text(interval | {"low": None} if short else interval)

    headings = ("Spearman rho", "Kendall tau", "better half", "best tenth")
    if short:
        headings = ("rho", "tau", "half", "tenth")
    columns = [
        Column("estimator", folds_to=9),
        *(Column(heading, right=True) for heading in (*headings, "failed", "seconds")),
    ]
    cells = []
    for measured in report["estimators"]:
        seconds = measured["seconds_per_candidate"]
        cells.append(
            (
                measured["estimator"],
                interval_text(measured["spearman"]),
                text(measured["kendall"]),
                text(measured["top_50_percent"]["spearman"]),
                text(measured["top_10_percent"]["spearman"]),
                str(measured["failed"]),
                "–" if seconds is None else f"{seconds:.3f}",
            )
        )
    title = (
        f"{report['n']} candidates of the population {report['population']!r}; intervals of 95 %"
        f"{', all of them with --json' if short else ''}; better half and best tenth by truth, Spearman rho"
    )
    return Rows(columns, cells, title=title)
