//! The teller itself, on records that nobody has run.

use crate::line::Line;
use crate::teller::Teller;
use raft_core::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Config, Entries, Envelope, HardState,
    Instant, LogIndex, LogPosition, Membership, Message, NodeId, PreVote, PreVoteResponse,
    RequestVote, RequestVoteResponse, RoleKind, Round, Term, Verdict,
};
use raft_sim::plan::EntryKind;
use raft_sim::scenario::{LEVELS, Scenario};
use raft_sim::{Event, NodeState, Record, Sink};

const S1: NodeId = NodeId(1);
const S2: NodeId = NodeId(2);
const S3: NodeId = NodeId(3);

/// A run in the making; every state is changed by hand.
struct Run {
    teller: Teller,
    states: [NodeState; 3],
    now: u64,
}

impl Run {
    fn new(sentences: &[(u64, &str)], begins: u64) -> Self {
        let sentences = sentences.iter().map(|(at, text)| (ms(*at), (*text).to_owned())).collect();
        let state = NodeState {
            role: RoleKind::Follower,
            term: Term::ZERO,
            vote: None,
            leader: None,
            last: LogPosition::ZERO,
            commit: LogIndex::ZERO,
            applied: LogIndex::ZERO,
            durable_last: LogPosition::ZERO,
            durable: HardState::default(),
            lease_until: None,
        };
        let teller = Teller::new(sentences, ms(begins), ms(10_000));
        let mut run = Self { teller, states: [state; 3], now: 0 };
        for node in [S1, S2, S3] {
            let membership = Membership::of_voters([S1, S2, S3]).expect("three voters");
            let config = Box::new(Config::new(node, 1));
            run.tell(node, Event::Init { config, membership });
        }
        run
    }

    fn state(&mut self, node: NodeId) -> &mut NodeState {
        let nth = usize::try_from(node.get() - 1).expect("a small number");
        &mut self.states[nth]
    }

    fn tell(&mut self, node: NodeId, event: Event) {
        let state = Some(*self.state(node));
        let record = Record { time: ms(self.now), seq: 0, node: Some(node), event, state };
        self.teller.record(record);
    }

    /// Something is done to the cluster: any thing will do, the words come from elsewhere.
    fn fault(&mut self) {
        let scenario = Scenario::named("symmetric-partition").expect("a scenario of our own");
        let (_, fault) = scenario.setup(LEVELS[0]).timeline[0].clone();
        let event = Event::Fault { fault };
        self.teller.record(Record { time: ms(self.now), seq: 0, node: None, event, state: None });
    }

    fn recv(&mut self, to: NodeId, from: NodeId, term: u64, message: Message) {
        self.tell(to, Event::Recv { message: Envelope { from, to, term: Term(term), message } });
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let term = self.state(from).term;
        let message = Envelope { from, to, term, message };
        self.tell(from, Event::Send { message, obligation: None });
    }

    fn stand(&mut self, node: NodeId, term: u64) {
        let state = self.state(node);
        (state.role, state.term, state.vote) = (RoleKind::Candidate, Term(term), Some(node));
        self.tell(node, Event::BecomeCandidate);
    }

    fn lead(&mut self, node: NodeId, term: u64, last: LogPosition) {
        (self.state(node).role, self.state(node).term) = (RoleKind::Leader, Term(term));
        self.tell(node, Event::BecomeLeader);
        let first = at(term, last.index.get() + 1);
        self.state(node).last = first;
        self.tell(node, Event::Append { first, count: 1, kind: EntryKind::Membership });
    }

    fn commit(&mut self, node: NodeId, commit: u64) {
        let before = std::mem::replace(&mut self.state(node).commit, LogIndex(commit));
        self.tell(node, Event::Commit { before, commit: LogIndex(commit) });
    }

    /// The lines between the first and those of the end.
    fn story(self) -> Vec<String> {
        let lines = self.teller.finish();
        let shown =
            lines.iter().filter(|line| line.time != Instant::ZERO && line.time != ms(10_000));
        shown.map(said).collect()
    }
}

fn said(line: &Line) -> String {
    format!("{} {} {}", line.time.as_nanos() / 1_000_000, line.who(), line.whole_text())
}

const fn ms(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term(term), LogIndex(index))
}

fn heartbeat() -> Message {
    let (prev, entries) = (LogPosition::ZERO, Entries::default());
    Message::AppendEntries(AppendEntries { prev, entries, commit: LogIndex::ZERO, probe: None })
}

fn request(last: LogPosition) -> Message {
    Message::RequestVote(RequestVote { last, permit: None })
}

fn vote(verdict: Verdict) -> Message {
    Message::RequestVoteResponse(RequestVoteResponse { verdict, last: LogPosition::ZERO })
}

fn response(outcome: AppendOutcome) -> Message {
    Message::AppendEntriesResponse(AppendEntriesResponse { outcome, echo: None, seen: None })
}

#[test]
fn an_election_is_told_in_the_words_of_the_paper() {
    let mut run = Run::new(&[], 0);
    run.now = 700;
    run.stand(S2, 1);
    run.send(S2, S1, request(LogPosition::ZERO));
    run.send(S2, S3, request(LogPosition::ZERO));
    run.now = 710;
    run.recv(S1, S2, 1, request(LogPosition::ZERO));
    (run.state(S1).term, run.state(S1).vote) = (Term(1), Some(S2));
    run.send(S1, S2, vote(Verdict::Granted));
    run.now = 720;
    run.recv(S2, S1, 1, vote(Verdict::Granted));
    run.lead(S2, 1, LogPosition::ZERO);
    run.send(S2, S1, heartbeat());
    run.send(S2, S3, heartbeat());
    run.now = 730;
    run.state(S1).leader = Some(S2);
    run.tell(S1, Event::LearnLeader { leader: S2 });
    run.now = 740;
    run.commit(S2, 1);
    let story = [
        "700 S2 timeout (700 ms): candidate of term 1, votes for itself, asks S1 S3",
        "710 S1 votes for S2 in term 1",
        "720 S2 votes of S1 S2: leader of term 1, appends 1/1, sends it to S1 S3",
        "730 S1 follows S2, leader of term 1",
        "740 S2 commits 1/1, its first entry of this term",
    ];
    assert_eq!(run.story(), story);
}

#[test]
fn a_timeout_counts_from_the_last_reset() {
    let mut run = Run::new(&[], 0);
    run.now = 100;
    run.recv(S1, S2, 1, heartbeat());
    (run.state(S1).term, run.state(S1).leader) = (Term(1), Some(S2));
    run.tell(S1, Event::LearnLeader { leader: S2 });
    run.now = 200;
    run.recv(S1, S2, 1, heartbeat());
    // Neither what comes of an earlier term, nor what is refused, resets it.
    run.now = 300;
    run.recv(S1, S3, 0, heartbeat());
    let question = PreVote { round: Round(7), last: LogPosition::ZERO };
    run.recv(S1, S3, 0, Message::PreVote(question));
    let verdict = Verdict::LeaderAlive;
    let refusal = PreVoteResponse { round: Round(7), verdict, last: LogPosition::ZERO };
    run.send(S1, S3, Message::PreVoteResponse(refusal));
    run.now = 900;
    run.stand(S1, 2);
    // Its own round does.
    run.now = 1500;
    run.stand(S1, 3);
    let story = [
        "100 S1 follows S2, leader of term 1",
        "300 S1 refuses a pre-vote to S3: it hears the leader S2",
        "900 S1 timeout (700 ms): candidate of term 2, votes for itself",
        "1500 S1 timeout (600 ms): candidate of term 3, votes for itself",
    ];
    assert_eq!(run.story(), story);
}

#[test]
fn a_refusal_is_told_once_with_the_term_and_both_logs() {
    let mut run = Run::new(&[], 0);
    run.state(S3).last = at(2, 21);
    run.now = 400;
    run.recv(S3, S1, 3, request(at(1, 20)));
    run.state(S3).term = Term(3);
    run.tell(S3, Event::Recv { message: envelope(S2, S3, 0, heartbeat()) });
    for now in [402, 450] {
        run.now = now;
        run.send(S3, S1, vote(Verdict::StaleLog));
    }
    run.send(S3, S2, response(AppendOutcome::StaleTerm));
    let story = [
        "402 S3 moves to term 3, refuses a vote to S1: older log, 1/20 (its own: 2/21)",
        "450 S3 refuses S2 as leader of term 0: stays follower in term 3",
    ];
    assert_eq!(run.story(), story);
}

fn envelope(from: NodeId, to: NodeId, term: u64, message: Message) -> Envelope {
    Envelope { from, to, term: Term(term), message }
}

#[test]
fn commits_are_told_together_when_something_is_done_to_the_cluster() {
    let mut run = Run::new(&[(500, "isolate S2"), (900, "crash S1")], 0);
    for commit in 1..=30 {
        run.now = 100 + commit;
        run.commit(S1, commit);
        run.commit(S2, commit.min(28));
    }
    run.now = 500;
    run.fault();
    run.now = 900;
    run.fault();
    let lost = raft_sim::plan::Lost::default();
    let (time, node, event) = (ms(900), Some(S1), Event::Crash { lost });
    run.teller.record(Record { time, seq: 0, node, event, state: None });
    assert_eq!(
        run.story(),
        ["500 ── committed so far: S1 30, S2 28", "500 ── isolate S2", "900 ── crash S1"]
    );
}

#[test]
fn an_entry_of_an_earlier_term_on_a_majority_is_told_if_it_stays_uncommitted() {
    for (committed_at, is_told) in [(210, false), (900, true)] {
        let mut run = Run::new(&[], 0);
        (run.state(S1).last, run.state(S1).durable_last) = (at(2, 5), at(2, 5));
        run.now = 190;
        run.lead(S1, 4, at(2, 5));
        run.now = 200;
        let matched = AppendOutcome::Matched { match_index: LogIndex(5) };
        run.recv(S1, S3, 4, response(matched));
        run.now = committed_at;
        run.commit(S1, 6);
        let story = run.story();
        let seen = "200 S1 sees 2/5 on a majority, S1 S3: not committed, it is of an earlier term";
        assert_eq!(story.iter().any(|line| line == seen), is_told, "{story:?}");
        let last =
            format!("{committed_at} S1 commits 1 to 6 with 4/6, its first entry of this term");
        assert_eq!(story.last(), Some(&last));
    }
}

#[test]
fn what_comes_before_the_scenario_proper_is_told_in_short() {
    let mut run = Run::new(&[(0, "campaign S1")], 2000);
    run.fault();
    run.stand(S1, 1);
    run.now = 10;
    run.lead(S1, 1, LogPosition::ZERO);
    run.now = 2000;
    run.commit(S1, 1);
    let lines = run.teller.finish();
    let story: Vec<String> = lines.iter().take(5).map(said).collect();
    let expected = [
        "0 S1..S3 start: follower in term 0, empty log; voters S1 S2 S3",
        "0 ── campaign S1",
        "2000 S1 so far: leader in term 1, log up to 1/1, committed 0, applied 0",
        "2000 S2 S3 so far: follower in term 0, empty log, committed 0, applied 0",
        "2000 S1 commits 1/1, its first entry of this term",
    ];
    assert_eq!(story, expected);
}
