//! The sentences of a scenario file, word by word: groups of nodes, links, memberships.

use raft_core::{Membership, MembershipError, MessageKind, NodeId};
use std::ops::Range;
use std::str::FromStr;

/// A sentence that cannot be read: which of its bytes, and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

impl Mistake {
    pub(crate) fn expected(wanted: &str, found: &str, span: Range<usize>) -> Self {
        Self { span, message: format!("expected {wanted}, found `{found}`") }
    }
}

/// A sentence as far as it is read, among the nodes of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sentence<'a> {
    text: &'a str,
    at: usize,
    nodes: &'a [NodeId],
}

impl<'a> Sentence<'a> {
    pub(crate) const fn new(text: &'a str, nodes: &'a [NodeId]) -> Self {
        Self { text, at: 0, nodes }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.text[self.at..].trim()
    }

    /// The next word, and where it stands.
    pub(crate) fn next(&mut self, wanted: &str) -> Result<(&'a str, Range<usize>), Mistake> {
        let rest = &self.text[self.at..];
        let start = self.at + (rest.len() - rest.trim_start().len());
        let rest = &self.text[start..];
        let end = start + rest.find(char::is_whitespace).unwrap_or(rest.len());
        if start == end {
            let message = format!("expected {wanted}, found the end of the sentence");
            return Err(Mistake { span: start..end, message });
        }
        self.at = end;
        Ok((&self.text[start..end], start..end))
    }

    /// Takes the next word if it is this one.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let mut ahead = *self;
        let is_next = ahead.next(word).is_ok_and(|(next, _)| next == word);
        if is_next {
            *self = ahead;
        }
        is_next
    }

    /// Refuses whatever follows.
    pub(crate) fn end(&mut self) -> Result<(), Mistake> {
        match self.next("the end") {
            Ok((word, span)) => Err(Mistake::expected("the end of the sentence", word, span)),
            Err(_) => Ok(()),
        }
    }

    /// Something is missing here.
    pub(crate) fn missing(&self, wanted: &str) -> Mistake {
        Mistake { span: self.at..self.at, message: format!("expected {wanted}") }
    }

    /// The nodes of `S1`, `S1,S2` or `*`.
    pub(crate) fn group(&mut self) -> Result<Vec<NodeId>, Mistake> {
        let names: Vec<_> = self.nodes.iter().map(|node| format!("{node:?}")).collect();
        let wanted = format!("nodes of the cluster ({}), or * for all of them", names.join(", "));
        let (word, span) = self.next(&wanted)?;
        if word == "*" {
            return Ok(self.nodes.to_vec());
        }
        let mut start = span.start;
        let mut group = Vec::new();
        for part in word.split(',') {
            let node = part.strip_prefix('S').and_then(|digits| digits.parse().ok()).map(NodeId);
            let node = node.filter(|node| self.nodes.contains(node));
            let mistake = || Mistake::expected(&wanted, part, start..start + part.len());
            group.push(node.ok_or_else(mistake)?);
            start += part.len() + 1;
        }
        Ok(group)
    }

    /// A group that may be empty: `-`.
    pub(crate) fn group_or_none(&mut self) -> Result<Vec<NodeId>, Mistake> {
        if self.take("-") { Ok(Vec::new()) } else { self.group() }
    }

    /// One node.
    pub(crate) fn node(&mut self) -> Result<NodeId, Mistake> {
        let start = self.at;
        match self.group()?[..] {
            [node] => Ok(node),
            _ => Err(Mistake { span: start..self.at, message: "expected one node".to_owned() }),
        }
    }

    /// Who is asked: `at S1`, or nobody in particular.
    pub(crate) fn asked(&mut self) -> Result<Option<NodeId>, Mistake> {
        if self.take("at") { self.node().map(Some) } else { Ok(None) }
    }

    /// The directed links of `S1 -> S2`, `S1 <-> S2,S3` or `* -> S1`, in order.
    pub(crate) fn links(&mut self) -> Result<Vec<(NodeId, NodeId)>, Mistake> {
        const ARROW: &str = "an arrow: `->` for one way, `<->` for both";
        let start = self.at;
        let from = self.group()?;
        let (arrow, span) = self.next(ARROW)?;
        let both = match arrow {
            "->" => false,
            "<->" => true,
            _ => return Err(Mistake::expected(ARROW, arrow, span)),
        };
        let to = self.group()?;
        let pairs = || from.iter().flat_map(|from| to.iter().map(|to| (*from, *to)));
        let forth = pairs();
        let back = pairs().filter(|_| both).map(|(from, to)| (to, from));
        let mut links: Vec<_> = forth.chain(back).filter(|(from, to)| from != to).collect();
        links.sort_unstable();
        links.dedup();
        if links.is_empty() {
            let message = "expected a link between two nodes".to_owned();
            return Err(Mistake { span: start..self.at, message });
        }
        Ok(links)
    }

    /// `S1,S2` or `S1,S2 with S3`.
    pub(crate) fn membership(&mut self) -> Result<Membership, Mistake> {
        let start = self.at;
        let voters = self.group()?;
        let learners = if self.take("with") { self.group()? } else { Vec::new() };
        let mistake = |error: MembershipError| {
            let message = format!("expected a membership that makes sense: {error}");
            Mistake { span: start..self.at, message }
        };
        Membership::new(voters, [], learners).map_err(mistake)
    }

    /// A number that may have a sign.
    pub(crate) fn number<T: FromStr>(&mut self, wanted: &str) -> Result<T, Mistake> {
        let (word, span) = self.next(wanted)?;
        word.parse().map_err(|_| Mistake::expected(wanted, word, span))
    }

    /// One of some words.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        among: &[(T, &str)],
        wanted: &str,
    ) -> Result<T, Mistake> {
        let (word, span) = self.next(wanted)?;
        let found = among.iter().find(|(_, name)| *name == word);
        found.map(|(value, _)| *value).ok_or_else(|| Mistake::expected(wanted, word, span))
    }

    /// A kind of message, by its name.
    pub(crate) fn kind(&mut self) -> Result<MessageKind, Mistake> {
        let names = MessageKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let wanted = format!("a kind of message: {names}");
        let (word, span) = self.next(&wanted)?;
        MessageKind::named(word).ok_or_else(|| Mistake::expected(&wanted, word, span))
    }
}

/// The membership of `S1,S2 with S3`, or `nobody`.
pub(crate) fn membership(text: &str, nodes: &[NodeId]) -> Result<Membership, Mistake> {
    let mut sentence = Sentence::new(text, nodes);
    let membership =
        if sentence.take("nobody") { Membership::empty() } else { sentence.membership()? };
    sentence.end().map(|()| membership)
}

/// The directed links of `S1 -> S2`, `S1 <-> S2,S3` or `* -> S1`.
pub(crate) fn pairs(text: &str, nodes: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, Mistake> {
    let mut sentence = Sentence::new(text, nodes);
    let links = sentence.links()?;
    sentence.end().map(|()| links)
}

/// The nodes of `S1`, `S1,S2` or `*`.
pub(crate) fn group(text: &str, nodes: &[NodeId]) -> Result<Vec<NodeId>, Mistake> {
    let mut sentence = Sentence::new(text, nodes);
    let group = sentence.group()?;
    match sentence.next("the end") {
        Ok((word, span)) => {
            Err(Mistake::expected("nodes joined by commas, without spaces", word, span))
        }
        Err(_) => Ok(group),
    }
}
