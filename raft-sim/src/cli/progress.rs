//! How far something is: a bar on a terminal, a line now and then elsewhere. Both go to the
//! standard error output.

use crate::plan::text::thousands;
use crate::run::sweep::report::Seeds;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a line is written where there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

/// The wall clock: for rates and for the end of the time, never for a run.
#[expect(clippy::disallowed_methods, reason = "a rate is of the world outside")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// How far something is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    of: Option<u64>,
    unit: &'static str,
    start: Instant,
    shown: Instant,
}

impl Progress {
    /// Of so many runs; an open range has no end to wait for.
    pub(super) fn new(seeds: Seeds, unit: &'static str) -> Self {
        let of = (seeds.end != u64::MAX).then(|| seeds.end - seeds.first);
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = of.map_or_else(ProgressBar::no_length, ProgressBar::new);
            bar.set_draw_target(ProgressDrawTarget::stderr());
            let template = if of.is_some() {
                "{bar:30} {human_pos} of {human_len} {prefix}, {per_sec}, {eta} left{msg}"
            } else {
                "{spinner} {human_pos} {prefix}, {per_sec}{msg}"
            };
            let style = ProgressStyle::with_template(template).expect("a template of our own");
            bar.with_style(style).with_prefix(unit)
        });
        let start = now();
        Self { bar, of, unit, start, shown: start }
    }

    /// So much is done.
    pub(super) fn show(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(note.to_owned());
        } else if self.shown.elapsed() >= PAUSE {
            self.shown = now();
            let line = line(done, self.of, self.unit, self.start.elapsed(), note);
            anstream::eprintln!("{line}");
        }
    }

    /// Something else is written meanwhile, and the bar does not stand in its way.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The end.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(done: u64, of: Option<u64>, unit: &str, elapsed: Duration, note: &str) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1_000) / millis;
    let of_all = of.map_or(String::new(), |of| format!(" of {}", thousands(of)));
    let left = of.and_then(|of| {
        let rest = u128::from(of - done.min(of)) * u128::from(millis);
        rest.checked_div(u128::from(done) * 1_000)
    });
    let left = left.map_or(String::new(), |left| format!(", {left} s left"));
    let done = thousands(done);
    format!("{done}{of_all} {unit}, {} a second{left}{note}", thousands(rate))
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::time::Duration;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_yet() {
        let ten = Duration::from_secs(10);
        let text = line(1_500, Some(6_000), "runs", ten, ", 2 failures");
        assert_eq!(text, "1 500 of 6 000 runs, 150 a second, 30 s left, 2 failures");
        assert_eq!(line(1_500, None, "runs", ten, ""), "1 500 runs, 150 a second");
        let text = line(0, Some(3), "runs", Duration::ZERO, "");
        assert_eq!(text, "0 of 3 runs, 0 a second");
    }
}
