"""The picture of `bench_search`: one panel for each reward, by evaluations and by seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot

LOWEST, HIGHEST = 90.0, 94.6
"""Percent; what is below is not told apart."""


def plot(results: Mapping[str, Any], path: Path) -> None:
    """True accuracy of what each search ranks first, mean and the 5th to 95th percentile of its seeds."""
    panels = results["rewards"]
    figure, axes = pyplot.subplots(
        len(panels), 2, figsize=(13, 4 * len(panels)), squeeze=False, sharey=True, layout="constrained"
    )
    for (name, reward), (by_evaluations, by_seconds) in zip(panels.items(), axes, strict=True):
        for algorithm, measured in reward["algorithms"].items():
            counts = [int(count) for count in measured["ranked_first"]]
            spreads = list(measured["ranked_first"].values())
            low, high = ([spread[end] for spread in spreads] for end in ("p5", "p95"))
            means = [spread["mean"] for spread in spreads]
            each = reward["cpu_seconds_per_evaluation"] + measured["proposal_seconds"]
            for axis, places in (
                (by_evaluations, counts),
                (by_seconds, [count * each for count in counts]),
            ):
                (line,) = axis.plot(places, means, label=algorithm)
                axis.fill_between(places, low, high, color=line.get_color(), alpha=0.08, linewidth=0)
        _draw_anchors(by_evaluations, results["anchors"], results["table"]["optimum"])
        by_evaluations.set(
            title=f"reward: {name} (Spearman with the truth {reward['spearman']:.2f})",
            xlabel="evaluations",
            ylabel="true accuracy of the first, %",
            ylim=(LOWEST, HIGHEST),
        )
        by_seconds.set(xlabel="CPU seconds of evaluation and proposal", xscale="log")
        by_evaluations.legend(fontsize=8, loc="lower right")
    pyplot.rcParams["svg.hashsalt"] = "bench_search"  # equal results give an equal file
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw_anchors(axis: Any, anchors: Mapping[str, Any], optimum: float) -> None:
    axis.axhline(optimum, color="black", linewidth=0.7, linestyle=":")
    for text, (evaluations, accuracy) in anchors["points"].items():
        axis.plot([evaluations], [accuracy], "k*", markersize=8)
        axis.annotate(text, (evaluations, accuracy), fontsize=7, xytext=(3, -9), textcoords="offset points")
