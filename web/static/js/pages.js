// Parts of pages that are loaded again keep what somebody did to them; logs follow their end.
"use strict";

// Which boxes were checked and which details were open.
const kept = new WeakMap();

document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  kept.set(target, {
    checked: [...target.querySelectorAll("input[type=checkbox][name]:checked")].map((box) => box.name + "=" + box.value),
    details: new Map([...target.querySelectorAll("details[id]")].map((details) => [details.id, details.open])),
  });
});

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  const state = kept.get(target);
  if (!state) return;
  for (const box of target.querySelectorAll("input[type=checkbox][name]")) {
    if (state.checked.includes(box.name + "=" + box.value)) box.checked = true;
  }
  for (const details of target.querySelectorAll("details[id]")) {
    if (state.details.has(details.id)) details.open = state.details.get(details.id);
  }
});

// A log that shows its end goes on showing it when more comes; one that was scrolled up stays where it is.
function follow(log) {
  log.scrollTop = log.scrollHeight;
  log.addEventListener("scroll", () => {
    log.dataset.follow = log.scrollTop + log.clientHeight > log.scrollHeight - 30 ? "" : "no";
  });
  new MutationObserver(() => {
    if (log.dataset.follow === "") log.scrollTop = log.scrollHeight;
  }).observe(log, { childList: true, subtree: true });
}

document.querySelectorAll("[data-follow]").forEach(follow);
document.addEventListener("htmx:load", (event) => {
  if (event.detail.elt.matches?.("[data-follow]")) follow(event.detail.elt);
  event.detail.elt.querySelectorAll?.("[data-follow]").forEach(follow);
});
