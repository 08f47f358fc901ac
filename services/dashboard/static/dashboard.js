// What every page has: the theme's switch, times that stay current, copy buttons, requests by htmx.

import { seconds } from "./numbers.js";
import { isDark, notify } from "./page.js";

const root = document.documentElement;

function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  root.dispatchEvent(new Event("themechange"));
}

function span(passed) {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (passed >= length) return `${Math.floor(passed / length)} ${unit}`;
  }
  return `${Math.floor(passed)} s`;
}

function updateTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const passed = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const text = passed < 5 ? "just now" : `${span(passed)} ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

function countOn() {
  const from = (moment) => (Date.now() - Date.parse(moment)) / 1000;
  for (const each of document.querySelectorAll("[data-since]")) each.textContent = seconds(from(each.dataset.since));
  for (const each of document.querySelectorAll("[data-until]")) each.textContent = seconds(Math.max(1, -from(each.dataset.until)));
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  let copied = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Browsers give it to pages of https and of this machine only: elsewhere as by hand.
    getSelection().selectAllChildren(source);
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

document.getElementById("theme").addEventListener("click", switchTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  root.dispatchEvent(new Event("themechange")),
);
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
setInterval(updateTimes, 5000);
setInterval(countOn, 1000);

// For browsers that do not know the buttons' `command` yet.
document.addEventListener("click", ({ target }) => {
  if ("commandForElement" in HTMLButtonElement.prototype) return;
  const opener = target.closest("[data-open]");
  const dialog = opener ? document.getElementById(opener.dataset.open) : target.closest("dialog");
  if (opener && !dialog.open) dialog.showModal();
  if (target.closest("[data-close]")) dialog.close();
});

// The button that opened it may have been replaced by news meanwhile.
document.addEventListener("close", ({ target }) => {
  const { activeElement: focused, body } = document;
  if (focused === body || target.contains(focused)) document.querySelector(`[data-open="${target.id}"]`)?.focus();
}, true);

// A second click while the answer is on its way would extend, clone or train twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = document.querySelector('meta[name="csrf-token"]').content;
});
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  let text = `The controller answered ${xhr.status}.`;
  try {
    const problem = JSON.parse(xhr.responseText);
    text = problem.detail || problem.title;
    if (problem.remedy) text += `. ${problem.remedy[0].toUpperCase()}${problem.remedy.slice(1)}`;
  } catch {} // not problem details: the status is all there is to tell
  notify(text, "bad");
});
// A browser that leaves a page breaks off what the page has asked for: that is no fault of the controller.
let leaving = false;
addEventListener("beforeunload", () => (leaving = true));
addEventListener("pageshow", () => (leaving = false));
document.addEventListener("htmx:sendError", () => {
  if (!leaving) notify("The controller does not answer.", "bad");
});
