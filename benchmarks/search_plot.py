"""The picture of `bench_search`: for each reward, what searches find by evaluations and by seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.ticker import NullFormatter

LOWEST, HIGHEST = 86.0, 94.7
"""Percent; what is below is not told apart."""

ANCHOR_MARKERS = "*PXD"


def plot(results: Mapping[str, Any], path: Path) -> None:
    """True accuracies of what searches rank first: mean, and 5th to 95th percentile, of their seeds."""
    rows = results["rewards"]
    figure, axes = pyplot.subplots(
        len(rows), 3, figsize=(15, 4 * len(rows)), squeeze=False, sharey="row", layout="constrained"
    )
    for (name, reward), (first, best_of_five, by_seconds) in zip(rows.items(), axes, strict=True):
        for algorithm, measured in reward["algorithms"].items():
            counts = [int(count) for count in measured["ranked_first"]]
            each = reward["cpu_seconds_per_evaluation"] + measured["proposal_seconds"]
            for axis, places, spreads in (
                (first, counts, measured["ranked_first"]),
                (best_of_five, counts, measured["best_of_5"]),
                (by_seconds, [count * each for count in counts], measured["ranked_first"]),
            ):
                _draw_spread(axis, places, list(spreads.values()), algorithm)
        title = f"reward: {name} (Spearman with the truth {reward['spearman']:.2f})"
        first.set(title=title, xlabel="evaluations", ylabel="true accuracy of the first, %")
        first.set_ylim(max(LOWEST, first.get_ylim()[0]), HIGHEST)
        best_of_five.set(title="the best of the first five", xlabel="evaluations")
        by_seconds.set(title="the first", xlabel="CPU seconds of evaluation and proposal", xscale="log")
        by_seconds.xaxis.set_minor_formatter(NullFormatter())
        for axis in (first, best_of_five):
            _draw_anchors(axis, results["anchors"], results["table"]["optimum"])
    axes[0, 0].legend(fontsize=8, loc="lower right")
    pyplot.rcParams["svg.hashsalt"] = "bench_search"  # equal results give an equal file
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw_spread(
    axis: Any, places: list[float] | list[int], spreads: list[Mapping[str, float]], algorithm: str
) -> None:
    (line,) = axis.plot(places, [spread["mean"] for spread in spreads], label=algorithm)
    low, high = ([spread[end] for spread in spreads] for end in ("p5", "p95"))
    axis.fill_between(places, low, high, color=line.get_color(), alpha=0.08, linewidth=0)


def _draw_anchors(axis: Any, anchors: Mapping[str, Any], optimum: float) -> None:
    axis.axhline(optimum, color="black", linewidth=0.7, linestyle=":")
    for marker, (text, place) in zip(ANCHOR_MARKERS, anchors["points"].items(), strict=True):
        axis.plot(*place, marker=marker, color="black", markersize=7, linestyle="", label=text)
