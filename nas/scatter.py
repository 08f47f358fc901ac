"""Scatter plots of proxy scores against true accuracies, as a standalone SVG document."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

SIDE, MARGIN, COLUMNS = 300, 46, 3


def scatter_svg(report: Mapping[str, Any]) -> str:
    """One panel for each estimator: true accuracy to the right, score upwards, Spearman's rho above.

    `report` is what `FidelityReport.to_json` gives, also where it came over HTTP.
    """
    estimators = report["estimators"]
    columns = min(COLUMNS, len(estimators))
    rows = -(-len(estimators) // columns)
    width, height = columns * (SIDE + MARGIN) + MARGIN, rows * (SIDE + 2 * MARGIN)
    panels = [
        f"<g transform='translate({MARGIN + (number % columns) * (SIDE + MARGIN)} "
        f"{MARGIN + (number // columns) * (SIDE + 2 * MARGIN)})'>"
        f"{_panel(estimator, report['candidates'])}</g>"
        for number, estimator in enumerate(estimators)
    ]
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
            f"height='{height}' font-family='ui-sans-serif, system-ui, sans-serif' font-size='12' "
            "role='img'>",
            f"<rect width='{width}' height='{height}' fill='white'/>",
            *panels,
            "</svg>\n",
        ]
    )


def _panel(estimator: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> str:
    name = estimator["estimator"]
    points = [
        (each["accuracy"], each["scores"][name], each["architecture"])
        for each in candidates
        if each["scores"][name] is not None
    ]
    truths, scores = [point[0] for point in points], [point[1] for point in points]
    parts = [
        f"<text x='0' y='-22' font-size='14'>{escape(name)}</text>",
        f"<text x='0' y='-7' fill='#475569'>rho {interval_text(estimator['spearman'])}, "
        f"n {len(points)}</text>",
        f"<rect width='{SIDE}' height='{SIDE}' fill='none' stroke='#94a3b8'/>",
    ]
    for truth, score, encoding in points:
        x, y = _place(truth, truths), SIDE - _place(score, scores)
        parts.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='#2563eb' fill-opacity='0.55'>"
            f"<title>{escape(encoding)}: true {truth:g}, score {score:g}</title></circle>"
        )
    if points:
        parts.append(
            f"<g fill='#475569'><text x='0' y='{SIDE + 16}'>{min(truths):g}</text>"
            f"<text x='{SIDE}' y='{SIDE + 16}' text-anchor='end'>{max(truths):g}</text>"
            f"<text x='{SIDE / 2}' y='{SIDE + 16}' text-anchor='middle'>true accuracy</text>"
            f"<text transform='translate(-6 {SIDE}) rotate(-90)'>{min(scores):.3g}</text>"
            f"<text transform='translate(-6 0) rotate(-90)' text-anchor='end'>{max(scores):.3g}</text></g>"
        )
    return "".join(parts)


def interval_text(interval: Mapping[str, float | None]) -> str:
    """A statistic with its interval for people; a dash where it is undefined."""
    if interval["value"] is None:
        return "–"
    if interval["low"] is None:
        return f"{interval['value']:.3f}"
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def _place(value: float, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    return SIDE / 2 if high == low else 8 + (SIDE - 16) * (value - low) / (high - low)
