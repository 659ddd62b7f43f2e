"use strict";

// The run: tables of columns, as `Model` in model.rs has them, and what is looked up in them.

const run = JSON.parse(document.getElementById("run").textContent);
const laneCount = run.nodes.length + run.clients.length;
const laneOf = new Map(run.nodes.map((id, lane) => [id, lane]));
const terms = new Map(run.terms.map(([term, first, before]) => [term, { first, before }]));

function table(columns) {
  const names = Object.keys(columns);
  const length = names.length > 0 ? columns[names[0]].length : 0;
  const row = (nth) => Object.fromEntries(names.map((name) => [name, columns[name][nth]]));
  return { ...columns, length, rows: () => Array.from({ length }, (_, nth) => row(nth)) };
}

const events = table(run.events);
const messages = table(run.messages).rows();
const operations = table(run.operations).rows();
const bands = table(run.bands).rows();
const states = run.nodes.map(() => []);
for (const state of table(run.states).rows()) states[state.lane].push(state);

for (const message of messages) {
  message.fromLane = laneOf.get(message.from);
  message.toLane = laneOf.get(message.to);
  const known = [message.sent, message.ended].filter((event) => event !== null);
  const times = known.map((event) => events.time[event]);
  message.start = Math.min(...times);
  message.end = Math.max(...times);
  message.answers = message.kind.endsWith("_response");
  message.lost = !["received", "ignored", "under_way"].includes(message.fate);
}

function laneName(lane) {
  if (lane === null) return "";
  if (lane < run.nodes.length) return `S${run.nodes[lane]}`;
  const client = run.clients[lane - run.nodes.length];
  return client === 0 ? "oper." : `C${client}`;
}

/** The last position of a sorted list whose key is at most `value`; -1 if there is none. */
function lastUpTo(list, value, key = (item) => item) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The last event up to a time. */
const eventAt = (time) => Math.max(0, lastUpTo(events.time, time));

/** The state of a node after an event; undefined before its first. */
const stateAt = (lane, event) => states[lane][lastUpTo(states[lane], event, (s) => s.event)];

/** The log that ends at a position, as runs of a term, the newest first. */
function logOf(term, index) {
  const runs = [];
  while (index > 0 && terms.has(term)) {
    const { first, before } = terms.get(term);
    runs.push({ term, first, last: index });
    index = first - 1;
    term = before;
  }
  return runs;
}

const termIn = (runs, index) => runs.find((r) => r.first <= index && index <= r.last)?.term ?? null;

/** For each lane the last event that could have caused `of`; see causes.rs. */
function causesOf(of) {
  const last = new Array(laneCount).fill(-1);
  if (events.lane[of] === null) return last;
  last[events.lane[of]] = of;
  for (let nth = of; nth >= 0; nth -= 1) {
    const [lane, cause] = [events.lane[nth], events.cause[nth]];
    if (lane === null || nth > last[lane] || cause === null) continue;
    last[events.lane[cause]] = Math.max(last[events.lane[cause]], cause);
  }
  return last;
}

const millis = (nanos) => (nanos / 1e6).toFixed(3);

const fates = {
  under_way: "not arrived yet",
  received: "received",
  ignored: "arrived, and ignored",
  cut: "lost: the link is cut",
  kind: "lost: the link loses this kind",
  loss: "lost by chance",
  down: "lost: nobody there",
  unwanted: "not taken in, or stopped",
};

function sentence(message) {
  const text = run.texts[events.text[message.sent ?? message.ended]];
  const head = `S${message.from} → S${message.to}: ${message.kind}, term ${message.term}`;
  const copy = message.is_copy ? " (a second copy)" : "";
  const left = message.sent === null ? "out of nowhere: an old message again, or a forged one" : `sent at ${millis(message.start)} ms`;
  const took = message.ended === null ? "" : ` after ${millis(message.end - message.start)} ms`;
  return `${head}${copy}\n${text}\n${left}; ${fates[message.fate]}${took}`;
}
