"""Candidates as people read them: a ranked table, or one candidate with its cell."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nas.short_number import short
from services.cli.tables import Column, Rows, folded
from services.visible import hanging

if TYPE_CHECKING:
    from services.schemas import CandidateDetail, CandidateView

COLUMNS = (
    Column("rank", right=True),
    Column("candidate"),
    Column("score", right=True),
    Column("accuracy", right=True),
    Column("params", right=True),
    Column("FLOPs", right=True),
    Column("latency ms", right=True),
    Column("architecture", folds_to=17),  # an operation of nasbench201, `|skip_connect~0|+`
)
WHERE_MEASURED = ("score", "latency ms")


def candidate_rows(candidates: Iterable["CandidateView"], title: str | None = None) -> Rows:
    """One row per candidate, in the order given; scores and latencies where there are any."""
    rows = [_cells(candidate) for candidate in candidates]
    empty = {place for place, column in enumerate(COLUMNS) if column.heading in WHERE_MEASURED} - {
        place for row in rows for place, cell in enumerate(row) if cell
    }
    shown = [place for place in range(len(COLUMNS)) if place not in empty]
    return Rows(
        tuple(COLUMNS[place] for place in shown),
        [tuple(row[place] for place in shown) for row in rows],
        title,
    )


def _cells(candidate: "CandidateView") -> tuple[str, ...]:
    rank = "-" if candidate.rank is None else str(candidate.rank)
    return (rank, candidate.id, *_metrics(candidate), candidate.architecture.encoding)


def _metrics(candidate: "CandidateView") -> tuple[str, ...]:
    metrics = candidate.metrics
    if metrics is None:
        return ("", candidate.error.reason if candidate.error else candidate.state, "", "", "")
    own = metrics.model_extra or {}
    score, latency = own.get("score"), own.get("latency_ms")
    return (
        "" if score in {None, metrics.accuracy} else f"{score:.4g}",
        f"{metrics.accuracy:.2%}",
        short(metrics.params),
        short(metrics.flops),
        "" if latency is None else f"{latency:.3g}",
    )


def describe(candidate: "CandidateDetail", drawing: str, width: int) -> str:
    """One candidate in full, line by line."""
    architecture = hanging(folded(str(candidate.architecture), width - 15), 15)
    lines = [f"candidate      {candidate.id} ({candidate.state})", f"architecture   {architecture}"]
    if candidate.rank is not None:
        lines.append(f"rank           {candidate.rank}")
    if candidate.metrics is not None:
        lines += [f"{name:<14} {_exact(value)}" for name, value in candidate.metrics.model_dump().items()]
    if candidate.error is not None:
        lines.append(f"failed         {hanging(f'{candidate.error.reason}: {candidate.error.detail}', 15)}")
    if candidate.loss_curve:
        curve = " ".join("-" if loss is None else f"{loss:.2f}" for loss in candidate.loss_curve)
        lines.append(f"loss curve     {hanging(folded(curve, width - 15), 15)}")
    training = candidate.final_training
    if training is not None:
        accuracy = "" if training.test_accuracy is None else f", test accuracy {training.test_accuracy:.2%}"
        lines.append(f"final training {training.id} ({training.state}){accuracy}")
    return "\n".join([*lines, "", folded(drawing, width)])


def _exact(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
