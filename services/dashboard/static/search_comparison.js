// The best-so-far curves of the compared searches on one plot.

import { curve } from "./charts.js";
import { label, seconds, tick, written } from "./numbers.js";
import { pageData } from "./page.js";

const box = document.getElementById("best-chart");
if (box) {
  const { objective, searches } = pageData("comparison");
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3], [14, 4], [4, 2, 1, 2]];
  let axis = "completion";

  /** Up to where the search is: after its last improvement the line goes on. */
  const steps = (search) => {
    const [x, y] = [[...search[axis]], [...search.value]];
    if (axis === "completion" && y.length && search.done > x.at(-1)) {
      x.push(search.done);
      y.push(y.at(-1));
    }
    return [x, y];
  };
  const { draw } = curve(box, (colors) => ({
    data: uPlot.join(searches.map(steps)),
    series: [
      { label: axis === "completion" ? "candidates" : "time", value: (_, value) => (value == null ? "–" : axis === "completion" ? value : seconds(value)) },
      ...searches.map(({ name }, place) => ({
        label: name,
        stroke: colors.series[place],
        width: 2,
        dash: dashes[place],
        spanGaps: true,
        paths: uPlot.paths.stepped({ align: 1 }),
        points: { show: false },
        value: (_, value) => written(objective, value),
      })),
    ],
    axes: [
      {
        label: axis === "completion" ? "candidates that have finished" : "time since the start",
        values: (_, ticks) => ticks.map((each) => (axis === "completion" ? (each % 1 ? "" : each.toLocaleString("en")) : seconds(each))),
      },
      { label: label(objective), size: 64, values: (_, ticks) => ticks.map((each) => tick(objective, each)) },
    ],
    scales: { x: { time: false } },
    legend: { show: true },
  }));
  const buttons = document.querySelectorAll("[data-axis]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      axis = button.dataset.axis;
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      draw();
    });
  }
}
