// What plots of the best value so far have in common: their steps, their two axes, and the switch between these.

import { whole } from "./charts.js";
import { label, seconds, tick } from "./numbers.js";

/** A trajectory as [x, y] over an axis: after its last improvement the line goes on to where the search is. */
export function steps(trajectory, axis) {
  const [x, y] = [[...trajectory[axis]], [...trajectory.value]];
  const now = axis === "completion" ? trajectory.done : trajectory.elapsed;
  if (y.length && now > x.at(-1)) {
    x.push(now);
    y.push(y.at(-1));
  }
  return [x, y];
}

/** The name of what is told along the axis. */
export function along(axis) {
  return axis === "completion" ? "candidates" : "time";
}

/** The axes of a plot, for uPlot. */
export function axes(axis, objective) {
  return [
    {
      label: axis === "completion" ? "candidates that have finished" : "time since the start",
      values: axis === "completion" ? whole : (_, ticks) => ticks.map(seconds),
    },
    { label: label(objective), size: 64, values: (_, ticks) => ticks.map((each) => tick(objective, each)) },
  ];
}

/** Call `choose` with the axis of the button that is pressed. */
export function onAxis(choose) {
  const buttons = document.querySelectorAll("[data-axis]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      choose(button.dataset.axis);
    });
  }
}
