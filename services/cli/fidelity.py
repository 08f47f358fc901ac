"""`gtn-nas fidelity`: how well proxy scores rank architectures whose true accuracy is known."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import options
from services.cli.console import connect, stdout
from services.cli.progress import News, progress_display
from services.cli.submission import resolve_checkpoint

if TYPE_CHECKING:
    from rich.table import Table

    from gtn_core import FrozenCheckpoint
    from nas.fidelity import FidelityReport, Interval

BASELINES = ["gtn", "real_data"]


class Population(StrEnum):
    """Which architectures of the table can be drawn."""

    UNIQUE = "unique"
    ALL = "all"


def fidelity(
    table: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="CSV with the columns architecture, accuracy.")
    ],
    checkpoint: Annotated[
        str, typer.Option(help="A checkpoint file, or an id, the start of one or `latest` at the controller.")
    ] = "latest",
    space: Annotated[str, typer.Option(help="Search space of the table.")] = "nasbench201",
    candidates: Annotated[int, typer.Option("--candidates", "-n", min=2, help="How many to draw.")] = 100,
    estimator: Annotated[
        list[str] | None,
        typer.Option(help="Estimator; repeat it.", show_default=" and ".join(BASELINES)),
    ] = None,
    population: Annotated[
        Population, typer.Option(help="Draw from all architectures, or from one of each isomorphism class.")
    ] = Population.UNIQUE,
    space_option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as channels=8.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes candidates, scores and intervals.")] = 0,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Rank correlation of proxy scores and true accuracies, with confidence intervals; runs on this machine.

    Example: `gtn-nas fidelity --checkpoint digits.gtn --table accuracies.csv --candidates 100 --json`
    """
    from nas.estimators import estimator_data, make_estimator
    from nas.fidelity import FidelityProgress, measure_fidelity
    from nas.search_spaces import get_search_space
    from nas.true_accuracies import read_true_accuracies
    from services.checkpoints import load_checkpoint_data

    search_space = get_search_space(space, **options.key_values(space_option))
    accuracies = read_true_accuracies(table, search_space)
    frozen = _load(checkpoint, url)
    data = estimator_data(frozen.synthesize(), load_checkpoint_data(frozen))
    estimators = {name: make_estimator(name, data) for name in estimator or BASELINES}
    news = News(total=candidates * len(estimators), state="running")
    with progress_display("fidelity") as display:

        def show(progress: FidelityProgress) -> None:
            news.done, news.detail = progress.done, progress.estimator
            display.show(news)

        report = measure_fidelity(
            search_space,
            estimators,
            accuracies,
            candidates=candidates,
            population=population.value,
            seed=seed,
            on_candidate=show,
        )
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        stdout().print(_table(report))


def _load(checkpoint: str, url: str | None) -> "FrozenCheckpoint":
    from gtn_core import FrozenCheckpoint

    if Path(checkpoint).is_file():
        return FrozenCheckpoint.load(checkpoint)
    with connect(url) as client:
        return FrozenCheckpoint.from_bytes(client.download_checkpoint(resolve_checkpoint(client, checkpoint)))


def _table(report: "FidelityReport") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"{report.n} candidates of the population {report.population!r}; intervals of 95 %"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for heading in ("estimator", "Spearman rho", "Kendall tau", "failed", "seconds/candidate"):
        table.add_column(heading, justify="left" if heading == "estimator" else "right")
    for measured in report.estimators:
        table.add_row(
            measured.estimator,
            _interval(measured.overall.spearman),
            _interval(measured.overall.kendall),
            str(measured.failed),
            f"{measured.seconds_per_candidate:.3f}",
        )
    return table


def _interval(interval: "Interval") -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
