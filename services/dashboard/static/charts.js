// Charts in the page's colours: drawn anew when light changes to dark, resized with their box.

import { color, onTheme } from "./page.js";

/** The page's colours, as they are now. */
function palette() {
  const names = ["text", "muted", "line", "line-strong", "grid", "surface", "sunken", "accent", "ok", "warn", "bad"];
  const colors = Object.fromEntries(names.map((name) => [name.replace("-s", "S"), color(`--${name}`)]));
  return { ...colors, series: [1, 2, 3, 4, 5, 6].map((number) => color(`--series-${number}`)) };
}

/** An ECharts chart: `option(palette)` says what is in it. Call `draw` when the data have changed. */
export function explorable(box, option) {
  const chart = echarts.init(box);
  const draw = () => chart.setOption({ animation: false, aria: { enabled: true }, ...option(palette()) }, true);
  onTheme(draw);
  new ResizeObserver(() => chart.resize()).observe(box);
  return { chart, draw };
}

/** Axis, grid and tooltip of an ECharts chart, as all of ours have them. */
export function frame(colors) {
  const axis = {
    axisLine: { lineStyle: { color: colors.lineStrong } },
    axisLabel: { color: colors.muted },
    nameTextStyle: { color: colors.muted },
    splitLine: { lineStyle: { color: colors.grid } },
  };
  const tooltip = {
    renderMode: "richText",
    backgroundColor: colors.surface,
    borderColor: colors.line,
    textStyle: { color: colors.text, fontSize: 12 },
    confine: true,
  };
  return { axis, tooltip };
}

/** An ECharts option that says in words why there is nothing to see. */
export function nothing(colors, text) {
  return { title: { text, left: "center", top: "middle", textStyle: { color: colors.muted, fontSize: 14, fontWeight: 400 } } };
}

/** A uPlot curve: `make(palette)` gives { series, data, axes, scales, … }. Call `draw` when the data have changed. */
export function curve(box, make) {
  let plot = null;
  const draw = () => {
    const colors = palette();
    const { data, series, axes = [{}, {}], legend = { show: series.length > 2 }, ...rest } = make(colors);
    const styled = axes.map((axis) => ({
      stroke: colors.muted,
      grid: { stroke: colors.grid, width: 1 },
      ticks: { stroke: colors.grid, width: 1 },
      font: "12px system-ui",
      labelFont: "12px system-ui",
      ...axis,
    }));
    plot?.destroy();
    plot = new uPlot({ ...size(box), series, axes: styled, legend, cursor: { y: false }, ...rest }, data, box);
    fit();
  };
  // The legend below the plot takes its place from it.
  const fit = () => {
    const legend = box.querySelector(".u-legend")?.offsetHeight ?? 0;
    plot.setSize({ width: box.clientWidth, height: Math.max(80, box.clientHeight - legend) });
  };
  onTheme(draw);
  new ResizeObserver(() => fit()).observe(box);
  return { draw };
}

/** The values of a uPlot axis that counts: none between whole numbers. */
export function whole(_, ticks) {
  return ticks.map((each) => (each % 1 ? "" : each.toLocaleString("en")));
}

function size(box) {
  return { width: box.clientWidth, height: box.clientHeight };
}
