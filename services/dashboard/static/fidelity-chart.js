// The scatter plot of a fidelity report.

import { explorable, frame } from "./charts.js";
import { pageData } from "./page.js";

/** Fill #fidelity-chart, if it is on the page and empty. Each estimator's scores are on a scale of their own. */
export function drawFidelity() {
  const box = document.getElementById("fidelity-chart");
  if (!box || box.firstChild) return;
  const { estimators, candidates } = pageData(box.dataset.report);
  const labels = estimators.map(({ estimator }) => estimator);
  const columns = Math.min(labels.length, box.clientWidth < 600 ? 1 : 3);
  const rows = Math.ceil(labels.length / columns);
  box.style.height = `${rows * (columns === 1 ? 260 : 340)}px`;
  explorable(box, (colors) => {
    const { axis, tooltip } = frame(colors);
    const [wide, high] = [100 / columns, 100 / rows];
    const place = (index) => ({ left: (index % columns) * wide, top: Math.floor(index / columns) * high });
    return {
      tooltip: { ...tooltip, formatter: ({ seriesName, data }) => `${data[2]}\ntrue ${data[0].toPrecision(4)}\n${seriesName} ${data[1].toPrecision(4)}` },
      title: labels.map((label, index) => ({ text: label, left: `${place(index).left + 4}%`, top: `${place(index).top}%`, textStyle: { color: colors.text, fontSize: 13 } })),
      grid: labels.map((_, index) => ({ left: `${place(index).left + (columns === 1 ? 14 : 6)}%`, top: `${place(index).top + 30 / rows * 0.4}%`, width: `${wide - (columns === 1 ? 20 : 8)}%`, height: `${high * 0.7}%` })),
      xAxis: labels.map((_, gridIndex) => ({ ...axis, gridIndex, type: "value", scale: true, name: "true accuracy", nameLocation: "middle", nameGap: 26 })),
      yAxis: labels.map((_, gridIndex) => ({ ...axis, gridIndex, type: "value", scale: true })),
      series: labels.map((name, index) => ({
        name,
        type: "scatter",
        xAxisIndex: index,
        yAxisIndex: index,
        symbolSize: 8,
        itemStyle: { color: colors.series[index % 6], opacity: 0.7 },
        data: candidates.filter(({ scores }) => scores[name] !== null).map(({ accuracy, scores, architecture }) => [accuracy, scores[name], architecture]),
      })),
    };
  });
}
