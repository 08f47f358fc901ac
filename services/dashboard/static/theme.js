// Before the first paint, so that a dark page never flashes white. Without a choice the system decides.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
