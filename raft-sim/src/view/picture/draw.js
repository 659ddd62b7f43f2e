// The diagram on a canvas. Only what lies within the view is drawn; where messages of a routine kind
// would lie closer than the eye can tell, they are drawn as one, see `crowd`.

const GUTTER = 64;
const MARGIN = 14;
const ROLE = 16;
const TERM = 11;
const THIN = 4;
const BAR = ROLE + TERM + 2 * THIN;
const CLIENT = 15;
const TERM_COLOURS = [
  ["#f0e442", "#1b1f24"], ["#56b4e9", "#1b1f24"], ["#e69f00", "#1b1f24"], ["#007a59", "#ffffff"],
  ["#cc79a7", "#1b1f24"], ["#0072b2", "#ffffff"], ["#d9d9d9", "#1b1f24"], ["#c44601", "#ffffff"],
];
const termColour = (term) => TERM_COLOURS[(term - 1) % TERM_COLOURS.length];

/** Colours by their names, as the style sheet has them now. */
const palette = () => {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (known, name) => known[name] ??= style.getPropertyValue(`--${name}`) });
};

/** How long each node was in one role in one term. */
const offices = states.map((list) => {
  const spans = [];
  for (const { event, role, term } of list) {
    const open = spans.at(-1);
    if (open && open.role === role && open.term === term) continue;
    if (open) open.until = events.time[event];
    spans.push({ from: events.time[event], until: run.end, role, term });
  }
  return spans.filter((span) => span.role !== null);
});

/** What happened to the log of each node. */
const marks = run.nodes.map(() => []);
const faults = [];
for (let nth = 0; nth < events.length; nth += 1) {
  const [lane, kind] = [events.lane[nth], events.kind[nth]];
  if (kind === "fault") faults.push(nth);
  if (lane === null || lane >= run.nodes.length) continue;
  const drops = kind === "accept" && run.texts[events.text[nth]].startsWith("drops");
  const mark = drops ? "drop" : { append: "add", accept: "add", commit: "commit" }[kind];
  if (mark) marks[lane].push({ time: events.time[nth], mark });
}

/** Link faults in as few rows as they need. */
const linkRows = [];
for (const band of bands.filter((band) => band.kind === "link")) {
  const row = linkRows.find((row) => row.at(-1).until <= band.from);
  if (row) row.push(band);
  else linkRows.push([band]);
}

/** Where everything stands: heights depend on the room there is. */
function layout(width, room) {
  let y = 20;
  const top = { faults: y, service: (y += faults.length > 0 ? 18 : 0), links: (y += 14) };
  y += 14 * linkRows.length + 10;
  const below = run.clients.length * (CLIENT + 3) + 12;
  const pitch = Math.max(BAR + 34, Math.min(130, (room - y - below) / run.nodes.length));
  const bars = run.nodes.map((_, lane) => y + lane * pitch);
  const clients = y + (run.nodes.length - 1) * pitch + BAR + 16;
  const height = clients + below;
  return { width, height, top, bars, clients, pitch };
}

class Drawing {
  constructor(context, place, view, shown) {
    Object.assign(this, { context, place, view, shown, colour: palette() });
    this.scale = (place.width - GUTTER - MARGIN) / (view.until - view.from);
  }

  x(time) {
    return GUTTER + (time - this.view.from) * this.scale;
  }

  sees(from, until) {
    return until >= this.view.from && from <= this.view.until;
  }

  /** Where a message leaves, and where it ends or would have. */
  ends(message) {
    const { bars } = this.place;
    if (message.sent === null) {
      const [x, y] = [this.x(message.end), bars[message.toLane]];
      return [x - 10, y - 22, x, y];
    }
    const down = message.toLane > message.fromLane;
    const y1 = bars[message.fromLane] + (down ? BAR : 0);
    const y2 = bars[message.toLane] + (down ? 0 : BAR);
    const [x1, x2] = [this.x(message.start), this.x(message.end)];
    if (!message.lost && message.ended !== null) return [x1, y1, x2, y2];
    // Lost as it left: a stub. Lost on arrival: nearly there.
    const way = down ? 1 : -1;
    if (message.end === message.start) return [x1, y1, x1 + 4, y1 + 24 * way];
    return [x1, y1, x2, y2 - 7 * way];
  }

  all() {
    const { context, place } = this;
    context.fillStyle = this.colour.paper;
    context.fillRect(0, 0, place.width, place.height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, place.width - GUTTER, place.height);
    context.clip();
    this.axis();
    this.world();
    this.arrows();
    run.nodes.forEach((_, lane) => this.node(lane));
    if (this.shown.clients) operations.forEach((operation) => this.operation(operation));
    this.lines();
    context.restore();
    this.names();
  }

  axis() {
    const { context, view, place } = this;
    const step = niceStep((view.until - view.from) / Math.max(2, (place.width - GUTTER) / 110));
    context.strokeStyle = this.colour.line;
    context.fillStyle = this.colour.faint;
    context.lineWidth = 1;
    context.textAlign = "center";
    for (let time = Math.ceil(view.from / step) * step; time <= view.until; time += step) {
      const x = Math.round(this.x(time)) + 0.5;
      this.line(x, 18, x, place.height);
      context.fillText(step >= 1e9 ? `${time / 1e9} s` : `${+(time / 1e6).toFixed(3)} ms`, x, 9);
    }
    context.textAlign = "left";
  }

  line(x1, y1, x2, y2) {
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    this.context.lineTo(x2, y2);
    this.context.stroke();
  }

  /** A box with its text, if that fits. */
  box(from, until, y, height, fill, ink, text) {
    const { context, place } = this;
    const left = Math.max(GUTTER, this.x(from));
    const right = Math.min(place.width, this.x(until));
    context.fillStyle = fill;
    context.fillRect(left, y, Math.max(1, right - left), height);
    if (text && right - left > 3) {
      context.fillStyle = this.colour.paper;
      context.fillRect(left, y, 1, height);
    }
    if (!text || right - left < 12) return;
    const room = Math.floor((right - left - 6) / 5.8);
    const fits = text.length <= room ? text : room > 5 ? `${text.slice(0, room - 1)}…` : "";
    context.fillStyle = ink;
    context.fillText(fits, left + 4, y + height / 2 + 1);
  }

  world() {
    const { place: { top, height }, context, colour } = this;
    let free = GUTTER;
    context.setLineDash([2, 3]);
    for (const nth of faults) {
      const x = this.x(events.time[nth]);
      if (!this.sees(events.time[nth], events.time[nth])) continue;
      context.strokeStyle = colour.faint;
      this.line(x, top.faults, x, height);
      const text = run.texts[events.text[nth]];
      context.fillStyle = colour.ink;
      if (x < free) continue;
      context.fillText(text, x + 3, top.faults + 8);
      free = x + 9 + context.measureText(text).width;
    }
    context.setLineDash([]);
    for (const band of bands) {
      if (!this.sees(band.from, band.until)) continue;
      const { from, until, text } = band;
      if (band.kind === "service") this.box(from, until, top.service, 12, colour.good, colour.paper, text);
      if (band.kind === "silence") this.box(from, until, top.service, 12, colour.paper, colour.bad, text);
    }
    linkRows.forEach((row, nth) => row.filter((b) => this.sees(b.from, b.until)).forEach((band) => {
      this.box(band.from, band.until, top.links + 14 * nth, 12, colour.bad, colour.paper, band.text);
    }));
  }

  arrows() {
    const seen = messages.filter((m) => this.sees(m.start, m.end) && this.shows(m));
    const routine = (m) => m.class === "heartbeat" || m.class === "append" || m.class === "read";
    const crowded = seen.filter(routine).length > (this.place.width - GUTTER) * 0.7;
    const groups = new Map();
    for (const message of seen) {
      const name = `${message.class} ${message.lost} ${crowded && routine(message)}`;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(message);
    }
    // What is rare lies above what is routine.
    const order = (list) => (routine(list[0]) ? 0 : 2) + (list[0].class === "heartbeat" ? 0 : 1);
    for (const list of [...groups.values()].sort((a, b) => order(a) - order(b))) {
      if (crowded && routine(list[0])) this.crowd(list);
      else this.group(list);
    }
  }

  /** Whether the reader wants to see it. */
  shows(message) {
    if (!this.shown[message.class] || (message.lost && !this.shown.lost)) return false;
    if (!this.shown.causes) return true;
    const within = (event, lane) => event !== null && event <= this.shown.causes[lane];
    if (message.lost) return within(message.sent, message.fromLane) && message.end <= this.shown.until;
    return within(message.ended, message.toLane);
  }

  group(list) {
    const { context } = this;
    const { class: kind, lost } = list[0];
    context.strokeStyle = context.fillStyle = this.colour[kind];
    context.lineWidth = kind === "heartbeat" ? 1 : 1.3;
    context.setLineDash(lost ? [4, 3] : []);
    context.beginPath();
    const heads = new Path2D();
    const hollow = new Path2D();
    const crosses = new Path2D();
    const near = list.length < 2500;
    for (const message of list) {
      const [x1, y1, x2, y2] = this.ends(message);
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
      if (message.lost) cross(crosses, x2, y2);
      else if (near && message.ended !== null) head(message.answers ? hollow : heads, x1, y1, x2, y2);
    }
    context.stroke();
    context.setLineDash([]);
    context.fill(heads);
    context.lineWidth = 1;
    context.stroke(hollow);
    context.strokeStyle = this.colour.bad;
    context.lineWidth = 1.8;
    context.stroke(crosses);
  }

  /** Many routine messages: one line for all of a link within two points, darker for more. */
  crowd(list) {
    const { context } = this;
    const counts = new Map();
    for (const message of list) {
      const at = Math.round(this.x(message.start) / 2);
      const key = (at * 64 + message.fromLane) * 64 + message.toLane;
      const held = counts.get(key);
      if (held) held.count += 1;
      else counts.set(key, { message, count: 1 });
    }
    const { class: kind, lost } = list[0];
    context.strokeStyle = lost ? this.colour.bad : this.colour[kind];
    context.lineWidth = 1;
    for (const depth of [1, 2, 3]) {
      context.globalAlpha = 0.13 * depth + (lost ? 0.25 : 0);
      context.beginPath();
      for (const { message, count } of counts.values()) {
        if (Math.min(3, count) !== depth) continue;
        const [x1, y1, x2, y2] = this.ends(message);
        context.moveTo(x1, y1);
        context.lineTo(x2, y2);
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  node(lane) {
    const { context, colour, place } = this;
    const y = place.bars[lane];
    context.strokeStyle = colour.line;
    context.fillStyle = colour.paper;
    context.fillRect(GUTTER, y, place.width - GUTTER, BAR);
    for (const { from, until, role, term } of offices[lane]) {
      if (!this.sees(from, until)) continue;
      const words = role.replace("_", "-");
      this.box(from, until, y, ROLE, colour[role], colour[`on_${role}`], words);
      const [fill, ink] = term > 0 ? termColour(term) : [colour.panel, colour.faint];
      this.box(from, until, y + ROLE, TERM, fill, ink, `${term}`);
    }
    for (const band of bands) {
      if (band.lane !== lane || !this.sees(band.from, band.until)) continue;
      const [from, until] = [band.from, band.until];
      const disk = y + ROLE + TERM;
      if (band.kind === "writing") this.box(from, until, disk, THIN, colour.writing);
      if (band.kind === "lease") this.box(from, until, disk + THIN, THIN, colour.lease);
      if (band.kind === "promise") this.box(from, until, disk + THIN, THIN, colour.promise);
      if (band.kind === "down") this.hatch(from, until, y, BAR, "down");
      if (band.kind === "paused") this.hatch(from, until, y, ROLE, "paused");
      if (band.kind === "hung_disk") this.hatch(from, until, disk, THIN, "");
    }
    this.log(lane, y + ROLE);
    if (this.shown.causes) {
      const last = this.shown.causes[lane];
      const left = last < 0 ? GUTTER : this.x(events.time[last]) + 1;
      context.fillStyle = colour.veil;
      context.fillRect(left, y, place.width, BAR);
    }
    context.lineWidth = 1;
    context.strokeRect(GUTTER - 0.5, y - 0.5, place.width, BAR + 1);
  }

  hatch(from, until, y, height, text) {
    const { context, colour } = this;
    const [left, right] = [this.x(from), Math.max(this.x(from) + 1, this.x(until))];
    context.save();
    context.beginPath();
    context.rect(left, y, right - left, height);
    context.clip();
    if (height === BAR) {
      context.fillStyle = colour.panel;
      context.fillRect(left, y, right - left, height);
    }
    context.strokeStyle = colour.down;
    context.lineWidth = 1;
    const first = Math.max(left, GUTTER) - height - ((Math.max(left, GUTTER) - left) % 6);
    for (let x = first; x < Math.min(right, this.place.width); x += 6) {
      this.line(x, y + height, x + height, y);
    }
    context.restore();
    if (text && right - left > 50) {
      context.fillStyle = colour.ink;
      context.fillText(text, Math.max(left, GUTTER) + 4, y + Math.min(height, ROLE) / 2);
    }
  }

  /** Entries added, dropped and committed, as far as they can be told apart. */
  log(lane, y) {
    const { context, colour } = this;
    const first = lastUpTo(marks[lane], this.view.from, (mark) => mark.time) + 1;
    const last = lastUpTo(marks[lane], this.view.until, (mark) => mark.time);
    const room = last < first ? 0 : this.x(marks[lane][last].time) - this.x(marks[lane][first].time);
    const crowded = last - first > 12 && room / (last - first) < 6;
    const free = { add: -1, commit: -1, drop: -1 };
    for (let nth = first; nth <= last; nth += 1) {
      const { time, mark } = marks[lane][nth];
      const x = this.x(time);
      if (x < free[mark] || (crowded && mark !== "drop")) continue;
      free[mark] = x + 4;
      context.fillStyle = mark === "drop" ? colour.bad : "#1b1f24";
      context.beginPath();
      if (mark === "add") context.rect(x - 0.5, y + 5, 1, 6);
      else if (mark === "commit") diamond(context, x, y + 8);
      else triangle(context, x, y + 9);
      context.fill();
    }
  }

  operation(operation) {
    const until = operation.ended === null ? run.end : events.time[operation.ended];
    const from = events.time[operation.began];
    if (!this.sees(from, until)) return;
    const { context, colour } = this;
    const y = this.place.clients + (operation.lane - run.nodes.length) * (CLIENT + 3);
    const look = { returned: "append", unknown: "writing", failed: "bad", open: "faint" };
    const text = operation.text.replace(/^client \d+: /, "");
    this.box(from, until, y, CLIENT, colour.panel, colour.ink, text);
    context.fillStyle = colour[look[operation.phase]];
    const width = Math.max(1, this.x(until) - this.x(from));
    context.fillRect(this.x(from), y + CLIENT - 3, width, 3);
  }

  /** What is selected, the violation, the cursor. */
  lines() {
    const { context, colour, place: { height } } = this;
    const { message, cursor } = this.shown;
    if (message) {
      const [x1, y1, x2, y2] = this.ends(message);
      context.strokeStyle = colour.ink;
      context.lineWidth = 2.5;
      this.line(x1, y1, x2, y2);
    }
    if (run.violation) {
      const x = this.x(run.violation.time);
      context.strokeStyle = context.fillStyle = colour.bad;
      context.lineWidth = 2;
      this.line(x, 18, x, height);
      context.textAlign = "right";
      context.font = "bold 11px system-ui, sans-serif";
      context.fillText(`✖ ${run.violation.checker}`, x - 4, height - 7);
      context.textAlign = "left";
      const [event] = [run.violation.event];
      const lane = event === null ? null : events.lane[event];
      if (lane !== null && lane < run.nodes.length) {
        context.strokeRect(x - 7, this.place.bars[lane] - 3, 14, BAR + 6);
      }
    }
    const x = this.x(cursor);
    context.strokeStyle = context.fillStyle = colour.ink;
    context.lineWidth = 1;
    this.line(x, 14, x, height);
    triangle(context, x, 17, 1.4);
    context.fill();
  }

  names() {
    const { context, colour, place } = this;
    context.fillStyle = colour.ink;
    context.font = "bold 13px system-ui, sans-serif";
    run.nodes.forEach((_, lane) => context.fillText(laneName(lane), 8, place.bars[lane] + 14));
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour.faint;
    run.nodes.forEach((_, lane) => context.fillText("term", 34, place.bars[lane] + ROLE + 6));
    run.nodes.forEach((_, lane) => context.fillText("role", 34, place.bars[lane] + 8));
    context.fillText("commits", 8, place.top.service + 5);
    if (linkRows.length > 0) context.fillText("links", 8, place.top.links + 6);
    if (faults.length > 0) context.fillText("faults", 8, place.top.faults + 8);
    if (!this.shown.clients) return;
    run.clients.forEach((_, nth) => {
      const lane = run.nodes.length + nth;
      context.fillText(laneName(lane), 8, place.clients + nth * (CLIENT + 3) + 8);
    });
  }
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least);
}

function head(path, x1, y1, x2, y2) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  path.moveTo(x2 - 7 * dx + 3 * dy, y2 - 7 * dy - 3 * dx);
  path.lineTo(x2, y2);
  path.lineTo(x2 - 7 * dx - 3 * dy, y2 - 7 * dy + 3 * dx);
}

function cross(path, x, y) {
  path.moveTo(x - 3.5, y - 3.5);
  path.lineTo(x + 3.5, y + 3.5);
  path.moveTo(x - 3.5, y + 3.5);
  path.lineTo(x + 3.5, y - 3.5);
}

function diamond(path, x, y) {
  path.moveTo(x, y - 3);
  path.lineTo(x + 3, y);
  path.lineTo(x, y + 3);
  path.lineTo(x - 3, y);
}

function triangle(path, x, y, size = 1) {
  path.moveTo(x, y + 2 * size);
  path.lineTo(x - 4 * size, y - 4 * size);
  path.lineTo(x + 4 * size, y - 4 * size);
  path.closePath();
}
