// The page of a search: its plots, the brush that filters the table, and what follows the search while it runs.

import { along, axes, onAxis, steps } from "./best_so_far.js";
import { curve, explorable, frame, nothing } from "./charts.js";
import { label, names, seconds, tick, written } from "./numbers.js";
import { getJson, pageData } from "./page.js";
import { limitTicks } from "./ticks.js";

const { id, objective, directions } = pageData("search-data");
const api = `/v1/searches/${id}`;
const find = (selector) => document.querySelector(selector);

const best = bestSoFar();
const points = everyCandidate();
const parallel = inParallel();
filters();
keepPlace();
limitTicks("#candidates input[type=checkbox]", "#compare", 4);
follow();

// ---- best so far

function bestSoFar() {
  let found = null, axis = "completion";
  const drawn = curve(find("#best-chart"), (colors) => {
    const [x, y] = found ? steps(found, axis) : [[], []];
    return {
      data: [x, y],
      series: [
        { label: along(axis) },
        {
          label: objective,
          stroke: colors.accent,
          width: 2,
          fillTo: (plot) => plot.scales.y.min, // else to zero, which is above what is negative
          fill: `color-mix(in srgb, ${colors.accent} 10%, transparent)`,
          paths: uPlot.paths.stepped({ align: 1 }),
          points: { show: x.length < 60, size: 5, fill: colors.accent },
        },
      ],
      axes: axes(axis, objective),
      scales: { x: { time: false, range: (_, low, high) => (low === null ? [0, 1] : [Math.min(low, 0), high > low ? high : low + 1]) }, y: { range: (_, low, high) => around(objective, low, high) } },
      legend: { show: false },
      hooks: { setCursor: [(plot) => tell(plot.cursor.idx)] },
    };
  });

  function tell(index) {
    const note = find("#best-note");
    if (!found?.number.length) {
      note.textContent = "";
    } else {
      const at = Math.min(index ?? found.number.length - 1, found.number.length - 1);
      note.textContent = `${written(objective, found.value[at])} by candidate ${found.number[at]}, the ${ordinal(found.completion[at])} to finish, after ${seconds(found.seconds[at])}`;
    }
  }

  onAxis((chosen) => {
    axis = chosen;
    drawn.draw();
  });
  return {
    async load() {
      found = await getJson(`${api}/trajectory`);
      find("#best-chart").hidden = !found.number.length;
      find("#best-empty").hidden = Boolean(found.number.length);
      if (found.number.length) drawn.draw();
      tell(null);
    },
  };
}

/** From a little below the lowest value to a little above the highest; accuracies stay between 0 and 100 %. */
function around(metric, low, high) {
  if (low === null) return [0, 1];
  const margin = 0.1 * (high - low) || 0.05 * Math.abs(high) || 1;
  const [least, most] = metric.includes("accuracy") ? [0, 1] : [-Infinity, Infinity];
  return [Math.max(least, low - margin), Math.min(most, high + margin)];
}

// ---- every candidate

function everyCandidate() {
  let cloud = null;
  const [x, y] = [find("#x-axis"), find("#y-axis")];
  const { chart, draw } = explorable(find("#points-chart"), (colors) => {
    if (!cloud?.total) return nothing(colors, cloud ? "No candidate has both measurements yet." : "Loading …");
    const { axis, tooltip } = frame(colors);
    const of = (metric) => cloud?.columns[metric] ?? [];
    const [xs, ys, numbers] = [of(x.value), of(y.value), cloud?.number ?? []];
    const front = new Set(cloud?.pareto);
    const line = numbers.map((number, place) => [xs[place], ys[place], number]).filter((point) => front.has(point[2]));
    line.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const bestPlace = numbers.indexOf(cloud?.best);
    const many = numbers.length > 1500;
    return {
      grid: { left: 70, right: 24, top: 40, bottom: 52 },
      legend: { top: 4, right: 8, textStyle: { color: colors.muted }, data: ["candidates", "Pareto front", "best"] },
      tooltip: {
        ...tooltip,
        formatter: ({ data }) => {
          const place = numbers.indexOf(data[2]);
          const told = Object.keys(cloud.columns).map((name) => `${names[name] ?? name}  ${written(name, cloud.columns[name][place])}`);
          return [`candidate ${data[2]}${front.has(data[2]) ? " (Pareto front)" : ""}`, ...told].join("\n");
        },
      },
      xAxis: { ...axis, ...scale(x.value, xs), name: label(x.value), nameLocation: "middle", nameGap: 32, axisLabel: { color: colors.muted, hideOverlap: true, formatter: (value) => tick(x.value, value) } },
      yAxis: { ...axis, ...scale(y.value, ys), name: label(y.value), nameLocation: "middle", nameGap: 52, axisLabel: { color: colors.muted, formatter: (value) => tick(y.value, value) } },
      brush: { xAxisIndex: 0, yAxisIndex: 0, brushMode: "single", transformable: false, outOfBrush: { colorAlpha: 0.25 }, brushStyle: { borderColor: colors.accent, color: "rgba(80,140,240,.12)", borderWidth: 1 } },
      toolbox: { show: false },
      series: [
        { name: "candidates", type: "scatter", data: numbers.map((number, place) => [xs[place], ys[place], number]), symbolSize: many ? 4 : 8, cursor: "pointer", itemStyle: { color: colors.series[0], opacity: many ? 0.45 : 0.6 } },
        { name: "Pareto front", type: "line", step: directions[x.value] > 0 ? "start" : "end", data: line, symbol: "circle", symbolSize: 7, cursor: "pointer", lineStyle: { color: colors.series[1], width: 1.8 }, itemStyle: { color: colors.series[1] }, z: 3 },
        { name: "best", type: "scatter", symbol: "diamond", symbolSize: 15, cursor: "pointer", data: bestPlace < 0 ? [] : [[xs[bestPlace], ys[bestPlace], cloud.best]], itemStyle: { color: colors.series[2], borderColor: colors.surface, borderWidth: 1.5 }, z: 4 },
      ],
    };
  });

  // An armed brush takes every touch for itself: a finger that scrolls over the plot must not draw with it.
  const byTouch = matchMedia("(pointer: coarse)").matches;
  const gesture = byTouch ? "Press “Select on the plot” and draw on it" : "Drag over the plot";
  function arm(on) {
    chart.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: on && "rect", brushMode: "single" } });
    find("#arm").setAttribute("aria-pressed", String(on));
  }
  find("#arm").addEventListener("click", ({ target }) => arm(target.ariaPressed === "false"));
  async function load() {
    const query = `${api}/points?x=${x.value}&y=${y.value}`;
    find("#points-api").href = query;
    const answer = await getJson(query);
    if (!find("#points-api").href.endsWith(query)) return; // other axes were chosen meanwhile
    cloud = answer;
    const some = cloud.number.length < cloud.total ? ` ${cloud.number.length.toLocaleString("en")} of ${cloud.total.toLocaleString("en")} candidates are drawn, the front and the best among them.` : "";
    find("#points-note").textContent = cloud.total ? `${gesture} to filter the table; click on a point to open it.${some}` : "";
    draw();
    arm(Boolean(cloud.total) && !byTouch);
    find("#arm").hidden = !cloud.total || !byTouch;
  }
  // The brush takes the clicks on points for itself: look for the nearest one.
  chart.getZr().on("click", ({ offsetX, offsetY }) => {
    const number = nearest(offsetX, offsetY);
    if (number !== null) location.assign(`/candidates/${id}-${number}`);
  });
  function nearest(left, top) {
    let found = null, least = 12;
    (cloud?.number ?? []).forEach((number, place) => {
      const at = [cloud.columns[x.value][place], cloud.columns[y.value][place]];
      const [across, down] = chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, at);
      const distance = Math.hypot(across - left, down - top);
      if (distance < least) [found, least] = [number, distance];
    });
    return found;
  }
  chart.on("brushEnd", ({ areas }) => {
    if (!areas.length) return;
    const [[x0, x1], [y0, y1]] = areas[0].coordRange;
    if (chart.convertToPixel({ xAxisIndex: 0 }, x1) - chart.convertToPixel({ xAxisIndex: 0 }, x0) < 4) return;
    setRange(x.value, x0, x1);
    setRange(y.value, y0, y1);
    find("#unbrush").hidden = false;
    find("#filters").open = true;
    htmx.trigger("#filter", "filtered");
    if (byTouch) arm(false);
  });
  function clear() {
    chart.dispatchAction({ type: "brush", areas: [] });
    find("#unbrush").hidden = true;
    find("#reset").click();
  }
  find("#unbrush").addEventListener("click", clear);
  for (const select of [x, y]) select.addEventListener("change", () => load().catch(failed));
  return { load };
}

/** Sizes span orders of magnitude: a logarithmic axis where they do. */
function scale(metric, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const logarithmic = metric !== "accuracy" && low > 0 && high / low > 30;
  return { type: logarithmic ? "log" : "value", scale: true };
}

function setRange(metric, low, high) {
  const whole = metric === "params" || metric === "flops";
  const [from, to] = [find(`[name=min_${metric}]`), find(`[name=max_${metric}]`)];
  if (!from) return;
  const bounded = metric === "loss" || metric === "score" ? low : Math.max(0, low);
  from.value = whole ? Math.floor(bounded) : Number(bounded.toPrecision(6));
  to.value = whole ? Math.ceil(high) : Number((metric === "accuracy" ? Math.min(1, high) : high).toPrecision(6));
}

// ---- parallel coordinates

function inParallel() {
  let found = null, shown = [];
  const { draw } = explorable(find("#parallel-chart"), (colors) => {
    if (!found?.number.length) return nothing(colors, found ? "Nothing is scored yet." : "Loading …");
    const choices = Object.keys(found.choices);
    const rows = found.codes.map((codes, place) => [...shown.map((name) => found.choices[name][codes[choices.indexOf(name)]] ?? "–"), found.value[place]]);
    const [low, high] = [Math.min(...found.value), Math.max(...found.value)];
    const fromCold = [colors.lineStrong, colors.series[0], colors.series[1]];
    return {
      parallel: { left: 60, right: 90, top: 56, bottom: 24 },
      parallelAxis: [
        ...shown.map((name, dim) => ({ dim, name, type: "category", data: [...found.choices[name], ...(rows.some((row) => row[dim] === "–") ? ["–"] : [])] })),
        { dim: shown.length, name: label(found.metric), type: "value", scale: true, min: low, max: high > low ? high : low + 1e-9, axisLabel: { formatter: (value) => tick(found.metric, value) } },
      ].map((axis) => ({
        ...axis,
        nameTextStyle: { color: colors.text },
        axisLine: { lineStyle: { color: colors.lineStrong } },
        axisTick: { lineStyle: { color: colors.lineStrong } },
        axisLabel: { color: colors.text, fontSize: 11, backgroundColor: colors.surface, padding: [1, 4], borderRadius: 3, ...axis.axisLabel },
        z: 10,
      })),
      visualMap: { show: false, dimension: shown.length, min: low, max: high, inRange: { color: directions[found.metric] > 0 ? fromCold : fromCold.reverse() } },
      series: [{ type: "parallel", z: 2, smooth: 0.1, lineStyle: { width: 1.2, opacity: 0.4 }, emphasis: { lineStyle: { width: 3, opacity: 1 } }, data: rows }],
    };
  });
  return {
    async load() {
      const [columns, importance] = await Promise.all([getJson(`${api}/choices`), getJson(`${api}/importance`)]);
      found = columns;
      const explained = Object.fromEntries(importance.choices.map((each) => [each.choice, each.explained ?? 0]));
      const all = Object.keys(columns.choices);
      const kept = new Set([...all].sort((a, b) => (explained[b] ?? 0) - (explained[a] ?? 0)).slice(0, 10));
      shown = all.filter((name) => kept.has(name));
      const which = shown.length < all.length ? ` The ${shown.length} choices of ${all.length} that explain most.` : "";
      find("#parallel-note").textContent = columns.total
        ? `The best ${Math.ceil(columns.number.length / 2)} candidates and as many others at random; warm lines are better. Drag along an axis to pick lines out.${which}`
        : "";
      draw();
    },
  };
}

// ---- the table

function filters() {
  const form = find("#filter");
  find("#filters").open = matchMedia("(min-width: 40rem)").matches;
  // The API refuses an empty number: what is not filled in is not asked.
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt !== form) return;
    for (const [name, value] of Object.entries(detail.parameters)) if (value === "") delete detail.parameters[name];
    if (find("#candidates").dataset.order) detail.parameters.order_by = find("#candidates").dataset.order;
  });
  const markInvalid = () => mark(Object.fromEntries([...form.querySelectorAll("input:invalid")].map((input) => [input.name, input.validationMessage])));
  form.addEventListener("htmx:validation:halted", markInvalid);
  // What is no number yet, such as "1e", is no change to a browser either.
  form.addEventListener("focusout", () => {
    if (form.querySelector("input:invalid")) markInvalid();
    else if (!find("#refused").hidden) htmx.trigger(form, "filtered");
  });
  form.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status !== 422) return;
    event.stopPropagation(); // told at its field, it needs no notice
    mark(Object.fromEntries(JSON.parse(event.detail.xhr.responseText).errors.map(({ field, message }) => [field, message])));
  });
  form.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.successful) mark({});
  });
  form.addEventListener("reset", () => setTimeout(() => htmx.trigger(form, "filtered")));
  document.addEventListener("htmx:afterSwap", () => {
    const { order } = find("#candidates").dataset;
    if (order) history.replaceState({ order }, "");
  });
  // Whoever comes back from a candidate finds the form filled in again by the browser, and the table not.
  addEventListener("pageshow", () => {
    const table = find("#candidates");
    const order = history.state?.order ?? table.dataset.order;
    const narrowed = [...new FormData(form).values()].some(Boolean);
    if (narrowed) find("#filters").open = true;
    if (!narrowed && order === table.dataset.order) return;
    table.dataset.order = order;
    htmx.trigger(form, "filtered");
  });
}

/** Say at the fields of the filter what is wrong with them, and at the table that it is not as they ask. */
function mark(wrong) {
  for (const range of document.querySelectorAll("#filter .range")) {
    const inputs = [...range.querySelectorAll("input")];
    for (const input of inputs) input.setAttribute("aria-invalid", String(input.name in wrong));
    range.querySelector(".wrong").textContent = inputs.map(({ name }) => wrong[name] ?? "").join(" ").trim();
  }
  find("#refused").hidden = !Object.keys(wrong).length;
}

/** What is ticked, how far the table is scrolled sideways, and the focus outlive what comes in its place. */
function keepPlace() {
  let ticked = [], across = 0, focused = false;
  document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
    if (target.id !== "candidates") return;
    ticked = [...target.querySelectorAll("input:checked")].map(({ id }) => id);
    across = find("#ranked")?.scrollLeft ?? 0;
    focused = target.contains(document.activeElement);
  });
  document.addEventListener("htmx:afterSwap", ({ detail: { target } }) => {
    if (target.id !== "candidates") return;
    for (const id of ticked) document.getElementById(id)?.click();
    if (find("#ranked")) find("#ranked").scrollLeft = across;
    // The last page has no next one, and the first no first one.
    if (focused && document.activeElement === document.body) find("#first-page, #next-page")?.focus();
  });
}

function failed(error) {
  find("#points-note").textContent = error.message;
}

// ---- while it runs

function follow() {
  const table = paced(800, () => {
    if (isBeingRead()) setTimeout(table, 800);
    else htmx.trigger("#filter", "filtered");
  });
  const cheap = paced(800, points.load);
  const costly = paced(5000, () => {
    for (const part of ["#importance", "#history"]) htmx.trigger(part, "renew");
    return parallel.load();
  });
  // What is at the top first: the rest reads ten thousand architectures.
  Promise.all([best.load(), points.load()]).then(parallel.load).catch(failed);
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id !== "progress") return;
    best.load().catch(failed);
    table();
    cheap();
    costly();
  });
}

/** Whether news would get in the way: on later pages, or on the way there, at a link that has the keyboard, amid ticks. */
function isBeingRead() {
  const table = find("#candidates");
  const isTicked = find("#progress[hx-get]") && table.querySelector("input:checked");
  return table.dataset.first !== "yes" || Boolean(isTicked || table.querySelector(".htmx-request, :focus-visible:not([id])"));
}

/** `work`, when asked for, but no oftener than every `least` ms, and with a tenth of the time at most. */
function paced(least, work) {
  let ended = performance.now(), took = 0, timer = null;
  return () => {
    timer ??= setTimeout(async () => {
      timer = null;
      const began = performance.now();
      await Promise.resolve(work()).catch(() => {}); // the next time will tell
      ended = performance.now();
      took = ended - began;
    }, Math.max(0, ended + Math.max(least, 10 * took) - performance.now()));
  };
}

function ordinal(number) {
  const tens = number % 100, ones = number % 10;
  const ending = tens > 10 && tens < 14 ? "th" : ["th", "st", "nd", "rd"][ones] ?? "th";
  return `${number.toLocaleString("en")}${ending}`;
}
