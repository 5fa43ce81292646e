// The graph of the assets: moving, scaling, the panel beside it, live states. Without it the graph is a picture with links.
"use strict";

(() => {
  const view = document.getElementById("lineage-view");
  const graph = view?.querySelector("svg.graph");
  if (!graph) return;
  const size = { width: graph.viewBox.baseVal.width, height: graph.viewBox.baseVal.height };
  const headings = graph.querySelector(".headings");
  const LARGEST = 3;
  // What is seen: the left upper corner, and pixels of the screen for each of the picture.
  const seen = { x: 0, y: 0, scale: 1 };

  view.classList.add("is-live");
  // What the names of the lanes pass over does not shine through.
  for (const lane of [...graph.querySelectorAll(".lanes rect")].reverse()) {
    const ground = lane.cloneNode();
    ground.setAttribute("height", 36);
    headings.prepend(ground);
  }
  graph.removeAttribute("width");
  document.querySelector(".lineage-tools")?.removeAttribute("hidden");

  const box = () => ({ width: view.clientWidth || 1, height: view.clientHeight || 1 });
  const whole = () => Math.min(box().width / size.width, box().height / size.height, 1);

  // As high as the picture at its present width, and no higher than there is room.
  function measure() {
    const room = parseFloat(getComputedStyle(view).maxHeight) || 600;
    const fitting = box().width / size.width;
    const scale = fitting < 0.75 ? 1 : Math.min(fitting, 1);
    graph.setAttribute("height", Math.round(Math.min(room, Math.max(size.height * scale, 160))));
  }

  function draw() {
    const { width, height } = box();
    const [w, h] = [width / seen.scale, height / seen.scale];
    // The picture does not leave the window; where it is smaller than the window it stands in the middle.
    const kept = (at, window, picture) =>
      window >= picture ? (picture - window) / 2 : Math.min(Math.max(at, 0), picture - window);
    seen.x = kept(seen.x, w, size.width);
    seen.y = kept(seen.y, h, size.height);
    graph.setAttribute("viewBox", `${seen.x} ${seen.y} ${w} ${h}`);
    // The names of the lanes stay in sight.
    headings.setAttribute("transform", `translate(0 ${Math.max(0, seen.y - 4)})`);
  }

  // Scales so that the point of the window stays where it is.
  function scaleTo(scale, x = box().width / 2, y = box().height / 2) {
    scale = Math.min(Math.max(scale, Math.min(whole(), 0.5)), LARGEST);
    seen.x += x / seen.scale - x / scale;
    seen.y += y / seen.scale - y / scale;
    seen.scale = scale;
    draw();
  }

  function moveBy(x, y) {
    seen.x += x / seen.scale;
    seen.y += y / seen.scale;
    draw();
  }

  function bounds(nodes) {
    const rects = nodes.map((node) => {
      const at = node.transform.baseVal.consolidate().matrix;
      const rect = node.querySelector("rect");
      return { x: at.e, y: at.f, width: rect.width.baseVal.value, height: rect.height.baseVal.value };
    });
    const x = Math.min(...rects.map((rect) => rect.x));
    const y = Math.min(...rects.map((rect) => rect.y));
    const right = Math.max(...rects.map((rect) => rect.x + rect.width));
    const bottom = Math.max(...rects.map((rect) => rect.y + rect.height));
    return { x, y, width: right - x, height: bottom - y };
  }

  // Shows a part of the picture, at a size at which it can be read.
  function show(part, smallest) {
    const { width, height } = box();
    const margin = part.width < size.width || part.height < size.height ? 24 : 0;
    const scale = Math.min((width - 2 * margin) / part.width, (height - 2 * margin) / part.height, 1);
    seen.scale = Math.max(scale, smallest);
    const room = { width: width / seen.scale, height: height / seen.scale };
    seen.x = part.width <= room.width ? part.x + (part.width - room.width) / 2 : part.x - margin / seen.scale;
    seen.y = part.height <= room.height ? part.y + (part.height - room.height) / 2 : part.y - margin / seen.scale;
    draw();
  }

  const nodes = () => [...graph.querySelectorAll("a.node")];
  const assetOf = (node) => decodeURIComponent(node.getAttribute("href").replace("/assets/", ""));
  const everything = () => show({ x: 0, y: 0, ...size }, 0);

  function begin() {
    const members = nodes().filter((node) => node.matches(".is-member"));
    const center = graph.querySelector("a.is-center");
    if (members.length) show(bounds(members), 0.6);
    else if (center && whole() < 0.75) show(bounds([center]), 1);
    else show({ x: 0, y: 0, ...size }, 0.75);
  }

  const deeds = {
    in: () => scaleTo(seen.scale * 1.3),
    out: () => scaleTo(seen.scale / 1.3),
    fit: everything,
    actual: () => scaleTo(1),
  };
  document.querySelector(".lineage-tools")?.addEventListener("click", (event) => {
    deeds[event.target.closest("button")?.dataset.view]?.();
  });

  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey || !event.shiftKey && Math.abs(event.deltaX) < Math.abs(event.deltaY)) {
      const rect = view.getBoundingClientRect();
      const lines = event.deltaMode === 1 ? 20 : 1;
      const speed = event.ctrlKey ? 0.01 : 0.0015;
      scaleTo(seen.scale * Math.exp(-event.deltaY * lines * speed), event.clientX - rect.left, event.clientY - rect.top);
    } else {
      moveBy(event.deltaX || event.deltaY, event.deltaX ? event.deltaY : 0);
    }
  }, { passive: false });

  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 80;
    const keys = {
      ArrowLeft: () => moveBy(-step, 0), ArrowRight: () => moveBy(step, 0),
      ArrowUp: () => moveBy(0, -step), ArrowDown: () => moveBy(0, step),
      "+": deeds.in, "=": deeds.in, "-": deeds.out, 0: deeds.fit, 1: deeds.actual,
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Whoever walks through the boxes with the keyboard sees the one they are at.
  graph.addEventListener("focusin", (event) => {
    const node = event.target.closest("a.node");
    if (!node?.matches(":focus-visible")) return;
    const at = bounds([node]);
    const { width, height } = box();
    const [w, h] = [width / seen.scale, height / seen.scale];
    if (at.x < seen.x || at.x + at.width > seen.x + w) seen.x = at.x + at.width / 2 - w / 2;
    if (at.y < seen.y || at.y + at.height > seen.y + h) seen.y = at.y + at.height / 2 - h / 2;
    draw();
  });

  // One pointer moves, two scale.
  const pointers = new Map();
  let moved = 0;
  const middle = () => {
    const [a, b = a] = [...pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  view.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!pointers.size) moved = 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  window.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = middle();
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = middle();
    moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y) + Math.abs(now.apart - before.apart);
    if (moved < 5) return;
    view.classList.add("is-moving");
    moveBy(before.x - now.x, before.y - now.y);
    if (before.apart > 0 && now.apart > 0) {
      const rect = view.getBoundingClientRect();
      scaleTo(seen.scale * now.apart / before.apart, now.x - rect.left, now.y - rect.top);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    window.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) view.classList.remove("is-moving");
    });
  }
  view.addEventListener("dragstart", (event) => event.preventDefault());

  // A click on a box opens its panel; with a key held down it follows the link, as everywhere.
  function open(asset) {
    const address = new URL(location.href);
    if (asset) address.searchParams.set("asset", asset);
    else address.searchParams.delete("asset");
    history.replaceState(null, "", address);
    for (const node of nodes()) node.classList.toggle("is-center", assetOf(node) === asset);
    const panel = document.getElementById("lineage-panel");
    if (asset) window.htmx?.ajax("GET", `/lineage/panel/${encodeURIComponent(asset)}`, { target: panel, swap: "innerHTML" });
    else panel.replaceChildren();
  }
  graph.addEventListener("click", (event) => {
    if (moved >= 5) {
      event.preventDefault();
      moved = 0;
      return;
    }
    const node = event.target.closest("a.node");
    if (!node || !window.htmx || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(assetOf(node));
  });
  document.getElementById("lineage-panel")?.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const neighbour = event.target.closest("a[data-asset]");
    const close = event.target.closest("a.close");
    if (!neighbour && !close) return;
    event.preventDefault();
    open(neighbour?.dataset.asset);
    const node = neighbour && nodes().find((node) => assetOf(node) === neighbour.dataset.asset);
    if (node) show(bounds([node]), seen.scale);
  });

  // Names to choose from.
  document.getElementById("lineage-assets")?.replaceChildren(...nodes().map((node) => new Option("", assetOf(node))));

  // Live states: classes and signs change, the layout stays.
  const legend = new Map();
  for (const item of document.querySelectorAll(".lineage-legend li")) {
    legend.set(item.dataset.state, { item, ...item.dataset });
  }
  document.getElementById("lineage-states")?.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) return;
    const states = JSON.parse(event.detail.xhr.responseText);
    const counts = new Map();
    for (const node of nodes()) {
      const asset = assetOf(node);
      const state = states[asset] ?? [...legend.keys()].find((state) => node.classList.contains(state));
      counts.set(state, (counts.get(state) ?? 0) + 1);
      const entry = legend.get(state);
      if (!entry || node.classList.contains(state)) continue;
      node.classList.remove(...legend.keys());
      node.classList.add(state);
      node.querySelector(".sign").textContent = entry.sign;
      node.querySelector("title").textContent = `${asset}: ${entry.word}`;
      const word = node.querySelector(".word");
      if (word) word.textContent = entry.word;
    }
    for (const [state, { item }] of legend) {
      item.hidden = !counts.get(state);
      item.querySelector(".count").textContent = counts.get(state) ?? 0;
    }
  });

  measure();
  begin();
  window.addEventListener("resize", () => { measure(); draw(); });
})();
