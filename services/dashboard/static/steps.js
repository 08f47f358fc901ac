// What is known of a training, step by step: equally long columns of values, by their names.

/** Append columns of news in place; `x` names the one that counts steps, which rise from first to last. */
export function append(points, news, x) {
  news[x].forEach((step, place) => {
    // A worker that takes over goes on from the last save: what came after it comes again.
    while (points[x].at(-1) >= step) for (const column of Object.values(points)) column.pop();
    for (const [name, column] of Object.entries(points)) column.push(news[name][place]);
  });
}
