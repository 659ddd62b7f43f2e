//! Tells a run: the records that change a role, a term, a vote or a commit become a line each.

use crate::known::Known;
use crate::line::{Line, folded};
use crate::words::{Asked, Log, Names, kind, refusal, role, seconds};
use raft_core::{
    AppendOutcome, Envelope, Instant, LogIndex, LogPosition, Membership, Message, NodeId, RoleKind,
    Round, Source, Term, Verdict,
};
use raft_sim::plan::{EntryKind, Operation, Stage};
use raft_sim::{Event, NodeState, Record, Sink};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What waits for less than this is not told.
const SOON: Duration = Duration::from_millis(200);

/// Listens to a run.
#[derive(Default, Debug)]
pub(crate) struct Teller {
    lines: Vec<Line>,
    known: BTreeMap<NodeId, Known>,
    membership: Membership,
    /// What is done to the cluster, in the words of the scenario.
    sentences: Vec<(Instant, String)>,
    /// What comes before is told in short; `None` once it has been.
    begins: Option<Instant>,
    end: Instant,
    /// Answers that were told: they may be given more than once.
    answers: BTreeSet<(NodeId, String, Option<Round>)>,
    /// When a client asked for a read that has to wait, and the line for it, which may stay empty.
    waiting_read: Option<(Instant, usize)>,
    committed: BTreeMap<NodeId, LogIndex>,
    has_new_commits: bool,
}

impl Teller {
    /// What is done to the cluster, from when on everything is told, and when the story ends.
    pub(crate) fn new(sentences: Vec<(Instant, String)>, begins: Instant, end: Instant) -> Self {
        let begins = (begins > Instant::ZERO).then_some(begins);
        Self { sentences, begins, end, ..Self::default() }
    }

    /// The lines, with a last one for each node.
    pub(crate) fn finish(mut self) -> Vec<Line> {
        let end = self.end;
        let timeouts = self.lines.iter().filter(|line| line.waited.is_some());
        let since = timeouts.map(|line| line.time).max();
        let since = since.map_or("at all".to_owned(), |time| format!("since {} s", seconds(time)));
        self.tell_states(end, "end");
        self.push(end, Vec::new(), format!("no election timeout ran out {since}"));
        folded(self.lines)
    }

    /// What every node is at this moment.
    fn tell_states(&mut self, time: Instant, when: &str) {
        let states: Vec<_> = self.known.iter().map(|(node, known)| (*node, known.is())).collect();
        for (node, is) in states {
            self.say(time, node, format!("{when}: {is}"));
        }
        self.has_new_commits = false;
    }

    /// Of what came before, only the start and what was done to the cluster remain.
    fn begin(&mut self, time: Instant) {
        self.lines.retain(|line| line.nodes.is_empty() || line.text.starts_with("start:"));
        for known in self.known.values_mut() {
            // These name lines that are gone.
            (known.asking, known.majority) = (None, None);
        }
        self.waiting_read = None;
        self.tell_states(time, "so far");
    }

    fn say(&mut self, time: Instant, node: NodeId, text: String) -> &mut Line {
        self.push(time, vec![node], text)
    }

    fn push(&mut self, time: Instant, nodes: Vec<NodeId>, text: String) -> &mut Line {
        let (peers, waited, moved_to) = (Vec::new(), None, None);
        let nth = self.lines.len();
        self.lines.push(Line { time, nodes, text, peers, waited, moved_to });
        &mut self.lines[nth]
    }

    fn known(&mut self, node: NodeId) -> &mut Known {
        self.known.entry(node).or_default()
    }

    /// What is done to the cluster at this moment, all at once.
    fn tell_faults(&mut self, time: Instant) {
        let now = |(at, _): &mut (Instant, String)| *at == time;
        let sentences: Vec<_> = self.sentences.extract_if(.., now).collect();
        for (time, sentence) in sentences {
            self.tell_commits(time);
            self.push(time, Vec::new(), sentence);
        }
    }

    /// A crash, if the scenario has not said so.
    fn tell_crash(&mut self, time: Instant, node: NodeId) {
        let now = self.lines.iter().rev().take_while(|line| line.time == time);
        if !now.into_iter().any(|line| line.is_asked(node, "crash")) {
            self.tell_commits(time);
            self.say(time, node, "crashes".to_owned());
        }
    }

    /// What everybody has committed since it was told last.
    fn tell_commits(&mut self, time: Instant) {
        if std::mem::take(&mut self.has_new_commits) {
            let each = self.committed.iter().map(|(node, commit)| format!("{node:?} {commit}"));
            let text = format!("committed so far: {}", each.collect::<Vec<_>>().join(", "));
            self.push(time, Vec::new(), text);
        }
    }

    fn tell(&mut self, record: &Record, node: NodeId, state: &NodeState) {
        let time = record.time;
        match &record.event {
            Event::Init { membership, .. } => {
                if !membership.is_empty() {
                    self.membership = membership.clone();
                }
                let (term, log) = (state.term, Log(state.last));
                let voters = Names(membership.voters());
                let text = format!("start: follower in term {term}, {log}; voters {voters}");
                self.say(time, node, text);
            }
            Event::Restart { .. } => {
                let (term, log) = (state.term, Log(state.last));
                self.say(time, node, format!("restarts from its disk: term {term}, {log}"));
            }
            Event::Recv { message } => self.hear(time, node, state, message),
            Event::PreCandidate { .. } | Event::BecomeCandidate => self.stand(time, node, state),
            Event::BecomeLeader => self.lead(time, node, state),
            Event::BecomeFollower { leader } => self.step_down(time, node, state, *leader),
            Event::LearnLeader { leader } => {
                self.say(time, node, format!("follows {leader:?}, leader of term {}", state.term));
            }
            Event::Append { first, kind: EntryKind::Membership, .. } => {
                if let Some(line) = self.asking(time, node) {
                    line.text = format!("{}, appends {first}", line.text);
                    self.known(node).first_entry = Some(*first);
                }
            }
            Event::Accept { truncated_from: Some(from), .. } => {
                let before = self.known(node).state.map_or(state.last, |state| state.last);
                let now = state.last;
                let text =
                    format!("replaces entries from {from} on: log was up to {before}, is {now}");
                self.say(time, node, text);
            }
            Event::Send { message, .. } => self.send(time, node, state, message),
            Event::Commit { before, commit } => self.commit(time, node, *before, *commit),
            Event::Persist { write } if state.role == RoleKind::Leader => {
                for chunk in write.log.iter().flat_map(|log| log.chunks.iter()) {
                    if let Source::Membership(membership) = &chunk.source {
                        self.tell_membership(time, node, membership);
                    }
                }
            }
            _ => {}
        }
    }

    /// A message that is handled: the state is still the one before.
    fn hear(&mut self, time: Instant, node: NodeId, state: &NodeState, message: &Envelope) {
        let Envelope { from, term, .. } = *message;
        let known = self.known(node);
        known.handles = Some((time, message.clone()));
        let last = match &message.message {
            Message::PreVote(m) => m.last,
            Message::RequestVote(m) => m.last,
            _ => LogPosition::ZERO,
        };
        known.asked.insert((from, message.message.name()), Asked { term, last });
        match &message.message {
            Message::AppendEntries(_) | Message::InstallSnapshot(_) if term >= state.term => {
                known.reset_at = time;
            }
            Message::PreVoteResponse(m) if m.verdict == Verdict::Granted => {
                known.granted.insert(from);
            }
            Message::RequestVoteResponse(m)
                if m.verdict == Verdict::Granted && term == state.term =>
            {
                known.granted.insert(from);
            }
            Message::AppendEntriesResponse(m) if term == state.term => {
                if let AppendOutcome::Matched { match_index } = m.outcome {
                    known.matched.insert(from, match_index);
                    self.count_matches(time, node, state);
                }
            }
            _ => {}
        }
    }

    /// A pre-vote or an election begins.
    fn stand(&mut self, time: Instant, node: NodeId, state: &NodeState) {
        let term = state.term;
        let now = self.lines.iter().rev().take_while(|line| line.time == time);
        let is_asked_to = now.into_iter().any(|line| line.is_asked(node, "campaign"));
        let known = self.known(node);
        let before = known.state.map_or(RoleKind::Follower, |state| state.role);
        known.granted.insert(node);
        let granted = Vec::from_iter(std::mem::take(&mut known.granted));
        let waited = time.saturating_since(known.reset_at);
        let cause = known.handled(time).cloned();
        let stands = match state.role {
            RoleKind::PreCandidate => format!("pre-candidate in term {term}"),
            _ => format!("candidate of term {term}, votes for itself"),
        };
        let (why, waited) = match cause {
            Some(Envelope { from, message: Message::TimeoutNow, .. }) => {
                (format!("{from:?} transfers leadership: "), None)
            }
            _ if before == RoleKind::PreCandidate && state.role == RoleKind::Candidate => {
                (format!("pre-votes of {}: ", Names(&granted)), None)
            }
            _ if is_asked_to => ("becomes ".to_owned(), None),
            _ => (format!("timeout ({} ms): ", waited.as_millis()), Some(waited)),
        };
        let nth = self.lines.len();
        self.say(time, node, why + &stands).waited = waited;
        let known = self.known(node);
        (known.asking, known.reset_at) = (Some(nth), time);
    }

    fn lead(&mut self, time: Instant, node: NodeId, state: &NodeState) {
        let known = self.known(node);
        known.granted.insert(node);
        let votes = Vec::from_iter(std::mem::take(&mut known.granted));
        known.matched.clear();
        (known.majority, known.before_first) = (None, state.last);
        self.known(node).asking = Some(self.lines.len());
        let text = format!("votes of {}: leader of term {}", Names(&votes), state.term);
        self.say(time, node, text);
    }

    fn step_down(
        &mut self,
        time: Instant,
        node: NodeId,
        state: &NodeState,
        leader: Option<NodeId>,
    ) {
        let known = self.known(node);
        let before = known.state.map_or(RoleKind::Follower, |state| state.role);
        let before_term = known.state.map_or(Term::ZERO, |state| state.term);
        known.granted.clear();
        known.first_entry = None;
        let cause = known.handled(time);
        let why = match (leader, cause) {
            (Some(leader), _) => format!("follows {leader:?}, leader of term {}", state.term),
            (None, Some(Envelope { from, term, message, .. }))
                if *term > before_term || matches!(message, Message::RequestVote(_)) =>
            {
                format!("{} of {from:?} has term {term}", kind(message))
            }
            (None, _) => "by itself".to_owned(),
        };
        if before == RoleKind::Leader {
            self.known(node).reset_at = time;
        }
        let (role, term) = (role(before), before_term);
        self.say(time, node, format!("steps down from {role} in term {term}: {why}"));
    }

    fn send(&mut self, time: Instant, node: NodeId, state: &NodeState, message: &Envelope) {
        let Envelope { to, term, message, .. } = message;
        let (text, round) = match message {
            Message::PreVote(_) | Message::RequestVote(_) => {
                let asking = self.known(node).asking;
                if let Some(line) = asking.and_then(|nth| self.lines.get_mut(nth)) {
                    line.ask(*to);
                }
                return;
            }
            Message::AppendEntries(_) => {
                if let Some(line) = self.asking(time, node) {
                    line.ask(*to);
                }
                return;
            }
            Message::PreVoteResponse(m) if m.verdict == Verdict::Granted => {
                (format!("grants a pre-vote to {to:?}"), Some(m.round))
            }
            Message::PreVoteResponse(m) => {
                let why = refusal(m.verdict, state, self.asked(node, *to, "pre_vote"));
                (format!("refuses a pre-vote to {to:?}: {why}"), Some(m.round))
            }
            Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
                (format!("votes for {to:?} in term {term}"), None)
            }
            Message::RequestVoteResponse(m) => {
                let asked = self.asked(node, *to, "request_vote");
                let of = asked.map_or(*term, |asked| asked.term);
                let why = refusal(m.verdict, state, asked);
                (format!("refuses a vote to {to:?} in term {of}: {why}"), None)
            }
            Message::AppendEntriesResponse(m) if m.outcome == AppendOutcome::StaleTerm => {
                let asked = self.asked(node, *to, "append_entries");
                let of = asked.map_or(*term, |asked| asked.term);
                let role = role(state.role);
                (
                    format!("refuses {to:?} as leader of term {of}: stays {role} in term {term}"),
                    None,
                )
            }
            _ => return,
        };
        if self.answers.insert((node, text.clone(), round)) {
            self.say(time, node, text);
        }
    }

    fn asked(&mut self, node: NodeId, by: NodeId, what: &'static str) -> Option<Asked> {
        self.known(node).asked.get(&(by, what)).copied()
    }

    fn commit(&mut self, time: Instant, node: NodeId, before: LogIndex, commit: LogIndex) {
        self.committed.insert(node, commit);
        let first = self.known(node).first_entry.filter(|first| first.index <= commit);
        let Some(first) = first else {
            self.has_new_commits = true;
            return;
        };
        let known = self.known(node);
        known.first_entry = None;
        // What is committed soon after is not worth a word.
        if let Some((since, nth)) = known.majority
            && time.saturating_since(since) < SOON
        {
            self.lines[nth].text.clear();
        }
        let text = if before.get() + 1 == commit.get() {
            format!("commits {first}, its first entry of this term")
        } else {
            let from = before.get() + 1;
            format!("commits {from} to {commit} with {first}, its first entry of this term")
        };
        self.say(time, node, text);
    }

    /// A majority holds an entry of an earlier term, and the leader knows it (Raft paper, 5.4.2).
    fn count_matches(&mut self, time: Instant, node: NodeId, state: &NodeState) {
        let voters = self.membership.voters().to_vec();
        let nth = self.lines.len();
        let known = self.known(node);
        let Some(first) = known.first_entry.filter(|_| known.majority.is_none()) else { return };
        known.matched.insert(node, state.durable_last.index);
        let mut matched: Vec<_> =
            voters.iter().map(|id| known.matched.get(id).copied().unwrap_or_default()).collect();
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let index = matched[voters.len() / 2];
        if index <= state.commit || index >= first.index {
            return;
        }
        let holds = |id: &&NodeId| known.matched.get(*id).is_some_and(|matched| *matched >= index);
        let holders: Vec<_> = voters.iter().filter(holds).copied().collect();
        let before = known.before_first;
        let entry =
            if before.index == index { before.to_string() } else { format!("entry {index}") };
        known.majority = Some((time, nth));
        let text = format!(
            "sees {entry} on a majority, {}: not committed, it is of an earlier term",
            Names(&holders)
        );
        self.say(time, node, text);
    }

    fn tell_membership(&mut self, time: Instant, node: NodeId, membership: &Membership) {
        if self.membership != *membership {
            self.membership = membership.clone();
            let outgoing = match membership.outgoing() {
                [] => String::new(),
                outgoing => format!(", jointly with {}", Names(outgoing)),
            };
            let voters = Names(membership.voters());
            self.say(time, node, format!("appends a membership: voters {voters}{outgoing}"));
        }
    }

    /// A read that a client asks for before the leader has committed an entry of its term.
    fn serve(&mut self, time: Instant, operation: Operation, phase: Stage) {
        if matches!(operation, Operation::Write { .. } | Operation::Apply { .. }) {
            return;
        }
        let has_to_wait = self.known.values().any(|known| known.first_entry.is_some());
        match phase {
            Stage::Invoked if has_to_wait && self.waiting_read.is_none() => {
                self.waiting_read = Some((time, self.lines.len()));
                self.push(time, Vec::new(), String::new());
            }
            Stage::Returned { .. } => {
                let Some((since, nth)) = self.waiting_read.take() else { return };
                if time.saturating_since(since) >= SOON {
                    "a client asks for a read".clone_into(&mut self.lines[nth].text);
                    self.push(time, Vec::new(), "the client has its answer".to_owned());
                }
            }
            _ => {}
        }
    }

    /// The line of an election that was won at this moment.
    fn asking(&mut self, time: Instant, node: NodeId) -> Option<&mut Line> {
        let nth = self.known(node).asking?;
        self.lines.get_mut(nth).filter(|line| line.time == time)
    }

    /// What changes without an event of its own.
    fn notice(&mut self, time: Instant, node: NodeId, state: &NodeState) {
        let known = self.known(node);
        let before = known.state.replace(*state);
        let Some(before) = before else {
            known.reset_at = time;
            return;
        };
        let (rose, is_follower) = (state.term > before.term, state.role == RoleKind::Follower);
        let voted = state.vote.is_some_and(|vote| vote != node) && state.vote != before.vote;
        if rose || voted {
            known.reset_at = time;
        }
        let cause = known.handled(time).cloned();
        let has_line = self.lines.last().is_some_and(|l| l.nodes == [node] && l.time == time);
        if let Some(Envelope { from, message, .. }) =
            cause.filter(|_| rose && is_follower && !has_line)
        {
            let term = state.term;
            let text = format!("moves to term {term}, that of the {} of {from:?}", kind(&message));
            self.say(time, node, text).moved_to = Some(term.get());
        }
    }
}

impl Sink for Teller {
    fn record(&mut self, record: Record) {
        if record.time >= self.end {
            return;
        }
        if let Some(begins) = self.begins.take_if(|begins| *begins <= record.time) {
            self.begin(begins);
        }
        match &record.event {
            Event::Fault { .. } => self.tell_faults(record.time),
            Event::Client { operation, phase, .. } => self.serve(record.time, *operation, *phase),
            _ => {}
        }
        let (Some(node), Some(state)) = (record.node, record.state) else {
            if let (Some(node), Event::Crash { .. }) = (record.node, &record.event) {
                let known = self.known(node);
                *known = Known { reset_at: record.time, ..Known::default() };
                self.tell_crash(record.time, node);
            }
            return;
        };
        if matches!(record.event, Event::LearnTerm { .. }) {
            // What it does for it comes next.
            return;
        }
        self.tell(&record, node, &state);
        self.notice(record.time, node, &state);
    }
}
