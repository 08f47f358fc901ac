// The page of a checkpoint: the player of its curriculum, and its curves.

import { curve, whole } from "./charts.js";
import { drawFidelity } from "./fidelity-chart.js";
import { pageData } from "./page.js";

const { id, curriculum, curves } = pageData("checkpoint-data");

if (document.getElementById("player")) play(curriculum);
if (curriculum) schedule(curriculum);
if (Object.keys(curves).length) learning(curves);
drawFidelity();

/** Steps through the rows of one sheet; a whole step of the range is one shown inner step. */
function play({ frames, inner_steps: total, learning_rates: rates, momenta }) {
  const [canvas, range, button] = ["film", "step", "play"].map((name) => document.getElementById(name));
  const [across, down] = frames.tile;
  const gap = Math.max(1, Math.round(across / 8));
  canvas.width = frames.classes.length * (across + gap) - gap;
  canvas.height = frames.per_class * (down + gap) - gap;
  const sheet = new Image();
  sheet.src = `/v1/checkpoints/${id}/frames.png`;
  sheet.addEventListener("load", show);
  sheet.addEventListener("error", () => (document.getElementById("step-facts").textContent = "The pictures could not be loaded."));

  function show() {
    const row = Number(range.value), step = frames.steps[row];
    const brush = canvas.getContext("2d");
    brush.clearRect(0, 0, canvas.width, canvas.height);
    if (!sheet.naturalWidth) return; // not here yet: it calls again
    for (let column = 0; column < frames.classes.length; column++) {
      for (let place = 0; place < frames.per_class; place++) {
        const from = (column * frames.per_class + place) * across;
        brush.drawImage(sheet, from, row * down, across, down, column * (across + gap), place * (down + gap), across, down);
      }
    }
    document.getElementById("step-note").textContent = `step ${step} of ${total}`;
    range.setAttribute("aria-valuetext", `step ${step} of ${total}`);
    document.getElementById("step-facts").textContent = `Learning rate ${rates[step - 1].toPrecision(3)}, momentum ${momenta[step - 1].toPrecision(3)}.`;
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶ Play";
    button.setAttribute("aria-label", "Play the curriculum");
    button.setAttribute("aria-pressed", "false");
  }
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(range.value) === frames.steps.length - 1) range.value = 0;
    button.textContent = "❚❚ Pause";
    button.setAttribute("aria-label", "Pause the curriculum");
    button.setAttribute("aria-pressed", "true");
    show();
    timer = setInterval(() => {
      range.value = Number(range.value) + 1;
      show();
      if (Number(range.value) === frames.steps.length - 1) stop();
    }, Math.max(120, Math.min(600, 8000 / frames.steps.length)));
  });
  range.addEventListener("input", () => {
    stop();
    show();
  });
}

function schedule({ learning_rates: rates, momenta }) {
  const few = rates.length < 80;
  curve(document.getElementById("schedule-chart"), (colors) => ({
    data: [rates.map((_, step) => step + 1), rates, momenta],
    series: [
      { label: "inner step" },
      { label: "learning rate", scale: "rate", stroke: colors.series[0], width: 2, points: { show: few, size: 5, fill: colors.series[0] } },
      { label: "momentum", scale: "momentum", stroke: colors.series[1], width: 2, dash: [8, 4], points: { show: few, size: 5, fill: colors.series[1] } },
    ],
    axes: [
      { label: "inner step", values: whole },
      { scale: "rate", label: "learning rate", size: 60, stroke: colors.series[0] },
      { scale: "momentum", side: 1, label: "momentum", size: 56, stroke: colors.series[1], grid: { show: false } },
    ],
    scales: { x: { time: false }, momentum: { range: [0, 1] }, rate: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
  }));
}

function learning(byTeacher) {
  const names = Object.keys(byTeacher);
  const longest = Math.max(...names.map((name) => byTeacher[name].length));
  curve(document.getElementById("learning-chart"), (colors) => ({
    data: [
      Array.from({ length: longest }, (_, step) => step + 1),
      ...names.map((name) => Array.from({ length: longest }, (_, step) => (byTeacher[name][step] === undefined ? null : 100 * byTeacher[name][step]))),
    ],
    series: [{ label: "step" }, ...names.map((name, place) => ({ label: name, stroke: colors.series[place % 6], width: 2, dash: place ? [8, 4] : [] }))],
    axes: [{ label: "training step", values: whole }, { label: "validation accuracy (%)", size: 60 }],
    scales: { x: { time: false } },
    legend: { show: true },
  }));
}
