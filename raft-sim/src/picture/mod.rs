//! A picture of a run for people: a page that opens anywhere, and a drawing for a document.
//!
//! [`Picture::html`] is one file that needs no network and nothing to build: the nodes as lanes, time
//! to the right, messages as arrows, and what could have caused what. [`svg`] draws the same
//! without anything that moves. Both are functions of the records: the same run is the same bytes.
//! What they show stands in `docs/PICTURE.md`.
//!
//! ```
//! use raft_sim::picture::Picture;
//! use raft_sim::{Choices, Record, Setup, World};
//!
//! let setup = Setup::of_voters(3);
//! let mut records: Vec<Record> = Vec::new();
//! let outcome = World::new(&setup, Choices::seeded(7))?.run(&mut records);
//! let violation = outcome.verdict.err();
//! let picture = Picture {
//!     title: "three voters",
//!     notes: "raft-sim: ten quiet seconds",
//!     setup: &setup,
//!     records: &records,
//!     violation: violation.as_ref(),
//! };
//! assert!(picture.html().starts_with("<!doctype html>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bands;
mod causes;
mod messages;
mod model;
mod svg;
#[cfg(test)]
mod tests;

use crate::record::{Record, Violation};
use crate::setup::Setup;
use model::Model;

pub use svg::svg;

/// What a picture is made of.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// What is to be said of it, such as the command that replays the run.
    pub notes: &'a str,
    /// What was run.
    pub setup: &'a Setup,
    /// Everything that happened, from the first record on.
    pub records: &'a [Record],
    /// The property that was broken, if one was.
    pub violation: Option<&'a Violation>,
}

impl Picture<'_> {
    /// The page, as the text of a file.
    pub fn html(&self) -> String {
        let run = Model::of(self).json(self).to_string();
        // Within a script element nothing may look like an end of it.
        let run = run.replace('<', "\\u003c");
        fill(
            include_str!("picture.html"),
            &[
                ("title", &escaped(self.title)),
                ("style", include_str!("picture.css")),
                ("run", &run),
                (
                    "script",
                    concat!(
                        include_str!("run.js"),
                        include_str!("draw.js"),
                        include_str!("page.js")
                    ),
                ),
            ],
        )
    }
}

/// The template with `{{name}}` replaced; what is put in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("our own template closes what it opens");
        let value = values.iter().find(|(known, _)| *known == name);
        text.push_str(before);
        text.push_str(value.expect("our own template names what there is").1);
        rest = after;
    }
    text + rest
}

/// Text as XML and HTML have it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
