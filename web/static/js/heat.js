// Ranges are picked on a heat bar by dragging; the bar only fills in the two fields, which work without it.
"use strict";

const field = (name) => document.querySelector(`[data-heat-${name}]`);
const cellsOf = (bar) => [...bar.querySelectorAll("path[data-first]")];

function cellAt(bar, event) {
  const cells = cellsOf(bar);
  const box = bar.getBoundingClientRect();
  const place = Math.floor(((event.clientX - box.left) / box.width) * cells.length);
  return Math.max(0, Math.min(cells.length - 1, place));
}

function pick(bar, one, other) {
  const cells = cellsOf(bar);
  const [first, last] = [Math.min(one, other), Math.max(one, other)];
  const [from, to] = [field("from"), field("to")];
  if (!from || !to || !cells[first]) return;
  from.value = cells[first].dataset.first;
  to.value = cells[last].dataset.last;
  show();
}

// Marks what the fields say on the bar, and in the command.
function show() {
  const [from, to] = [field("from")?.value.trim() ?? "", field("to")?.value.trim() ?? ""];
  for (const bar of document.querySelectorAll("svg[data-heat]")) {
    const cells = cellsOf(bar);
    const first = cells.findIndex((cell) => from && from >= cell.dataset.first && from <= cell.dataset.last);
    const end = to || from;
    const last = cells.findIndex((cell) => end && end >= cell.dataset.first && end <= cell.dataset.last);
    let mark = bar.querySelector("rect.picked");
    if (first < 0 || last < first) {
      mark?.remove();
      continue;
    }
    if (!mark) {
      mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      mark.setAttribute("class", "picked");
      mark.setAttribute("y", "0");
      mark.setAttribute("height", "20");
      bar.append(mark);
    }
    mark.setAttribute("x", String(first * 5 - 0.5));
    mark.setAttribute("width", String((last - first + 1) * 5));
  }
  for (const line of document.querySelectorAll("[data-heat-command]")) {
    const range = from && to && from !== to ? `${from}..${to}` : from || to || "--all";
    line.textContent = `${line.dataset.heatCommand} ${range}`;
  }
}

let dragged = null;

document.addEventListener("pointerdown", (event) => {
  const bar = event.target.closest?.("svg[data-heat]");
  if (!bar || event.button !== 0) return;
  dragged = { bar, start: cellAt(bar, event) };
  pick(bar, dragged.start, dragged.start);
  event.preventDefault();
});
document.addEventListener("pointermove", (event) => {
  if (dragged) pick(dragged.bar, dragged.start, cellAt(dragged.bar, event));
});
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => {
    dragged = null;
  });
}
document.addEventListener("input", (event) => {
  if (event.target.matches("[data-heat-from], [data-heat-to]")) show();
});
document.addEventListener("reset", () => setTimeout(show));
document.addEventListener("htmx:afterSwap", show);
show();
