// The learning curves of the compared candidates on one plot.

import { curve, whole } from "./charts.js";
import { pageData } from "./page.js";

const box = document.getElementById("curves-chart");
if (box) {
  const curves = pageData("compare-data").filter(({ loss }) => loss.length);
  const longest = Math.max(1, ...curves.map(({ loss }) => loss.length));
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  curve(box, (colors) => ({
    data: [Array.from({ length: longest }, (_, step) => step + 1), ...curves.map(({ loss }) => Array.from({ length: longest }, (_, step) => loss[step] ?? null))],
    series: [{ label: "inner step" }, ...curves.map(({ label }, place) => ({ label, stroke: colors.series[place], width: 2, dash: dashes[place] }))],
    axes: [{ label: "inner step", values: whole }, { label: "loss (nats)", size: 56 }],
    scales: { x: { time: false } },
    legend: { show: true },
  }));
}
