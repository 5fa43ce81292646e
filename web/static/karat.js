// What pages do beyond links and forms. Everything here is an addition: without it, pages still work.
"use strict";

// A form or button with data-confirm asks first.
document.addEventListener("submit", (event) => {
  const asks = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (asks && !window.confirm(asks)) event.preventDefault();
});

// A click on a command line selects and copies it.
document.addEventListener("click", (event) => {
  const line = event.target.closest("code.cli");
  if (!line) return;
  window.getSelection().selectAllChildren(line);
  navigator.clipboard?.writeText(line.textContent.trim()).then(() => {
    line.dataset.copied = "";
    setTimeout(() => delete line.dataset.copied, 1200);
  }, () => {});
});

// data-submit on a select or input sends its form when it changes.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form?.requestSubmit();
});

// data-all on a checkbox checks all checkboxes of that name in its form.
document.addEventListener("change", (event) => {
  const name = event.target.dataset?.all;
  if (!name) return;
  const root = event.target.closest("form") ?? document;
  for (const box of root.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)) box.checked = event.target.checked;
});

// A part that could not be loaded says so where people look.
document.addEventListener("htmx:responseError", (event) => {
  const text = event.detail.xhr.responseText;
  const notices = document.getElementById("notices");
  if (!notices) return;
  const parsed = new DOMParser().parseFromString(text, "text/html").querySelector(".banner");
  if (parsed) notices.replaceChildren(document.importNode(parsed, true));
});

// A page that is left lets go of its streams at once: a browser that keeps it for the way back would keep them open too, and
// has only six connections to a server. On the way back it is loaded anew.
const streams = new Set();
if (window.htmx) {
  window.htmx.createEventSource = (url) => {
    const stream = new EventSource(url, { withCredentials: true });
    streams.add(stream);
    return stream;
  };
}
window.addEventListener("pagehide", () => {
  for (const stream of streams) stream.close();
  streams.clear();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
