"""Scatter plots of proxy scores against true accuracies, as a standalone SVG document."""

from xml.sax.saxutils import escape

from nas.fidelity import EstimatorFidelity, FidelityReport

SIDE, MARGIN, COLUMNS = 300, 46, 3


def scatter_svg(report: FidelityReport) -> str:
    """One panel for each estimator: true accuracy to the right, score upwards, Spearman's rho above."""
    columns = min(COLUMNS, max(1, len(report.estimators)))
    rows = -(-len(report.estimators) // columns)
    width, height = columns * (SIDE + MARGIN) + MARGIN, rows * (SIDE + 2 * MARGIN)
    panels = [
        f"<g transform='translate({MARGIN + (number % columns) * (SIDE + MARGIN)} "
        f"{MARGIN + (number // columns) * (SIDE + 2 * MARGIN)})'>{_panel(report, fidelity)}</g>"
        for number, fidelity in enumerate(report.estimators)
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


def _panel(report: FidelityReport, fidelity: EstimatorFidelity) -> str:
    points = [
        (entry.accuracy, score, entry.architecture.encoding)
        for entry, score in zip(report.candidates, fidelity.scores, strict=True)
        if score is not None
    ]
    truths, scores = [point[0] for point in points], [point[1] for point in points]
    rho = fidelity.overall.spearman
    parts = [
        f"<text x='0' y='-22' font-size='14'>{escape(fidelity.estimator)}</text>",
        f"<text x='0' y='-7' fill='#475569'>rho {rho.value:.3f} [{rho.low:.3f}, {rho.high:.3f}], "
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


def _place(value: float, values: list[float]) -> float:
    low, high = min(values), max(values)
    return SIDE / 2 if high == low else 8 + (SIDE - 16) * (value - low) / (high - low)
