//! The lines of a story.

use crate::words::Names;
use raft_core::{Instant, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

/// One line of a story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub(crate) time: Instant,
    /// Where; nobody where something is done to the cluster.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) text: String,
    /// Whom the node asks, or sends its first entry to; said at the end of the line.
    pub(crate) peers: Vec<NodeId>,
    /// How long the node has waited, if its election timer ran out.
    pub(crate) waited: Option<Duration>,
    /// The term to which the node moved, if the line says nothing else.
    pub(crate) moved_to: Option<u64>,
}

impl Line {
    /// Whether it says that this is done to the node.
    pub(crate) fn is_asked(&self, node: NodeId, what: &str) -> bool {
        let whom = self.text.strip_prefix(what).filter(|_| self.nodes.is_empty());
        let is = |id: &str| id == "*" || id == format!("{node:?}");
        whom.is_some_and(|whom| whom.trim_start().split(',').any(is))
    }

    /// Adds one that is asked.
    pub(crate) fn ask(&mut self, peer: NodeId) {
        if !self.peers.contains(&peer) {
            self.peers.push(peer);
        }
    }

    /// The nodes: three or more in a row by the first and the last.
    pub(crate) fn who(&self) -> String {
        match self.nodes.as_slice() {
            [] => "──".to_owned(),
            [first, .., last]
                if self.nodes.len() > 2
                    && self.nodes.windows(2).all(|pair| pair[0].get() + 1 == pair[1].get()) =>
            {
                format!("{first:?}..{last:?}")
            }
            nodes => Names(nodes).to_string(),
        }
    }

    /// The whole text.
    pub(crate) fn whole_text(&self) -> String {
        match self.peers.as_slice() {
            [] => self.text.clone(),
            peers => {
                let asks = if self.text.contains("leader of") { "sends it to" } else { "asks" };
                let all = peers.len() > 3;
                let peers = if all { "all".to_owned() } else { Names(peers).to_string() };
                format!("{}, {asks} {peers}", self.text)
            }
        }
    }
}

/// What several nodes start or end as becomes one line. That a node moved to a term goes without
/// saying if it votes in it next, and in half a line if it refuses to.
pub(crate) fn folded(lines: Vec<Line>) -> Vec<Line> {
    let mut folded: Vec<Line> = Vec::new();
    let mut moved: BTreeMap<NodeId, usize> = BTreeMap::new();
    for mut line in lines {
        if let [node] = *line.nodes {
            let before = moved.remove(&node).map(|nth| (nth, folded[nth].moved_to));
            if let Some((nth, Some(term))) = before {
                let refuses = format!(" in term {term}:");
                if line.text.starts_with("votes for") && line.text.ends_with(&format!(" {term}")) {
                    folded[nth].text.clear();
                } else if line.text.starts_with("refuses a vote") && line.text.contains(&refuses) {
                    folded[nth].text.clear();
                    line.text =
                        format!("moves to term {term}, {}", line.text.replace(&refuses, ":"));
                }
            }
            if line.moved_to.is_some() {
                moved.insert(node, folded.len());
            }
        }
        let stands = ["start:", "so far:", "end:"].iter().any(|word| line.text.starts_with(word));
        let same = |known: &&mut Line| stands && known.text == line.text && known.time == line.time;
        match folded.iter_mut().find(same) {
            Some(known) => known.nodes.extend(&line.nodes),
            None => folded.push(line),
        }
    }
    folded.retain(|line| !line.text.is_empty());
    folded
}
