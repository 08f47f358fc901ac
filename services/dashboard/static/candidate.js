// The page of a candidate: how it learned.

import { curve, whole } from "./charts.js";
import { pageData } from "./page.js";

const { loss_curve: losses, history } = pageData("candidate-data");

if (losses.length) {
  curve(document.getElementById("loss-chart"), (colors) => ({
    data: [losses.map((_, step) => step + 1), losses],
    series: [{ label: "inner step" }, { label: "loss", stroke: colors.accent, width: 2, points: { show: losses.length < 80, size: 5, fill: colors.accent } }],
    axes: [{ label: "inner step", values: whole }, { label: "loss (nats)", size: 56 }],
    scales: { x: { time: false } },
  }));
}
if (history.length) {
  curve(document.getElementById("real-chart"), (colors) => ({
    data: [history.map(({ epoch }) => epoch), history.map(({ validation_accuracy: each }) => (each === null ? null : 100 * each))],
    series: [{ label: "epoch" }, { label: "validation accuracy (%)", stroke: colors.series[2], width: 2, points: { show: history.length < 80, size: 5, fill: colors.series[2] } }],
    axes: [{ label: "epoch", values: whole }, { label: "accuracy (%)", size: 56 }],
    scales: { x: { time: false } },
  }));
}
