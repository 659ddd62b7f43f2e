//! The places of a scenario file, for whoever has to say that something is wrong there.

use crate::plan::sentence;
use crate::plan::text::level_name;
use crate::scenario::error::ScenarioError;
use crate::scenario::text::{LEVELS, Text};
use raft_core::{NodeId, Protection};
use toml::Spanned;

/// What is needed to say where a mistake is.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) nodes: &'a [NodeId],
}

pub(super) type Span = std::ops::Range<usize>;

impl Reader<'_> {
    pub(super) fn error(&self, span: Span, message: String) -> ScenarioError {
        ScenarioError::new(self.file, self.text, span, message)
    }

    /// A mistake inside the string that stands at `span`.
    pub(super) fn inside(&self, span: &Span, mistake: sentence::Mistake) -> ScenarioError {
        let start = span.start + 1;
        self.error(start + mistake.span.start..start + mistake.span.end, mistake.message)
    }

    pub(super) fn line(&self, span: &Span) -> usize {
        self.text[..span.start].matches('\n').count() + 1
    }

    pub(super) fn levels(
        &self,
        raw: Option<Spanned<Vec<Text<Protection>>>>,
        among: &[Protection],
    ) -> Result<Vec<Protection>, ScenarioError> {
        let Some(raw) = raw else { return Ok(among.to_vec()) };
        let span = raw.span();
        let named: Vec<_> = raw.into_inner().into_iter().map(|level| level.0).collect();
        if named.is_empty() || named.iter().any(|level| !among.contains(level)) {
            let among: Vec<_> = among.iter().map(|level| level_name(*level)).collect();
            let message = format!("expected one or more of {}", among.join(", "));
            return Err(self.error(span, message));
        }
        Ok(LEVELS.into_iter().filter(|level| named.contains(level)).collect())
    }
}
