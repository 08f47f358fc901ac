// The form of a new search: what the check finds wrong is shown at the field that it is about, and what was
// typed is there again when its options come back.

const form = document.getElementById("new-search");

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
  if (target.id === "plan") return showErrors();
  fillIn(target);
  // What was said before these options came is out of date.
  form.dispatchEvent(new Event("input"));
});

// What was chosen before this page's scripts came, or before one went on and then back: a browser puts the
// choice into the form again, and leaves its options to us.
addEventListener("pageshow", () => {
  for (const select of form?.querySelectorAll("select[hx-get]") ?? []) {
    const options = document.querySelector(select.getAttribute("hx-target"));
    if (options.querySelector("[data-of]").dataset.of !== select.value) htmx.trigger(select, "restored");
  }
});
