// Curves of a training, drawn as its steps arrive.

import { curve } from "./charts.js";
import { getJson, notify, pageData } from "./page.js";
import { append } from "./steps.js";

const POLL_MS = 1000;
const MOST_POINTS = 6000;

const { url, x, charts } = pageData("training");
let points = null;
let last = 0;
const drawn = [];

function add(news) {
  if (!last) points = Object.fromEntries(Object.keys(news.points).map((key) => [key, []]));
  append(points, news.points, x);
  // Of many points the controller picks those that tell enough: the next time, all are asked for anew.
  last = points[x].length > MOST_POINTS ? 0 : news.last;
}

function begin() {
  for (const chart of charts) {
    const box = document.getElementById(chart.id);
    box.replaceChildren();
    drawn.push(curve(box, (colors) => options(chart, colors)));
  }
}

function options({ series, unit, log }, colors) {
  const shown = unit === "%" ? (value) => (value == null ? null : 100 * value) : (value) => value ?? null;
  const suffix = unit ? ` ${unit}` : "";
  return {
    data: [points[x], ...series.map(({ key }) => points[key].map(shown))],
    scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
    series: [
      { label: x },
      ...series.map(({ key, label }, place) => ({
        label,
        stroke: colors.series[place],
        width: 1.5,
        // A few values among many steps, as of validations, are points that lines join.
        spanGaps: true,
        points: { show: points[key].filter((value) => value != null).length < 60, size: 5 },
        value: (_, value) => (value == null ? "–" : value.toPrecision(3) + suffix),
      })),
    ],
    legend: { show: true },
  };
}

function tellEmpty(ended) {
  for (const { id } of charts) {
    const note = document.createElement("p");
    note.className = "muted";
    note.textContent = ended ? "It ended before its first step." : "Waits for its first step.";
    document.getElementById(id).replaceChildren(note);
  }
}

async function poll() {
  try {
    const news = await getJson(`${url}?after=${last}`);
    const any = news.points[x].length > 0;
    if (any) add(news);
    if (any && !drawn.length) begin();
    else if (any) for (const { draw } of drawn) draw();
    else if (!points) tellEmpty(news.ended);
    if (news.ended) return;
  } catch (error) {
    if (!points) tellEmpty(false);
    notify(String(error.message ?? error), "bad");
  }
  setTimeout(poll, POLL_MS);
}

poll();
