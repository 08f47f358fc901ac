// What the scripts of single pages share. No side effects.

const root = document.documentElement;

/** Whether the page is dark now. */
export function isDark() {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The value of a CSS custom property, such as "--accent": charts take their colours from the stylesheet. */
export function color(name) {
  return getComputedStyle(root).getPropertyValue(name).trim();
}

/** Call `draw` now and whenever light changes to dark or back. */
export function onTheme(draw) {
  draw();
  root.addEventListener("themechange", draw);
}

/** The JSON in <script type="application/json" id="…">. */
export function pageData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** GET of the API, as JSON. Rejects with the problem's own words, or with words of ours where there are none. */
export async function getJson(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => {
    throw new Error("The controller does not answer.");
  });
  const body = await answer.json().catch(() => ({})); // of a proxy, for instance
  if (!answer.ok) throw new Error(body.detail || body.title || `${url} answered ${answer.status}`);
  return body;
}

/** Tell the user something at the lower edge of the page. */
export function notify(text, kind = "") {
  const notice = document.createElement("p");
  notice.className = `notice ${kind}`;
  notice.textContent = text;
  document.getElementById("notices").replaceChildren(notice);
  setTimeout(() => notice.remove(), 8000);
}
