// The page around the diagram: view, filters, slider, panels, keys.

const $ = (id) => document.getElementById(id);
const canvas = $("diagram");
const CLASSES = [
  ["append", "entries"], ["heartbeat", "heartbeats"], ["vote", "votes"], ["pre_vote", "pre-votes"],
  ["snapshot", "snapshots"], ["transfer", "transfers"], ["read", "reads"],
];
const view = { from: 0, until: Math.max(1, run.end) };
const shown = { lost: true, clients: true, causes: null, until: 0, message: null, cursor: 0 };
// The event after which the nodes are shown, and the one that is selected.
let current = 0;
let selected = null;
let onlyCauses = false;
let place = layout(800, 600);
let waiting = false;
const target = () => selected ?? run.violation?.event ?? null;

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    paint(canvas.parentElement.clientWidth, devicePixelRatio);
  });
}

function paint(width, density) {
  const room = Math.max(360, innerHeight - canvas.getBoundingClientRect().top - scrollY - 90);
  place = layout(width, room);
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(place.height * density);
  canvas.style.height = document.documentElement.className ? "auto" : `${place.height}px`;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  shown.causes = onlyCauses && target() !== null ? causesOf(target()) : null;
  shown.until = target() === null ? run.end : events.time[target()];
  new Drawing(context, place, view, shown).all();
}

// --- the view -------------------------------------------------------------------------------

function show(from, until) {
  const length = Math.min(Math.max(until - from, 2e4), Math.max(1, run.end) * 1.02);
  view.from = Math.min(Math.max(from, -0.01 * run.end), run.end * 1.01 - length);
  view.until = view.from + length;
  redraw();
}

const whole = () => show(-0.01 * run.end, run.end * 1.01);
const timeAt = (x) =>
  view.from + ((x - GUTTER) / (place.width - GUTTER - MARGIN)) * (view.until - view.from);

function zoom(factor, around = shown.cursor) {
  const held = around < view.from || around > view.until ? (view.from + view.until) / 2 : around;
  show(held - (held - view.from) * factor, held + (view.until - held) * factor);
}

function pan(part) {
  const by = (view.until - view.from) * part;
  show(view.from + by, view.until + by);
}

// --- the moment -----------------------------------------------------------------------------

function goTo(event, time = events.time[event]) {
  current = Math.min(Math.max(event, 0), events.length - 1);
  shown.cursor = time;
  $("slider").value = time;
  $("clock").textContent = `${millis(time)} ms`;
  if (time < view.from || time > view.until) {
    const half = (view.until - view.from) / 2;
    show(time - half, time + half);
  }
  panels();
  redraw();
}

function select(event) {
  selected = event;
  const message = event === null ? null : events.message[event];
  shown.message = message === null ? null : messages[message];
  $("causes").disabled = target() === null;
  if (event !== null) goTo(event);
  else redraw();
}

const goToTime = (time) => goTo(eventAt(Math.max(0, time)), Math.min(Math.max(0, time), run.end));

// --- the panels -----------------------------------------------------------------------------

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "rect", "text", "path", "line"].includes(name);
  const space = svg ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const LASTING = {
  paused: "paused", hung_disk: "its disk hangs", writing: "a write is not durable yet",
  lease: "holds a lease", promise: "has promised not to vote",
};
const lastingAt = (lane, time) =>
  Object.keys(LASTING).filter((kind) => bandAt(lane, kind, time)).map((kind) => LASTING[kind]);
const bandAt = (lane, kind, time) =>
  bands.find((b) => b.lane === lane && b.kind === kind && b.from <= time && time < b.until);

function panels() {
  const now = run.nodes.map((_, lane) => stateAt(lane, current));
  const longest = Math.max(...now.map((state) => state?.last_index ?? 0));
  $("nodes").replaceChildren(...now.map((state, lane) => card(lane, state, longest)));
  const first = Math.min(Math.max(0, current - 7), Math.max(0, events.length - 12));
  const lines = [];
  for (let nth = first; nth < Math.min(events.length, first + 12); nth += 1) lines.push(line(nth));
  $("around").replaceChildren(...lines);
}

function line(nth) {
  const item = make("li", { "data-event": nth });
  if (nth === current) item.setAttribute("aria-current", "true");
  if (nth > current) item.className = "after";
  item.append(
    make("span", { class: "when" }, millis(events.time[nth])),
    make("span", { class: "where" }, laneName(events.lane[nth])),
    ` ${run.texts[events.text[nth]].replace(/^client \d+: /, "")}`,
  );
  return item;
}

function card(lane, state, longest) {
  const role = state?.role ?? null;
  const chip = make("span", { class: "role" }, role === null ? "down" : role.replace("_", "-"));
  const name = role ?? "follower";
  chip.style.cssText = `background: var(--${name}); color: var(--on_${name})`;
  const head = make("h2", {}, laneName(lane), chip);
  const box = make("div", { class: "node" }, head);
  if (role === null) return box;
  head.append(make("span", {}, `term ${state.term}`));
  const node = (id) => (id === null ? "–" : `S${id}`);
  const parts = (pairs) => {
    const line = make("p");
    for (const [label, value, behind] of pairs) {
      line.append(`${label} `, make(behind ? "span" : "b", behind ? { class: "behind" } : {}, `${value}`), "  ");
    }
    return line;
  };
  const { durable_term: term, durable_vote: vote } = state;
  const last = `${state.last_term}/${state.last_index}`;
  const durable = `${state.durable_last_term}/${state.durable_last_index}`;
  const hardState = term !== state.term || vote !== state.vote;
  box.append(
    parts([["vote", node(state.vote)], ["leader", node(state.leader)], ["last", last],
      ["commit", state.commit]]),
    parts([["applied", state.applied], ["on disk: log", durable, durable !== last],
      ["term", term, hardState], ["vote", node(vote), hardState]]),
  );
  const lasting = lastingAt(lane, shown.cursor);
  if (lasting.length > 0) box.append(make("p", {}, lasting.join(", ")));
  box.append(strip(state, longest));
  return box;
}

/** The end of a log, entry by entry: the same indices for every node. */
function strip(state, longest) {
  const [count, size] = [26, 12];
  const first = Math.max(1, longest - count + 1);
  const log = logOf(state.last_term, state.last_index);
  const disk = logOf(state.durable_last_term, state.durable_last_index);
  const words = `Log from index ${first}: committed up to ${state.commit}`;
  const svg = make("svg", { viewBox: `0 0 ${count * size + 2} 25`, role: "img", "aria-label": words });
  for (let nth = 0; nth < count; nth += 1) {
    const index = first + nth;
    const term = termIn(log, index);
    const x = nth * size + 1;
    if (term === null) continue;
    const [fill, ink] = termColour(term);
    const durable = termIn(disk, index) === term;
    const hidden = index <= state.log_start;
    svg.append(make("rect", {
      x: x + 0.5, y: 1.5, width: size - 1.5, height: 12, fill: durable ? fill : "none",
      stroke: durable ? "none" : "currentColor", "stroke-dasharray": durable ? "none" : "2 1.5",
      opacity: hidden ? 0.35 : 1,
    }));
    const label = make("text", {
      x: x + size / 2, y: 10.5, "text-anchor": "middle", "font-size": 8,
      fill: durable ? ink : "currentColor",
    }, `${term}`);
    svg.append(label);
    if (index > state.commit) continue;
    svg.append(make("rect", { x, y: 14.5, width: size, height: 2.5, fill: "currentColor" }));
  }
  const index = (nth) => make("text", {
    x: nth * size + size / 2 + 1, y: 24.5, "text-anchor": "middle", "font-size": 7.5,
    fill: "currentColor", opacity: 0.75,
  }, `${first + nth}`);
  svg.append(...[0, 5, 10, 15, 20, 25].map(index));
  if (state.last_index < first) {
    const words = state.last_index === 0 ? "empty" : `ends at ${state.last_index}`;
    svg.append(make("text", { x: 2, y: 11, "font-size": 9, fill: "currentColor" }, words));
  }
  return svg;
}

// --- what lies under the pointer ------------------------------------------------------------

function under(x, y) {
  const drawing = new Drawing(canvas.getContext("2d"), place, view, shown);
  const time = timeAt(x);
  const lane = place.bars.findIndex((top) => top <= y && y <= top + BAR);
  if (lane >= 0) return { lane, time };
  let best = { distance: 6 };
  for (const message of messages) {
    if (!drawing.sees(message.start, message.end) || !drawing.shows(message)) continue;
    const distance = away(x, y, drawing.ends(message));
    if (distance < best.distance) best = { distance, message };
  }
  if (best.message) return best;
  const row = Math.floor((y - place.clients) / (CLIENT + 3));
  const asks = (o) => o.lane === run.nodes.length + row && events.time[o.began] <= time &&
    time <= (o.ended === null ? run.end : events.time[o.ended]);
  const operation = shown.clients && row >= 0 ? operations.find(asks) : undefined;
  if (operation) return { operation };
  const links = Math.floor((y - place.top.links) / 14);
  const band = linkRows[links]?.find((b) => b.from <= time && time <= b.until);
  if (band) return { band };
  const near = (5 / (place.width - GUTTER)) * (view.until - view.from);
  const fault = faults.filter((nth) => Math.abs(events.time[nth] - time) < near);
  return fault.length > 0 && y < place.top.service ? { fault } : {};
}

function away(x, y, [x1, y1, x2, y2]) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
  const part = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length));
  return Math.hypot(x - x1 - part * (x2 - x1), y - y1 - part * (y2 - y1));
}

function describe({ message, lane, time, operation, band, fault }) {
  if (message) return sentence(message);
  if (band) return `${band.text}\n${millis(band.from)} to ${millis(band.until)} ms`;
  if (fault) return fault.map((nth) => run.texts[events.text[nth]]).join("\n");
  if (operation) {
    const { began, ended, phase, text } = operation;
    const end = ended === null ? "" : ` to ${millis(events.time[ended])}`;
    return `${text}\n${phase}, ${millis(events.time[began])}${end} ms`;
  }
  if (lane === undefined || time < 0) return null;
  const event = eventAt(time);
  const state = stateAt(lane, event);
  const head = `${laneName(lane)} at ${millis(time)} ms`;
  if (!state || state.role === null) return `${head}: down`;
  const lasting = lastingAt(lane, time);
  return `${head}: ${state.role.replace("_", "-")}, term ${state.term}\n` +
    `last ${state.last_term}/${state.last_index}, commit ${state.commit}, on disk ` +
    `${state.durable_last_term}/${state.durable_last_index}` +
    (lasting.length > 0 ? `\n${lasting.join(", ")}` : "");
}

function tip(pointer) {
  const text = pointer && pointer.offsetX > GUTTER && describe(under(pointer.offsetX, pointer.offsetY));
  $("tip").hidden = !text;
  if (!text) return;
  $("tip").textContent = text;
  const { width, height } = $("tip").getBoundingClientRect();
  const left = pointer.clientX + 14 + width > innerWidth ? pointer.clientX - width - 10 : pointer.clientX + 14;
  const top = Math.min(pointer.clientY + 14, innerHeight - height - 4);
  $("tip").style.cssText = `left: ${Math.max(4, left)}px; top: ${top}px`;
}

/** The event in a lane that is nearest to a time. */
function nearest(lane, time) {
  const after = eventAt(time) + 1;
  let [before, next] = [after - 1, after];
  while (before >= 0 && events.lane[before] !== lane) before -= 1;
  while (next < events.length && events.lane[next] !== lane) next += 1;
  if (before < 0) return next < events.length ? next : null;
  const closer = next < events.length && events.time[next] - time < time - events.time[before];
  return closer ? next : before;
}

function click(x, y) {
  const { message, operation, lane, fault } = under(x, y);
  if (message) select(message.ended ?? message.sent);
  else if (operation) select(operation.ended ?? operation.began);
  else if (fault) select(fault[0]);
  else if (lane !== undefined) {
    const event = nearest(lane, timeAt(x));
    const near = event !== null && Math.abs(events.time[event] - timeAt(x)) < 6 * perPoint();
    if (near) select(event);
    else (select(null), goToTime(timeAt(x)));
  } else (select(null), goToTime(timeAt(x)));
}

const perPoint = () => (view.until - view.from) / (place.width - GUTTER - MARGIN);

// --- hands ----------------------------------------------------------------------------------

let drag = null;
canvas.addEventListener("pointerdown", (pointer) => {
  canvas.setPointerCapture(pointer.pointerId);
  drag = { x: pointer.clientX, from: view.from, until: view.until, moved: false };
});
canvas.addEventListener("pointermove", (pointer) => {
  if (!drag) return tip(pointer);
  const by = drag.x - pointer.clientX;
  drag.moved ||= Math.abs(by) > 3;
  if (!drag.moved) return;
  const scale = (drag.until - drag.from) / (place.width - GUTTER - MARGIN);
  show(drag.from + by * scale, drag.until + by * scale);
  tip(null);
});
canvas.addEventListener("pointerup", (pointer) => {
  if (drag && !drag.moved) click(pointer.offsetX, pointer.offsetY);
  drag = null;
});
canvas.addEventListener("pointercancel", () => { drag = null; });
canvas.addEventListener("pointerleave", () => tip(null));
canvas.addEventListener("wheel", (wheel) => {
  wheel.preventDefault();
  tip(null);
  const sideways = wheel.shiftKey || Math.abs(wheel.deltaX) > Math.abs(wheel.deltaY);
  if (sideways) pan((wheel.deltaX || wheel.deltaY) / place.width);
  else zoom(Math.exp(Math.max(-200, Math.min(200, wheel.deltaY)) / 300), timeAt(wheel.offsetX));
}, { passive: false });

$("slider").addEventListener("input", () => goToTime(Number($("slider").value)));
$("around").addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item) select(Number(item.dataset.event));
});

function toggleCauses() {
  if (target() === null) return;
  onlyCauses = !onlyCauses;
  $("causes").setAttribute("aria-pressed", `${onlyCauses}`);
  redraw();
}

function toViolation() {
  if (!run.violation) return;
  const { time, event } = run.violation;
  const width = Math.min(run.end, 3e8);
  show(time - width, time + width * 0.08);
  select(event);
}

const step = (by) => goTo(current + by);
const actions = {
  fit: whole, in: () => zoom(0.6), out: () => zoom(1 / 0.6), back: () => step(-1),
  next: () => step(1), find: toViolation, causes: toggleCauses,
};
for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);

const keys = {
  0: whole, "+": actions.in, "=": actions.in, "-": actions.out, c: toggleCauses, v: toViolation,
  ArrowLeft: actions.back, ArrowRight: actions.next, Home: () => goTo(0),
  End: () => goTo(events.length - 1), Escape: () => select(null),
  a: () => pan(-0.2), d: () => pan(0.2),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = keys[event.key];
  if (!action || (event.target.matches("button, summary") && event.key === " ")) return;
  event.preventDefault();
  tip(null);
  action();
});

// --- the beginning --------------------------------------------------------------------------

function filters() {
  const has = new Set(messages.map((message) => message.class));
  const chips = CLASSES.filter(([name]) => has.has(name));
  if (messages.some((message) => message.lost)) chips.push(["lost", "lost ones"]);
  if (run.clients.length > 0) chips.push(["clients", "clients"]);
  for (const [name, text] of chips) {
    shown[name] = true;
    const box = make("input", { type: "checkbox", checked: "" });
    const swatch = make("i");
    swatch.style.color = `var(--${{ lost: "bad", clients: "faint" }[name] ?? name})`;
    box.addEventListener("change", () => { shown[name] = box.checked; redraw(); });
    const chip = make("label", { class: "chip", "data-filter": name }, box);
    if (name !== "clients") chip.append(swatch);
    chip.append(text);
    $("filters").append(chip);
  }
}

function legend() {
  const bar = (name) => `<svg width="18" height="12"><rect width="18" height="12" fill="var(--${name})"/></svg>`;
  const arrow = (inner) => `<svg width="26" height="12" stroke="currentColor" fill="none">${inner}</svg>`;
  $("legend").innerHTML = `<ul>
    <li>${bar("follower")}follower</li><li>${bar("pre_candidate")}pre-candidate</li>
    <li>${bar("candidate")}candidate</li><li>${bar("leader")}leader</li>
    <li>${bar("writing")}a write is not durable yet</li>
    <li>${bar("lease")}a leader's lease</li>
    <li>${bar("promise")}a promise not to vote, from the sending of the probe</li>
    <li>${bar("good")}a leader can commit</li><li>${bar("bad")}links that lose messages</li>
    <li>${arrow('<path d="M0 6H24" /><path d="M18 2L25 6L18 10Z" fill="currentColor"/>')}a question</li>
    <li>${arrow('<path d="M0 6H24M18 2L24 6L18 10"/>')}an answer</li>
    <li>${arrow('<path d="M0 6H18" stroke-dasharray="4 3"/><path d="M17 2L25 10M17 10L25 2" stroke="var(--bad)"/>')}a
      message that was lost</li>
    <li>${arrow('<path d="M8 2V10"/>')}entries appended; <b>◆</b> committed; <b>▼</b> dropped</li>
    <li>In a log strip: the number is the term; a dashed box is not on the disk; the bar beneath
      marks what is committed; pale is under a snapshot.</li>
    <li>Routine messages that lie too close are drawn as one shade: zoom in.</li>
    <li><b>Wheel</b> zooms, <b>drag</b> or <b>a d</b> pans, <b>click</b> selects, <b>← →</b> step,
      <b>0</b> the whole run, <b>c</b> only causes, <b>v</b> the violation, <b>Esc</b> deselects.</li>
  </ul>`;
}

addEventListener("beforeprint", () => {
  document.documentElement.className = "light";
  document.querySelector(".legend").open = true;
  const held = { ...view };
  Object.assign(view, { from: -0.01 * run.end, until: run.end * 1.01 });
  paint(1180, 3);
  Object.assign(view, held);
});
addEventListener("afterprint", () => {
  document.documentElement.className = "";
  redraw();
});
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

$("title").textContent = run.title;
$("notes").textContent = run.notes;
$("slider").max = run.end;
$("causes").disabled = target() === null;
filters();
legend();
whole();
if (run.violation) {
  const { checker, time, sentence: words } = run.violation;
  $("violation").textContent = `${checker}, at ${millis(time)} ms: ${words}`;
  $("violation").hidden = $("find").hidden = false;
  goTo(run.violation.event ?? events.length - 1);
} else goToTime(run.end);
