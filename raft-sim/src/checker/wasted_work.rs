//! Nothing is sent, written or asked for that nobody needs: each message and each write has a cause
//! that was not used up before.
//!
//! `docs/PERFORMANCE.md` has the budget. It is kept message by message, not as an average over a
//! window: a cause pays for one message to one peer, so whatever is done twice is seen the first
//! time, in a run with losses as in an idle one. What pays is seen from outside: time that has
//! passed, a question that was taken in, an entry or a commit that is new to the peer, a report
//! that something was lost.

use crate::checker::by_id::ById;
use crate::checker::sight::Checker;
use crate::checker::sight::Observed;
use crate::checker::sight::Sight;
use crate::plan::choice::nanos;
use raft_core::{
    Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Envelope, HardState,
    Input, LogIndex, Message, NodeId, RoleKind, Round, Status,
};

#[derive(Clone, Default, Debug)]
pub(super) struct WastedWork {
    judged: u64,
    minds: ById<Mind>,
}

/// What a node may do, in one life. Times are those that it was told: a clock that goes back counts
/// as standing still.
#[derive(Clone, Default, Debug)]
struct Mind {
    now: u64,
    /// What it last wrote besides the log.
    hard_state: Option<HardState>,
    /// When its role began, or its round of pre-votes.
    began: u64,
    round: Option<Round>,
    /// When the last heartbeat was due.
    heartbeat_at: u64,
    /// Whether waiting reads may ask everybody once more.
    may_ask: bool,
    /// Whether the last heartbeat may have been a round for reads: a node whose clock has stepped
    /// back has its heartbeat later than it seems.
    was_for_either: bool,
    /// The newest round that was sent before this step, and in it.
    asked: [Round; 2],
    /// The newest round of its leader.
    seen: Option<Round>,
    /// How often a follower may ask its leader about reads.
    questions: u64,
    permitted: bool,
    peers: ById<Spent>,
}

/// What concerns one peer.
#[expect(clippy::struct_excessive_bools, reason = "each is about another kind of message")]
#[derive(Clone, Default, Debug)]
struct Spent {
    /// The answers that it waits for, by kind.
    owed: [u64; 4],
    /// The messages with entries that may be refused.
    refusable: u64,
    /// Up to here the log was acknowledged to it.
    acknowledged: LogIndex,
    /// How often it was asked for a vote, or for the promise of one.
    votes_asked: u64,
    /// The last entry that it was sent, and whether it may lack what it was sent.
    sent: LogIndex,
    lacks: bool,
    /// Whether it has just said where the logs part.
    is_probed: bool,
    /// Whether the leader was told that no entries leave for it.
    is_paused: bool,
    /// Whether it has refused entries, and acknowledged nothing since: an acknowledgement then says
    /// where the logs part, and perhaps not that the last entries came.
    has_refused: bool,
    /// The greatest commit index that it was sent.
    commit: LogIndex,
    /// Since when a snapshot is on its way to it.
    snapshot_since: Option<u64>,
    /// Whether it was seen not to belong to the membership.
    has_left: bool,
}

/// What the new question of a message is for.
enum Asks {
    /// There is none.
    Nothing,
    /// Nobody knows yet where the logs part.
    WhereTheyPart,
    /// A sign of life.
    WhoIsThere { with_entries: bool },
}

/// The places of [`Spent::owed`].
const PRE_VOTE: usize = 0;
const VOTE: usize = 1;
const APPEND: usize = 2;
const READ: usize = 3;

impl Checker for WastedWork {
    fn judged(&self) -> u64 {
        self.judged
    }

    fn see(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        let id = sight.node.id;
        match (sight.observed, sight.node.status, sight.node.node) {
            (Observed::Started | Observed::Crashed, _, _) => {
                let (now, hard_state) = (local(sight), Some(sight.node.stored.hard_state));
                self.minds.insert(id, Mind { now, hard_state, began: now, ..Mind::default() });
                Ok(())
            }
            (Observed::Stepped { before, .. }, Some(after), Some(node)) => {
                let mind = self.minds.entry(id);
                mind.now = mind.now.max(local(sight));
                let step = Step { sight, before, after, config: node.config(), now: mind.now };
                mind.change_roles(&step);
                mind.earn(&step);
                self.judged += mind.spend(&step).map_err(|what| format!("{id:?} {what}"))?;
                mind.close(sight);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A step of a node.
struct Step<'a> {
    sight: &'a Sight<'a>,
    before: &'a Status,
    after: &'a Status,
    config: &'a Config,
    now: u64,
}

/// What its clock shows to the node.
const fn local(sight: &Sight<'_>) -> u64 {
    sight.node.local.as_nanos()
}

impl Step<'_> {
    fn wakes(&self) -> bool {
        self.sight.inputs().contains(&Input::Wake)
    }
}

impl Mind {
    /// What begins anew with a role, a term or a leader.
    fn change_roles(&mut self, step: &Step<'_>) {
        let (before, after, now) = (step.before, step.after, step.now);
        if (before.role, before.term) != (after.role, after.term) {
            (self.began, self.round, self.heartbeat_at) = (now, None, now);
            self.permitted = false;
            self.peers.values_mut().for_each(|peer| peer.votes_asked = 0);
        }
        let follows_another = (before.term, before.leader) != (after.term, after.leader);
        if starts_afresh(step) || follows_another {
            self.seen = None;
            self.peers.values_mut().for_each(|peer| peer.acknowledged = LogIndex::ZERO);
        }
        if after.role == RoleKind::Leader {
            if before.role != RoleKind::Leader || before.term != after.term {
                for peer in self.peers.values_mut() {
                    *peer = Spent { owed: peer.owed, ..Spent::default() };
                }
            }
            let membership = step.sight.node.membership;
            for (id, peer) in self.peers.iter_mut() {
                if !membership.contains(id) {
                    peer.has_left = true;
                } else if peer.has_left {
                    *peer = Spent { owed: peer.owed, ..Spent::default() };
                }
            }
            self.permitted &= before.transfers_to == after.transfers_to;
        }
    }

    /// What the inputs pay for.
    fn earn(&mut self, step: &Step<'_>) {
        self.may_ask |= step.before.pending_reads == 0;
        for input in step.sight.inputs() {
            match input {
                Input::Message(envelope) => self.earn_from(step, envelope),
                Input::Wake => {
                    self.may_ask = true;
                    self.questions += u64::from(step.before.pending_reads > 0);
                }
                Input::Persisted { .. } => self.may_ask = true,
                Input::Read { .. } => self.questions += 1,
                Input::PeerUnreachable { peer }
                | Input::PeerPaused { peer, .. }
                | Input::SnapshotSent { to: peer, .. } => {
                    let is_pause = matches!(input, Input::PeerPaused { .. });
                    let peer = self.peers.entry(*peer);
                    (peer.lacks, peer.snapshot_since) = (true, None);
                    peer.is_paused |= is_pause;
                }
                Input::PeerResumed { peer } => self.peers.entry(*peer).is_paused = false,
                _ => {}
            }
        }
    }

    fn earn_from(&mut self, step: &Step<'_>, envelope: &Envelope) {
        let peer = self.peers.entry(envelope.from);
        match &envelope.message {
            Message::PreVote(_) => peer.owed[PRE_VOTE] += 1,
            Message::RequestVote(_) => peer.owed[VOTE] += 1,
            Message::AppendEntries(m) => {
                let round = m.probe.map(|probe| probe.round);
                let is_heartbeat = round.is_some() && m.entries.is_empty();
                let is_known = m.last_position().index <= step.after.durable.index;
                let is_meant = (envelope.to, envelope.term) == (step.after.id, step.after.term);
                let at_once = round > self.seen
                    || is_heartbeat
                    || is_known && !m.entries.is_empty()
                    || envelope.term < step.after.term;
                if is_meant && !starts_afresh(step) {
                    self.seen = self.seen.max(round);
                }
                peer.owed[APPEND] += u64::from(at_once);
                peer.refusable += u64::from(!at_once && !m.entries.is_empty());
            }
            Message::InstallSnapshot(_) => peer.owed[APPEND] += 1,
            Message::ReadIndex(_) => peer.owed[READ] += 1,
            Message::AppendEntriesResponse(m) => {
                self.may_ask = true;
                match m.outcome {
                    AppendOutcome::Mismatched { .. } => {
                        (peer.lacks, peer.is_probed, peer.has_refused) = (true, true, true);
                    }
                    AppendOutcome::Matched { match_index } => {
                        let start = step.before.log_start.index;
                        // Where what was sent is compacted meanwhile, it is sent otherwise.
                        peer.lacks |= match_index < start;
                        peer.lacks |= std::mem::take(&mut peer.has_refused);
                        if match_index >= start {
                            peer.snapshot_since = None;
                        }
                    }
                    AppendOutcome::StaleTerm | AppendOutcome::Installing => {}
                }
            }
            _ => {}
        }
    }

    /// Everything that leaves is paid for. How much there was.
    fn spend(&mut self, step: &Step<'_>) -> Result<u64, String> {
        let (mut judged, mut writes) = (0, 0);
        let (mut is_heartbeat, mut is_shared) = (false, false);
        // The entries that the last message of this step to a peer carried, where it was not full.
        let mut short: Vec<(NodeId, u64)> = Vec::new();
        for action in step.sight.actions() {
            judged += 1;
            match action {
                Action::Persist(write) => {
                    writes += 1;
                    let changes = write.hard_state.is_some_and(|s| self.hard_state != Some(s));
                    if writes > 1 {
                        return Err("writes twice in one step".to_owned());
                    }
                    if !changes && (write.hard_state.is_some() || write.log.is_none()) {
                        return Err(format!("writes what is written: {write:?}"));
                    }
                    self.hard_state = write.hard_state.or(self.hard_state);
                }
                Action::SendSnapshot { to, .. } => self.snapshot(step, *to)?,
                Action::Send(Envelope { to, message: Message::AppendEntries(m), .. }) => {
                    match self.asks(*to, m) {
                        Asks::Nothing => {}
                        // The others are told the same question where they are told something.
                        Asks::WhereTheyPart => is_shared = true,
                        Asks::WhoIsThere { with_entries } => {
                            if !(is_heartbeat || is_shared && with_entries) {
                                self.ask_everybody(step)?;
                                is_heartbeat = true;
                            }
                        }
                    }
                    self.append(step, *to, m, &mut short)?;
                }
                Action::Send(envelope) => self.send(step, envelope)?,
                _ => judged -= 1,
            }
        }
        Ok(judged)
    }

    fn asks(&mut self, to: NodeId, m: &AppendEntries) -> Asks {
        let Some(probe) = m.probe.filter(|probe| probe.round > self.asked[0]) else {
            return Asks::Nothing;
        };
        self.asked[1] = self.asked[1].max(probe.round);
        let peer = self.peers.entry(to);
        let with_entries = !m.entries.is_empty();
        if with_entries && (peer.is_probed || peer.sent == LogIndex::ZERO) {
            return Asks::WhereTheyPart;
        }
        Asks::WhoIsThere { with_entries }
    }

    /// One snapshot at a time.
    fn snapshot(&mut self, step: &Step<'_>, to: NodeId) -> Result<(), String> {
        let (now, patience) = (step.now, nanos(step.config.snapshot_timeout));
        let peer = self.peers.entry(to);
        let on_its_way = peer.snapshot_since.replace(now);
        peer.lacks = true;
        match on_its_way {
            Some(since) if since.saturating_add(patience) > now => {
                Err(format!("sends {to:?} a snapshot while another is on its way"))
            }
            _ => Ok(()),
        }
    }

    /// Everybody is asked once for each heartbeat, and once for reads.
    fn ask_everybody(&mut self, step: &Step<'_>) -> Result<(), String> {
        let (now, pause) = (step.now, nanos(step.config.heartbeat_interval));
        let reads = |input: &Input| match input {
            Input::Read { .. } => true,
            Input::Message(envelope) => matches!(envelope.message, Message::ReadIndex(_)),
            _ => false,
        };
        let wait = step.before.pending_reads > 0 || step.sight.inputs().iter().any(reads);
        let is_due = self.heartbeat_at.saturating_add(pause) <= now;
        if step.wakes() && is_due {
            self.was_for_either |= wait && self.may_ask;
            self.heartbeat_at = now;
            return Ok(());
        }
        let may_ask = std::mem::take(&mut self.may_ask);
        if may_ask && wait || step.wakes() && std::mem::take(&mut self.was_for_either) {
            return Ok(());
        }
        Err(if wait {
            "asks everybody for reads although a round is on its way".to_owned()
        } else {
            "asks everybody, and nothing is due".to_owned()
        })
    }

    /// An entry, a commit and a question are new to the peer.
    fn append(
        &mut self,
        step: &Step<'_>,
        to: NodeId,
        m: &AppendEntries,
        short: &mut Vec<(NodeId, u64)>,
    ) -> Result<(), String> {
        let peer = self.peers.entry(to);
        let news = m.commit > peer.commit;
        peer.commit = m.commit.max(peer.commit);
        if m.entries.is_empty() {
            let empty = m.probe.is_none() && !news;
            return if empty { Err(format!("tells {to:?} nothing")) } else { Ok(()) };
        }
        if let Some((_, count)) = short.iter().find(|(other, _)| *other == to) {
            return Err(format!("sends {to:?} {count} entries, and more in another message"));
        }
        let is_full = m.entries.count() >= step.config.max_entries_per_message
            || m.entries.run_count() + 1 >= AppendEntries::MAX_RUNS;
        if !is_full {
            short.push((to, m.entries.count()));
        }
        if m.prev.index < peer.sent && !std::mem::take(&mut peer.lacks) {
            return Err(format!("sends {to:?} again what follows {}", m.prev));
        }
        peer.sent = m.last_position().index;
        Ok(())
    }

    fn send(&mut self, step: &Step<'_>, envelope: &Envelope) -> Result<(), String> {
        let to = envelope.to;
        let peer = self.peers.entry(to);
        let place = match &envelope.message {
            Message::PreVoteResponse(_) => PRE_VOTE,
            Message::RequestVoteResponse(_) => VOTE,
            Message::ReadIndexResponse(_) => READ,
            Message::AppendEntriesResponse(m) if is_news(peer, m) => {
                peer.owed[APPEND] = peer.owed[APPEND].saturating_sub(1);
                return Ok(());
            }
            Message::AppendEntriesResponse(_) => APPEND,
            Message::PreVote(m) => {
                self.begin_round(step, m.round)?;
                return self.ask_for_vote(step, to);
            }
            Message::RequestVote(_) => return self.ask_for_vote(step, to),
            Message::ReadIndex(_) => {
                let paid = self.questions.checked_sub(1);
                self.questions = paid.ok_or_else(|| format!("asks {to:?} again about reads"))?;
                return Ok(());
            }
            Message::TimeoutNow => {
                let again = std::mem::replace(&mut self.permitted, true) && !step.wakes();
                return if again { Err(format!("asks {to:?} again to take over")) } else { Ok(()) };
            }
            _ => return Ok(()),
        };
        if place == APPEND && peer.refusable > 0 && refuses(&envelope.message) {
            peer.refusable -= 1;
            return Ok(());
        }
        let paid = peer.owed[place].checked_sub(1);
        let name = envelope.message.name();
        peer.owed[place] =
            paid.ok_or_else(|| format!("sends {to:?} a {name} that answers nothing"))?;
        Ok(())
    }

    /// A pre-candidate begins a round after T.
    fn begin_round(&mut self, step: &Step<'_>, round: Round) -> Result<(), String> {
        let known = self.round.replace(round);
        if known.is_none_or(|known| known == round) {
            return Ok(());
        }
        let patience = nanos(step.config.election_timeout);
        // Who was told to campaign may have granted a vote in between.
        if self.began.saturating_add(patience) > step.now && !starts_afresh(step) {
            return Err("begins another round within T".to_owned());
        }
        self.began = step.now;
        self.peers.values_mut().for_each(|peer| peer.votes_asked = 0);
        Ok(())
    }

    /// A voter is asked once, and again after each heartbeat interval.
    fn ask_for_vote(&mut self, step: &Step<'_>, to: NodeId) -> Result<(), String> {
        let passed = step.now.saturating_sub(self.began);
        let most = 1 + passed / nanos(step.config.heartbeat_interval).max(1);
        let peer = self.peers.entry(to);
        peer.votes_asked += 1;
        if peer.votes_asked > most {
            return Err(format!("asks {to:?} for a vote too often"));
        }
        Ok(())
    }

    /// What was to be answered is, as far as nothing waits for the disk.
    fn close(&mut self, sight: &Sight<'_>) {
        self.asked[0] = self.asked[1];
        let is_open = sight.writes.is_open();
        for peer in self.peers.values_mut() {
            // What a paused peer has said is acted upon when entries leave for it again.
            peer.is_probed &= peer.is_paused;
            if is_open {
                peer.owed = [0, 0, 0, peer.owed[READ]];
                peer.refusable = 0;
            }
        }
    }
}

/// Whether a follower may start afresh with the leader that it has: because of somebody's request
/// for a vote, or because it was told to campaign, and heard the leader in the same step.
fn starts_afresh(step: &Step<'_>) -> bool {
    step.sight.inputs().iter().any(|input| match input {
        Input::Campaign => true,
        Input::Message(envelope) => matches!(envelope.message, Message::RequestVote(_)),
        _ => false,
    })
}

/// Whether this tells a leader that its entries were not taken.
const fn refuses(message: &Message) -> bool {
    match message {
        Message::AppendEntriesResponse(m) => {
            matches!(m.outcome, AppendOutcome::Mismatched { .. } | AppendOutcome::Installing)
        }
        _ => false,
    }
}

/// Whether an acknowledgement says that more of the log is durable; the peer knows it then.
fn is_news(peer: &mut Spent, m: &AppendEntriesResponse) -> bool {
    match m.outcome {
        AppendOutcome::Matched { match_index } if match_index > peer.acknowledged => {
            peer.acknowledged = match_index;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::WastedWork;
    use crate::checker::fixture::Cluster;
    use crate::checker::fixture::announce;
    use crate::checker::fixture::matched;
    use crate::checker::fixture::position;
    use crate::checker::fixture::refused;
    use crate::checker::fixture::request_vote;
    use crate::checker::fixture::send;
    use crate::checker::fixture::taken;
    use crate::checker::fixture::vote;
    use crate::checker::fixture::write;
    use raft_core::{
        Action, AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Consistency,
        HardState, Input, Instant, LogIndex, Message, NodeId, Outcome, PreVote, Probe, ReadIndex,
        RoleKind, Round, Run, Term, Ticket, Token, Verdict, Write,
    };
    use std::time::Duration;

    /// S1 leads term 1; a heartbeat each 100 ms, messages of two entries.
    fn led() -> (Cluster, WastedWork) {
        let (mut cluster, mut checker) = (Cluster::of(3), WastedWork::default());
        let mut config = Config::new(NodeId(1), 1);
        config.max_entries_per_message = 2;
        cluster.node(1).configured(config);
        let before = cluster.node(1).status;
        cluster.node(1).leads(1);
        cluster.stepped_from(&mut checker, 1, &before, &[]).expect("it is elected");
        (cluster, checker)
    }

    /// S1 follows S2.
    fn follower() -> (Cluster, WastedWork) {
        let (mut cluster, checker) = led();
        let status = &mut cluster.node(1).status;
        (status.role, status.leader) = (RoleKind::Follower, Some(NodeId(2)));
        (cluster, checker)
    }

    /// An append of these many entries after an index, from S1 to S2 or back.
    fn entries(from: u64, after: u64, count: u64, round: Option<u64>) -> Action {
        let run = (count > 0).then_some(Run::Commands { term: Term(1), count });
        let probe = round.map(|round| Probe {
            round: Round(round),
            sent_at: Instant::ZERO,
            lease: Duration::ZERO,
        });
        let (prev, entries) = (position(u64::from(after > 0), after), run.into_iter().collect());
        let message = AppendEntries { prev, entries, commit: LogIndex(0), probe };
        send(from, 3 - from, 1, Message::AppendEntries(message))
    }

    fn at(cluster: &mut Cluster, millis: u64) {
        cluster.node(1).local = Instant::from_nanos(millis * 1_000_000);
    }

    const READ: Input = Input::Read { token: Token(1), consistency: Consistency::ReadIndex };

    #[test]
    fn one_heartbeat_for_each_interval() {
        let (mut cluster, mut checker) = led();
        let beat = |round| [entries(1, 0, 0, Some(round))];
        for millis in [100, 200, 350] {
            at(&mut cluster, millis);
            cluster.takes(&mut checker, 1, &[Input::Wake], &beat(millis)).expect("it is due");
        }
        at(&mut cluster, 449);
        refused(cluster.takes(&mut checker, 1, &[Input::Wake], &beat(449)), "nothing is due");
    }

    #[test]
    fn one_round_for_all_reads_of_a_round_trip() {
        let (mut cluster, mut checker) = led();
        let asks = |round| [entries(1, 0, 0, Some(round))];
        cluster.takes(&mut checker, 1, &[READ], &asks(1)).expect("the first");
        cluster.node(1).status.pending_reads = 1;
        let answer = [taken(matched(2, 1, 1, 0, None))];
        cluster.takes(&mut checker, 1, &answer, &asks(2)).expect("the next, after an answer");
        refused(cluster.takes(&mut checker, 1, &[READ], &asks(3)), "a round is on its way");
    }

    #[test]
    fn an_entry_once_unless_it_may_be_lost_and_in_full_messages() {
        let (mut cluster, mut checker) = led();
        let two = [entries(1, 0, 2, None), entries(1, 2, 1, None)];
        cluster.stepped(&mut checker, 1, &two).expect("the first is full");
        let again = [entries(1, 1, 2, None)];
        let mut other = checker.clone();
        refused(cluster.stepped(&mut other, 1, &again), "sends S2 again what follows 1/1");
        let lost = [Input::PeerUnreachable { peer: NodeId(2) }];
        cluster.takes(&mut checker, 1, &lost, &again).expect("it may be lost");
        refused(cluster.stepped(&mut checker, 1, &again), "sends S2 again");
        let (rejected, hint) = (position(1, 3), Vec::new());
        let outcome = AppendOutcome::Mismatched { rejected, hint };
        let said = AppendEntriesResponse { outcome, echo: None, seen: None };
        let said = [taken(send(2, 1, 1, Message::AppendEntriesResponse(said)))];
        cluster.takes(&mut checker, 1, &said, &again).expect("it says where the logs part");
        let part = [taken(matched(2, 1, 1, 1, None))];
        cluster.takes(&mut checker, 1, &part, &again).expect("perhaps it has no more than that");
        refused(cluster.takes(&mut checker, 1, &part, &again), "sends S2 again");
        let (mut cluster, mut checker) = led();
        let halves = [entries(1, 0, 1, None), entries(1, 1, 1, None)];
        refused(cluster.stepped(&mut checker, 1, &halves), "and more in another message");
    }

    #[test]
    fn a_commit_is_told_once() {
        let (mut cluster, mut checker) = led();
        cluster.stepped(&mut checker, 1, &[announce(1, 2, 1, 4)]).expect("news");
        refused(cluster.stepped(&mut checker, 1, &[announce(1, 2, 1, 4)]), "tells S2 nothing");
    }

    #[test]
    fn one_snapshot_at_a_time() {
        let (mut cluster, mut checker) = led();
        let ask = Action::SendSnapshot { to: NodeId(2), term: Term(1), at_least: position(1, 4) };
        cluster.node(1).status.log_start = position(1, 4);
        let ask = std::slice::from_ref(&ask);
        cluster.stepped(&mut checker, 1, ask).expect("the first");
        let old = [taken(matched(2, 1, 1, 3, None))];
        refused(cluster.takes(&mut checker.clone(), 1, &old, ask), "another is on its way");
        let (position, outcome) = (position(1, 4), Outcome::Failed);
        let report = [Input::SnapshotSent { to: NodeId(2), position, outcome }];
        cluster.takes(&mut checker, 1, &report, ask).expect("it failed");
        at(&mut cluster, 60_000);
        cluster.stepped(&mut checker, 1, ask).expect("it is taken as lost");
    }

    #[test]
    fn one_answer_for_each_question() {
        let cases = [
            (entries(2, 0, 0, Some(1)), matched(1, 2, 1, 0, None)),
            (request_vote(2, 1, 1), vote(1, 2, 1, Verdict::StaleLog)),
        ];
        for (question, answer) in cases {
            let (mut cluster, mut checker) = follower();
            let question = [taken(question)];
            let twice = [answer.clone(), answer];
            let one = &twice[..1];
            cluster.takes(&mut checker, 1, &question, one).expect("it was asked");
            refused(cluster.takes(&mut checker, 1, &question, &twice), "answers nothing");
        }
    }

    #[test]
    fn what_is_durable_is_told_unasked_once() {
        let (mut cluster, mut checker) = follower();
        let took = [taken(entries(2, 0, 2, None))];
        cluster.takes(&mut checker, 1, &took, &[write(1, &[1, 1])]).expect("it waits");
        let done = [Input::Persisted { ticket: Ticket(1) }];
        let acknowledged = [matched(1, 2, 1, 2, None)];
        cluster.takes(&mut checker, 1, &done, &acknowledged).expect("it is durable");
        refused(cluster.takes(&mut checker, 1, &done, &acknowledged), "answers nothing");
        let told = [Input::Campaign, taken(entries(2, 2, 0, None))];
        cluster.takes(&mut checker, 1, &told, &acknowledged).expect("it follows afresh");
        let outcome = AppendOutcome::Installing;
        let said = AppendEntriesResponse { outcome, echo: None, seen: None };
        let said = [send(1, 2, 1, Message::AppendEntriesResponse(said))];
        refused(cluster.takes(&mut checker, 1, &done, &said), "answers nothing");
    }

    #[test]
    fn votes_are_asked_for_once_in_an_interval_and_a_round_begins_after_t() {
        let (mut cluster, mut checker) = led();
        cluster.node(1).status.role = RoleKind::PreCandidate;
        let ask = |round| {
            let message = PreVote { round: Round(round), last: position(0, 0) };
            [send(1, 2, 1, Message::PreVote(message))]
        };
        cluster.stepped(&mut checker, 1, &ask(1)).expect("the first");
        refused(cluster.stepped(&mut checker.clone(), 1, &ask(1)), "for a vote too often");
        at(&mut cluster, 100);
        cluster.stepped(&mut checker, 1, &ask(1)).expect("again");
        refused(cluster.stepped(&mut checker.clone(), 1, &ask(2)), "another round within T");
        at(&mut cluster, 1000);
        cluster.stepped(&mut checker, 1, &ask(2)).expect("T is over");
    }

    #[test]
    fn questions_about_reads_and_words_to_take_over() {
        let (mut cluster, mut checker) = follower();
        let question = [send(1, 2, 1, Message::ReadIndex(ReadIndex { id: Round(1) }))];
        cluster.takes(&mut checker, 1, &[READ], &question).expect("it was asked");
        refused(cluster.stepped(&mut checker, 1, &question), "asks S2 again about reads");
        let (mut cluster, mut checker) = led();
        let word = [send(1, 2, 1, Message::TimeoutNow)];
        cluster.stepped(&mut checker, 1, &word).expect("the first");
        cluster.takes(&mut checker, 1, &[Input::Wake], &word).expect("with a heartbeat");
        refused(cluster.stepped(&mut checker, 1, &word), "asks S2 again to take over");
    }

    #[test]
    fn writes_of_nothing() {
        let (mut cluster, mut checker) = led();
        let state = HardState { current_term: Term(1), ..HardState::default() };
        let of = |hard_state| [Action::Persist(Write { ticket: Ticket(1), hard_state, log: None })];
        cluster.stepped(&mut checker, 1, &of(Some(state))).expect("it is new");
        refused(cluster.stepped(&mut checker, 1, &of(Some(state))), "writes what is written");
        refused(cluster.stepped(&mut checker, 1, &of(None)), "writes what is written");
        let two = [write(1, &[1]), write(2, &[1])];
        refused(cluster.stepped(&mut checker, 1, &two), "writes twice in one step");
    }
}
