// Before everything else: the theme, so that a dark page never flashes white (without a choice the system
// decides), and a button that is pressed while scripts still come, which is pressed again once they are there.

(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;

  let held = null;

  function hold(event) {
    const button = event.target.closest("button");
    if (!button) return;
    // Other forms work without scripts; one that asks first would be sent unasked.
    if (button.type === "submit" && !button.form?.hasAttribute("hx-confirm")) return;
    held = button;
    event.preventDefault();
    event.stopPropagation();
  }

  addEventListener("click", hold, true);
  addEventListener("DOMContentLoaded", () =>
    // After htmx, which begins with the same event.
    setTimeout(() => {
      removeEventListener("click", hold, true);
      held?.click();
    }),
  );
})();
