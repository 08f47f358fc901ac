// Boxes that are ticked for a comparison: no more than it shows, and two before its button can be pressed.

export function limitTicks(boxes, button, most) {
  const judge = () => {
    const all = [...document.querySelectorAll(boxes)];
    const chosen = all.filter((box) => box.checked).length;
    for (const box of all) box.disabled = !box.checked && chosen >= most;
    if (all.length) document.querySelector(button).disabled = chosen < 2;
  };
  document.addEventListener("change", ({ target }) => {
    if (target.matches(boxes)) judge();
  });
  addEventListener("pageshow", judge);
}
