// How metrics are called and written, as services/dashboard/metrics.py does it on the server.

export const names = {
  score: "proxy score",
  accuracy: "proxy accuracy",
  loss: "loss",
  params: "parameters",
  flops: "FLOPs",
  seconds: "scoring time",
  latency_ms: "latency",
};

const units = { loss: "nats", flops: "FLOPs", latency_ms: "ms", accuracy: "%", seconds: "s" };

/** The name of a metric with its unit, for an axis. */
export function label(metric) {
  const unit = units[metric];
  return unit && unit !== names[metric] ? `${names[metric]} (${unit})` : names[metric];
}

/** 18594 as "18.6 k". */
export function short(value) {
  for (const [size, prefix] of [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size * 0.9995) return `${digits(value / size)} ${prefix}`;
  }
  return digits(value);
}

/** A duration in words: rounded first, so that no 60 is left over. */
export function seconds(value) {
  if (value < 0.9995) return `${digits(Number((value * 1000).toFixed(3)))} ms`;
  if (value < 59.95) return `${digits(value)} s`;
  const whole = Math.round(value), two = (number) => String(Math.floor(number)).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A value of a metric, with its unit. */
export function written(metric, value) {
  if (value === null || value === undefined) return "–";
  switch (metric) {
    case "accuracy": return `${(100 * value).toFixed(2)} %`;
    case "loss": return `${measure(value, 3)} nats`;
    case "params": return short(value);
    case "flops": return `${short(value)}FLOPs`;
    case "seconds": return seconds(value);
    case "latency_ms": return `${measure(value, 2)} ms`;
    default: return measure(value, 4);
  }
}

/** A tick of an axis that is labelled with the metric's unit. */
export function tick(metric, value) {
  if (metric === "accuracy") return digits(100 * value);
  if (metric === "params" || metric === "flops") return short(value);
  return digits(value);
}

/** So many places; an exponent where those would be all zeros, or longer than anyone reads. */
function measure(value, places) {
  const size = Math.abs(value);
  return size && (size < 0.5 * 10 ** -places || size >= 1e6) ? value.toExponential(2) : value.toFixed(places);
}

function digits(value) {
  return String(Number(value.toPrecision(3)));
}
