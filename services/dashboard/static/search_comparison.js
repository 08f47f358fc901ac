// The best-so-far curves of the compared searches on one plot.

import { along, axes, onAxis, steps } from "./best_so_far.js";
import { curve } from "./charts.js";
import { seconds, written } from "./numbers.js";
import { pageData } from "./page.js";

const box = document.getElementById("best-chart");
if (box) {
  const { objective, searches } = pageData("comparison");
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3], [14, 4], [4, 2, 1, 2]];
  let axis = "completion";
  const { draw } = curve(box, (colors) => ({
    data: uPlot.join(searches.map((each) => steps(each, axis))),
    series: [
      { label: along(axis), value: (_, value) => (value == null ? "–" : axis === "completion" ? value : seconds(value)) },
      ...searches.map(({ name }, place) => ({
        label: name,
        stroke: colors.series[place],
        width: 2,
        dash: dashes[place],
        spanGaps: true,
        paths: uPlot.paths.stepped({ align: 1 }),
        points: { show: (plot, index) => plot.data[index].filter((value) => value != null).length < 2 },
        value: (_, value) => written(objective, value),
      })),
    ],
    axes: axes(axis, objective),
    scales: { x: { time: false } },
    legend: { show: true },
  }));
  onAxis((chosen) => {
    axis = chosen;
    draw();
  });
}
