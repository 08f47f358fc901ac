// The form of a new search: what the check finds wrong is shown at the field that it is about, and what was
// typed is there again when its options come back.

const form = document.getElementById("new-search");
const submit = form?.querySelector("button.primary");

function showErrors() {
  const source = document.getElementById("plan-errors");
  const errors = source ? JSON.parse(source.textContent) : {};
  for (const field of form.querySelectorAll("[data-field]")) {
    const message = errors[field.dataset.field] ?? "";
    const place = field.querySelector(".wrong");
    if (place.textContent !== message) place.textContent = message;
    const control = field.querySelector("input:not([type=checkbox]), select, textarea");
    if (control && message) control.setAttribute("aria-invalid", "true");
    else control?.removeAttribute("aria-invalid");
  }
  for (const each of document.querySelectorAll("[data-about]")) each.hidden = !(each.dataset.about in errors);
  const refused = document.getElementById("refused");
  if (refused) refused.hidden = !refused.querySelector("[data-about]:not([hidden])");
}

// ---- options of what is chosen

// By what they are of: the values of their controls, in their order. The history keeps them, as it keeps the form.
const typed = history.state?.typed ?? {};
const of = (options) => `${options.id} ${options.querySelector("[data-of]").dataset.of}`;
const controls = (options) => [...options.querySelectorAll("input, select, textarea")];
const value = (control) => (control.type === "checkbox" ? "checked" : "value");

function remember(options) {
  typed[of(options)] = controls(options).map((control) => control[value(control)]);
  history.replaceState({ typed }, "");
}

function fillIn(options) {
  const values = typed[of(options)] ?? [];
  controls(options).forEach((control, place) => {
    if (place in values) control[value(control)] = values[place];
  });
}

// Before htmx hears of it: then the options are still those of what was chosen so far.
form?.addEventListener("change", ({ target }) => {
  const options = target.closest("section")?.querySelector(".options");
  if (options) remember(options);
}, true);

form?.addEventListener("htmx:afterSwap", ({ target }) => {
  if (target.id === "plan") {
    submit.disabled = false;
    return showErrors();
  }
  fillIn(target);
  checkAgain(); // what was said before these options came is out of date
});

// What was chosen before this page's scripts came, or before one went on and then back: a browser puts the
// choice into the form again, and leaves its options to us.
addEventListener("pageshow", () => {
  for (const select of form?.querySelectorAll("select[hx-get]") ?? []) {
    const options = document.querySelector(select.getAttribute("hx-target"));
    if (options.querySelector("[data-of]").dataset.of !== select.value) htmx.trigger(select, "restored");
  }
});

// ---- while the check cannot be made

form?.addEventListener("htmx:sendError", () => {
  submit.disabled = true;
  setTimeout(checkAgain, 3000);
});

form?.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.status !== 401) return;
  event.preventDefault(); // htmx would go to the login, and leave behind what is typed here
  submit.disabled = true;
  document.getElementById("plan").replaceChildren(document.getElementById("session-ended").content.cloneNode(true));
});

// Whoever comes back from logging in elsewhere goes on here, with the token of the new session.
document.addEventListener("visibilitychange", async () => {
  if (document.hidden || !document.querySelector("#plan .session-ended")) return;
  const page = await fetch("/login").then((answer) => answer.text());
  const { content } = new DOMParser().parseFromString(page, "text/html").querySelector("meta[name=csrf-token]");
  document.querySelector("meta[name=csrf-token]").content = content;
  for (const field of document.querySelectorAll("[name=csrf_token]")) field.value = content;
  checkAgain();
});

function checkAgain() {
  form.dispatchEvent(new Event("input"));
}
