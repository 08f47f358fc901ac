// The form of a new search: what the check finds wrong is shown at the field that it is about.

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
}

form?.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "plan") showErrors();
  // Other options have come: what was said before they did is out of date.
  else form.dispatchEvent(new Event("input"));
});

// What was chosen before this page's scripts came, or before one went on and then back: a browser puts the
// choice into the form again, and leaves its options to us.
addEventListener("pageshow", () => {
  for (const select of form?.querySelectorAll("select[hx-get]") ?? []) {
    const options = document.querySelector(select.getAttribute("hx-target"));
    if (options.querySelector("[data-of]").dataset.of !== select.value) select.dispatchEvent(new Event("change"));
  }
});
