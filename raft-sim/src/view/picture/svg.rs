//! A drawing for a document: panels of runs beneath one another, with one axis of time.
//!
//! It is drawn in whole points, so that the same run is the same bytes. Messages of a routine kind
//! that lie within a few points are one line: where there are lines, messages flow.

use crate::view::message::Class;
use crate::view::picture::model::Model;
use crate::view::picture::rows::{Arrow, BandKind, Picture, escaped};
use raft_core::{Instant, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

const WIDTH: u64 = 960;
const LEFT: u64 = 56;
const RIGHT: u64 = 940;
const ROLE: u64 = 15;
const TERM: u64 = 10;
/// Under the term: a lease, or a promise.
const LEASE: u64 = 4;
const BAR: u64 = ROLE + TERM + LEASE;
const PITCH: u64 = 58;
/// Routine messages of a link within so many points are one line.
const CROWD: u64 = 5;
/// About how wide a letter is, in tenths of a point.
const LETTER: u64 = 58;

/// Classes of the style sheet, the room that each takes, and what they mean.
const LEGEND: [(&str, u64, &str); 7] = [
    ("m heartbeat", 112, "heartbeats"),
    ("m append", 84, "entries"),
    ("m prevote", 94, "pre-votes"),
    ("m vote", 76, "votes"),
    ("m append lost", 148, "lost, a stub (votes: ✕)"),
    ("lease", 122, "a leader's lease"),
    ("promise", 140, "a promise not to vote"),
];

/// Runs beneath one another, each with its heading, within a window of time.
///
/// # Panics
///
/// Never: a string takes everything that is written to it.
pub fn svg(title: &str, panels: &[(&str, Picture<'_>)], window: RangeInclusive<Instant>) -> String {
    let models: Vec<_> =
        panels.iter().map(|(heading, picture)| (*heading, Model::of(picture), picture)).collect();
    let end = models.iter().map(|(_, model, _)| model.end).max().unwrap_or(Instant::ZERO);
    let (from, until) = (window.start().as_nanos(), window.end().min(&end).as_nanos());
    let until = until.max(from + 1);
    let mut drawing = Drawing { text: String::new(), from, until, y: 40, window };
    drawing.words(14, 20, "title", title);
    drawing.legend();
    for (heading, model, picture) in &models {
        drawing.panel(heading, model, picture);
    }
    drawing.axis();
    let (height, body) = (drawing.y + 6, drawing.text);
    let (title, style) = (escaped(title), include_str!("svg.css"));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" role=\"img\" aria-label=\"{title}\">\n<style>\n{style}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n{body}</svg>\n"
    )
}

struct Drawing {
    text: String,
    /// The window, in nanoseconds.
    from: u64,
    until: u64,
    window: RangeInclusive<Instant>,
    /// Where the next panel begins.
    y: u64,
}

impl Drawing {
    /// What is not written where it stands.
    fn legend(&mut self) {
        let mut x = LEFT;
        for (class, width, text) in LEGEND {
            if class.starts_with("m ") {
                self.put(format_args!("<path class=\"{class}\" d=\"M{x} 30v12m4 0v-12\"/>"));
            } else {
                self.put(format_args!(
                    "<rect class=\"{class}\" x=\"{x}\" y=\"34\" width=\"16\" height=\"{LEASE}\"/>"
                ));
            }
            let gap = if class.starts_with("m ") { 10 } else { 20 };
            self.words(x + gap, 40, "note", text);
            x += width;
        }
    }

    fn panel(&mut self, heading: &str, model: &Model, picture: &Picture<'_>) {
        let top = self.y + 4;
        self.words(14, top + 13, "heading", heading);
        let mut y = top + 6;
        let is_fault = |nth: &usize| model.events[*nth].kind == "fault";
        let faults: Vec<_> = (0..model.events.len()).filter(is_fault).collect();
        let links: Vec<_> = model.bands.iter().filter(|b| b.kind == BandKind::Link).collect();
        for band in &links {
            self.span("wrong", (band.from, band.until), (y, 13), &band.text);
        }
        y += if links.is_empty() { 0 } else { 15 };
        for band in &model.bands {
            let (class, text) = match band.kind {
                BandKind::Service => ("serves", band.text.as_str()),
                BandKind::Silence => ("silent", "nobody"),
                _ => continue,
            };
            self.span(class, (band.from, band.until), (y, 13), text);
        }
        y += 27;
        let lanes: Vec<u64> = (0..).take(model.nodes.len()).map(|lane| y + PITCH * lane).collect();
        let bottom = lanes.last().map_or(y, |last| last + BAR);
        let moments: BTreeSet<u64> =
            faults.iter().filter_map(|nth| self.x(model.events[*nth].time)).collect();
        for x in moments {
            self.put(format_args!("<path class=\"fault\" d=\"M{x} {}V{bottom}\"/>", top + 6));
        }
        self.messages(model, &lanes);
        for (lane, y) in lanes.iter().enumerate() {
            self.node(model, lane, *y);
        }
        if let Some(violation) = picture.violation
            && let Some(x) = self.x(violation.time)
        {
            self.put(format_args!("<path class=\"broken\" d=\"M{x} {top}V{bottom}\"/>"));
            let words = format!("✖ {}", violation.checker);
            self.put(format_args!(
                "<text class=\"broken\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>",
                x.saturating_sub(4),
                bottom + 13,
                escaped(&words)
            ));
        }
        self.y = bottom + 18;
    }

    fn node(&mut self, model: &Model, lane: usize, y: u64) {
        self.words(14, y + 13, "name", &format!("{:?}", model.nodes[lane]));
        self.put(format_args!(
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{y}\" width=\"{}\" height=\"{BAR}\"/>",
            RIGHT - LEFT
        ));
        for ((role, term), time) in roles(model, lane) {
            self.span(role, time, (y, ROLE), &role.replace('_', "-"));
            let colour = format!("t{}", term % 8);
            self.span(&colour, time, (y + ROLE, TERM), &format!("{term}"));
        }
        for band in model.bands.iter().filter(|band| band.lane == Some(lane)) {
            let time = (band.from, band.until);
            match band.kind {
                BandKind::Down => self.span("down", time, (y, BAR), "down"),
                BandKind::Paused => self.span("down", time, (y, ROLE), "paused"),
                BandKind::HungDisk => self.span("hung", time, (y + ROLE, TERM), "its disk hangs"),
                BandKind::Lease => self.span("lease", time, (y + ROLE + TERM, LEASE), ""),
                BandKind::Promise => self.span("promise", time, (y + ROLE + TERM, LEASE), ""),
                BandKind::Writing | BandKind::Link | BandKind::Service | BandKind::Silence => {}
            }
        }
    }

    /// Each class as two paths: what arrived, and what was lost.
    fn messages(&mut self, model: &Model, lanes: &[u64]) {
        let mut paths: BTreeMap<(bool, &str), (String, String)> = BTreeMap::new();
        let (mut drawn, mut lost) = (BTreeSet::new(), String::new());
        for message in &model.messages {
            let Some(arrow) = self.arrow(model, message, lanes) else { continue };
            let (name, is_routine) = look(message.class);
            let place = (message.from, message.to, message.fate.is_lost());
            if is_routine && !drawn.insert((place, name, arrow.x1 / CROWD)) {
                continue;
            }
            let (arrived, stubs) = paths.entry((!is_routine, name)).or_default();
            let Line { x1, y1, x2, y2 } = arrow;
            if message.fate.is_lost() {
                let _ = write!(stubs, "M{x1} {y1}L{x2} {y2}");
                if !is_routine {
                    let (left, up) = (x2 - 3, y2 - 3);
                    let _ = write!(lost, "M{left} {up}l6 6m0 -6l-6 6");
                }
            } else {
                let _ = write!(arrived, "M{x1} {y1}L{x2} {y2}");
            }
        }
        for ((_, name), (arrived, stubs)) in paths {
            for (class, path) in [(format!("m {name}"), arrived), (format!("m {name} lost"), stubs)]
            {
                if !path.is_empty() {
                    self.put(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
                }
            }
        }
        self.put(format_args!("<path class=\"m cross\" d=\"{lost}\"/>"));
    }

    /// From bar to bar; what was lost as it left is a stub, what was lost on arrival is nearly
    /// there.
    fn arrow(&self, model: &Model, message: &Arrow, lanes: &[u64]) -> Option<Line> {
        let time = |event: Option<usize>| event.map(|nth| model.events[nth].time);
        let (sent, end) = (time(message.sent), time(message.end));
        let x1 = self.x(sent.or(end)?)?;
        let x2 = self.x(end.or(sent)?).unwrap_or(RIGHT);
        let lane = |node: NodeId| Some(lanes[model.lane_of(node)?]);
        if sent.is_none() {
            // Out of nowhere.
            let to = lane(message.to)?;
            return Some(Line { x1: x2.saturating_sub(8), y1: to.saturating_sub(14), x2, y2: to });
        }
        let (from, to) = (lane(message.from)?, lane(message.to)?);
        let down = to > from;
        let (y1, y2) = if down { (from + BAR, to) } else { (from, to + BAR) };
        if !message.fate.is_lost() {
            return Some(Line { x1, y1, x2, y2 });
        }
        let length = if sent == end { 10 } else { PITCH - BAR - 4 };
        let y2 = match (down, sent == end) {
            (true, true) => y1 + length,
            (false, true) => y1 - length,
            (true, false) => y2 - 4,
            (false, false) => y2 + 4,
        };
        Some(Line { x1, y1, x2, y2 })
    }

    fn axis(&mut self) {
        let least = (self.until - self.from) / 12;
        let tens = (0..19).map(|power| 10_u64.pow(power));
        let mut steps = tens.flat_map(|ten| [ten, ten.saturating_mul(2), ten.saturating_mul(5)]);
        let step = steps.find(|step| *step >= least).unwrap_or(u64::MAX);
        let y = self.y;
        for time in (self.from.div_ceil(step)..=self.until / step).map(|nth| nth * step) {
            let Some(x) = self.x(Instant::from_nanos(time)) else { continue };
            self.put(format_args!("<path class=\"tick\" d=\"M{x} {y}v5\"/>"));
            let words = if step >= 1_000_000_000 {
                format!("{} s", time / 1_000_000_000)
            } else if step >= 1_000_000 {
                format!("{} ms", time / 1_000_000)
            } else {
                format!("{} µs", time / 1_000)
            };
            self.put(format_args!(
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">{words}</text>",
                y + 16
            ));
        }
        self.y += 20;
    }

    /// Where a time stands; `None` outside the window.
    fn x(&self, time: Instant) -> Option<u64> {
        self.window.contains(&time).then(|| self.place(time))
    }

    /// Where a time stands; at an end of the window, if it lies outside.
    fn place(&self, time: Instant) -> u64 {
        let passed = time.as_nanos().clamp(self.from, self.until) - self.from;
        let room = u128::from(RIGHT - LEFT);
        let x = u128::from(passed) * room / u128::from(self.until - self.from);
        LEFT + u64::try_from(x).expect("within the drawing")
    }

    /// A band, with its text if that fits.
    fn span(
        &mut self,
        class: &str,
        (from, until): (Instant, Instant),
        (y, height): (u64, u64),
        text: &str,
    ) {
        let (left, right) = (self.place(from), self.place(until));
        if until < *self.window.start() || from > *self.window.end() {
            return;
        }
        let width = (right - left).max(1);
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
        let letters = u64::try_from(text.chars().count()).expect("a few letters");
        if letters > 0 && letters * LETTER / 10 + 6 <= width {
            let (x, y) = (left + 4, y + height / 2 + 4);
            let text = escaped(text);
            self.put(format_args!("<text class=\"on {class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
        }
    }

    fn words(&mut self, x: u64, y: u64, class: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}");
    }
}

struct Line {
    x1: u64,
    y1: u64,
    x2: u64,
    y2: u64,
}

/// The name of a class in the style sheet, and whether it is routine.
const fn look(class: Class) -> (&'static str, bool) {
    match class {
        Class::PreVote => ("prevote", false),
        Class::Vote => ("vote", false),
        Class::Append => ("append", true),
        Class::Heartbeat => ("heartbeat", true),
        Class::Snapshot => ("snapshot", false),
        Class::Transfer => ("transfer", false),
        Class::Read => ("read", true),
    }
}

/// A role in a term.
type RoleInTerm = (&'static str, u64);

/// How long a node was in one role in one term.
fn roles(model: &Model, lane: usize) -> Vec<(RoleInTerm, (Instant, Instant))> {
    let mut spans = Vec::new();
    let mut open = None;
    for state in model.states.iter().filter(|state| state.lane == lane) {
        let (time, now) =
            (model.events[state.event].time, state.role.map(|role| (role, state.term)));
        match open {
            Some((role, _)) if now == Some(role) => continue,
            Some((role, since)) => spans.push((role, (since, time))),
            None => {}
        }
        open = now.map(|role| (role, time));
    }
    spans.extend(open.map(|(role, since)| (role, (since, model.end))));
    spans
}
