//! One node under any inputs: valid ones, stale ones, absurd ones, crashes in between. Whatever
//! comes, it does not panic, its invariants hold, nothing leaves before it may, and a refusal
//! changes nothing.

mod common;

use common::{Actions, S1, Setup, Solo, T, at, joint, says, voters};
use core::time::Duration;
use proptest::prelude::*;
use proptest::sample::Index;
use raft_core::{
    Action, AppendEntries, AppendOutcome, Echo, Entries, Envelope, Input, Instant, LogIndex,
    LogPosition, Membership, Message, Node, NodeId, Probe, Protection, Round, Run, Term, Ticket,
    Token, Verdict,
};
use std::collections::BTreeMap;

/// Far enough from the end of the clock's range to start a node there.
const LAST: Instant = Instant::from_nanos(u64::MAX / 2);

/// Something that happens to the node. Numbers are small and relative to what the node knows, or
/// every message would be stale or malformed.
#[derive(Clone, Debug)]
enum Event {
    /// The node wakes up this long after (or, if negative, before) its deadline.
    Wake {
        millis_late: i64,
    },
    Propose {
        count: u64,
    },
    Campaign,
    /// Some of the oldest writes are durable.
    Persist {
        count: Index,
    },
    /// A ticket that may be anything.
    Persisted {
        ticket: u64,
    },
    /// A peer asks or tells something of its own accord.
    Peer {
        from: u64,
        term: i64,
        words: Words,
    },
    /// A peer answers what this node has sent.
    Answer {
        to: Index,
        term: i64,
        verdict: Verdict,
        matches: bool,
        index: u64,
    },
    /// Something that was said before is said again.
    Again {
        nth: Index,
    },
    /// The process dies; the disk keeps one of the states that it may keep.
    Crash {
        state: Index,
    },
    /// The clock goes wrong.
    Clock {
        nanos: u64,
    },
}

#[derive(Clone, Debug)]
enum Words {
    PreVote {
        last: Place,
    },
    RequestVote {
        last: Place,
    },
    Append {
        prev: Place,
        runs: Vec<(u64, u64)>,
        commit: u64,
        probe: bool,
        lease: u64,
    },
    /// An answer that nobody asked for.
    Matched {
        index: u64,
        round: u64,
    },
    Mismatched {
        rejected: Place,
        spans: Vec<(u64, u64, u64)>,
    },
    StaleTerm,
}

/// A position: one of the node's own log, or any numbers.
#[derive(Clone, Debug)]
enum Place {
    Held { back: u64, term_off: i64 },
    Any { term: u64, index: u64 },
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0_u64..12,
        1 => prop::sample::select(
            vec![(1 << 62) - 1, 1 << 62, (1 << 62) + 1, u64::MAX - 1, u64::MAX]
        ),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    let term_off = prop_oneof![8 => Just(0_i64), 1 => -2_i64..3];
    prop_oneof![
        5 => (0_u64..5, term_off).prop_map(|(back, term_off)| Place::Held { back, term_off }),
        1 => (number(), number()).prop_map(|(term, index)| Place::Any { term, index }),
    ]
}

fn words() -> impl Strategy<Value = Words> {
    let runs = prop::collection::vec((0_u64..3, prop_oneof![9 => 0_u64..4, 1 => number()]), 0..4);
    let append = (place(), runs, number(), prop::bool::weighted(0.8), 0_u64..6).prop_map(
        |(prev, runs, commit, probe, lease)| Words::Append { prev, runs, commit, probe, lease },
    );
    let spans = prop::collection::vec((number(), number(), number()), 0..3);
    prop_oneof![
        6 => append,
        2 => place().prop_map(|last| Words::RequestVote { last }),
        2 => place().prop_map(|last| Words::PreVote { last }),
        1 => (number(), number()).prop_map(|(index, round)| Words::Matched { index, round }),
        1 => (place(), spans).prop_map(|(rejected, spans)| Words::Mismatched { rejected, spans }),
        1 => Just(Words::StaleTerm),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        5 => Just(Verdict::Granted),
        1 => Just(Verdict::StaleLog),
        1 => Just(Verdict::LeaderAlive),
        1 => Just(Verdict::StaleTerm),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let term = || prop_oneof![6 => Just(0_i64), 1 => -2_i64..3];
    prop_oneof![
        6 => prop_oneof![4 => Just(0_i64), 1 => -500_i64..3000]
            .prop_map(|millis_late| Event::Wake { millis_late }),
        3 => number().prop_map(|count| Event::Propose { count }),
        1 => Just(Event::Campaign),
        8 => any::<Index>().prop_map(|count| Event::Persist { count }),
        1 => number().prop_map(|ticket| Event::Persisted { ticket }),
        8 => (0_u64..8, term(), words())
            .prop_map(|(from, term, words)| Event::Peer { from, term, words }),
        12 => (any::<Index>(), term(), verdict(), prop::bool::weighted(0.8), 0_u64..4).prop_map(
            |(to, term, verdict, matches, index)| {
                Event::Answer { to, term, verdict, matches, index }
            }
        ),
        2 => any::<Index>().prop_map(|nth| Event::Again { nth }),
        1 => any::<Index>().prop_map(|state| Event::Crash { state }),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]
            .prop_map(|nanos| Event::Clock { nanos }),
    ]
}

fn setups() -> impl Strategy<Value = Setup> {
    let memberships = prop::sample::select(vec![
        voters(&[1, 2, 3]),
        voters(&[1, 2, 3, 4, 5]),
        voters(&[1]),
        joint(&[1, 2, 3], &[1, 4, 5], &[6]),
        joint(&[2, 3], &[], &[1]),
        Membership::empty(),
    ]);
    let protections =
        prop::sample::select(vec![Protection::Plain, Protection::PreVote, Protection::Full]);
    let log = prop::collection::vec(0_u64..2, 0..6);
    let compacted = prop_oneof![2 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (memberships, protections, log, compacted, any::<u64>()).prop_map(
        |(membership, protection, steps, compacted, seed)| {
            let mut term = 1;
            let terms: Vec<u64> = steps
                .iter()
                .map(|step| {
                    term += step;
                    term
                })
                .collect();
            let mut setup = Setup::of(membership).protection(protection).log(&terms).slow_disk();
            if let Some(at) = compacted.filter(|_| !terms.is_empty()) {
                let last = at.index(terms.len());
                let index = u64::try_from(last + 1).expect("short");
                setup = setup.snapshot(LogPosition::new(Term(terms[last]), LogIndex(index)));
            }
            setup.config(|config| {
                config.seed = seed;
                config.max_entries_per_message = 3;
                config.max_messages_in_flight = 2;
                config.max_uncommitted = 12;
            })
        },
    )
}

/// A node, and what an observer remembers of it.
struct Observed {
    solo: Solo,
    sent: Vec<Envelope>,
    heard: Vec<Input>,
    /// To whom the vote of each term went, over all lives.
    votes: BTreeMap<Term, NodeId>,
    applied: LogIndex,
}

impl Observed {
    fn new(setup: Setup) -> Self {
        let solo = setup.start();
        let applied = solo.status().last_applied;
        Self { solo, sent: Vec::new(), heard: Vec::new(), votes: BTreeMap::new(), applied }
    }

    fn live_through(&mut self, events: &[Event]) {
        for event in events {
            self.happen(event);
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Wake { millis_late } => {
                let due = self.solo.node.deadline().unwrap_or(self.solo.now);
                let late = Duration::from_millis(millis_late.unsigned_abs());
                self.solo.now = if *millis_late < 0 {
                    let nanos = u64::try_from(late.as_nanos()).expect("short");
                    Instant::from_nanos(self.solo.now.as_nanos().saturating_sub(nanos))
                } else {
                    self.solo.now.max(due).saturating_add(late).min(LAST)
                };
                self.input(Input::Wake);
            }
            Event::Propose { count } => {
                self.input(Input::Propose { token: Token(5), count: *count });
            }
            Event::Campaign => self.input(Input::Campaign),
            Event::Persist { count } => {
                let all = self.solo.disk.in_flight().len();
                if let Some(ticket) = self.solo.disk.complete(count.index(all + 1)) {
                    self.input(Input::Persisted { ticket });
                }
            }
            Event::Persisted { ticket } => self.input(Input::Persisted { ticket: Ticket(*ticket) }),
            Event::Peer { from, term, words } => {
                let message = self.say(words, self.term(*term));
                self.message(NodeId(*from), self.term(*term), message);
            }
            Event::Answer { to, term, verdict, matches, index } if !self.sent.is_empty() => {
                let asked = self.sent[to.index(self.sent.len())].clone();
                if let Some(message) = Self::answer(&asked, *verdict, *matches, *index) {
                    let term = Term(asked.term.get().saturating_add_signed(*term));
                    self.message(asked.to, term, message);
                }
            }
            Event::Again { nth } if !self.heard.is_empty() => {
                self.input(self.heard[nth.index(self.heard.len())].clone());
            }
            Event::Answer { .. } | Event::Again { .. } => {}
            Event::Crash { state } => self.crash(*state),
            Event::Clock { nanos } => {
                let before = self.solo.now;
                self.solo.now = Instant::from_nanos(*nanos);
                self.input(Input::Wake);
                // An honest clock does not jump for ever.
                self.solo.now = before;
            }
        }
    }

    /// A term near the node's own.
    fn term(&self, offset: i64) -> Term {
        Term(self.solo.term().saturating_add_signed(offset))
    }

    fn place(&self, place: &Place) -> LogPosition {
        match place {
            Place::Any { term, index } => at(*term, *index),
            Place::Held { back, term_off } => {
                let index = self.solo.status().last.index.get().saturating_sub(*back);
                let durable = self.solo.disk.durable();
                // As far as the disk knows the log; what is not written yet is of the last term.
                let kept = index.saturating_sub(durable.prev.index.get());
                let (head, _) = durable.entries.clone().split_at(kept);
                let term = if head.count() == kept {
                    head.last_position(durable.prev).term
                } else {
                    self.solo.status().last.term
                };
                at(term.get().saturating_add_signed(*term_off), index)
            }
        }
    }

    fn say(&self, words: &Words, term: Term) -> Message {
        match words {
            Words::PreVote { last } => says::pre_vote(self.place(last)),
            Words::RequestVote { last } => says::request_vote(self.place(last)),
            Words::Append { prev, runs, commit, probe, lease } => {
                let prev = self.place(prev);
                let entries: Entries = runs
                    .iter()
                    .map(|(back, count)| {
                        let term = Term(term.get().saturating_sub(*back));
                        match count {
                            3 => Run::Membership { term, membership: Box::new(voters(&[1, 2, 3])) },
                            count => Run::Commands { term, count: *count },
                        }
                    })
                    .collect();
                let probe = probe.then(|| Probe {
                    lease: T / 2 * u32::try_from(*lease).expect("small"),
                    ..says::probe(*commit)
                });
                Message::AppendEntries(AppendEntries {
                    prev,
                    entries,
                    commit: LogIndex(*commit),
                    probe,
                })
            }
            Words::Matched { index, round } => {
                let sent_at = Instant::from_nanos(*round);
                let echo = Echo { round: Round(*round), sent_at, promised: T };
                says::matched(*index, Some(echo))
            }
            Words::Mismatched { rejected, spans } => {
                says::mismatched(self.place(rejected), spans, None)
            }
            Words::StaleTerm => says::stale_term(),
        }
    }

    /// What a peer may answer.
    fn answer(asked: &Envelope, v: Verdict, matches: bool, index: u64) -> Option<Message> {
        match &asked.message {
            Message::PreVote(m) => Some(says::pre_vote_answer(m.round, v)),
            Message::RequestVote(_) => Some(says::vote(v)),
            Message::AppendEntries(m) if matches => {
                let match_index = m.last_position().index.get().saturating_sub(index / 2);
                Some(says::matched(match_index, says::echo(m)))
            }
            Message::AppendEntries(m) => {
                let last = m.prev.index.get().saturating_sub(index);
                let spans = [(m.prev.term.get(), last.max(1), last)];
                let spans = if last == 0 { &spans[..0] } else { &spans[..] };
                Some(says::mismatched(m.prev, spans, says::echo(m)))
            }
            _ => None,
        }
    }

    fn message(&mut self, from: NodeId, term: Term, message: Message) {
        self.input(Input::Message(Envelope { from, to: S1, term, message }));
    }

    fn input(&mut self, input: Input) {
        let mut before = self.solo.node.clone();
        let was = self.solo.status();
        let actions = self.solo.step(input.clone());
        let now = self.solo.status();
        assert!(was.term <= now.term && was.commit_index <= now.commit_index);
        assert_eq!(step_alone(before.clone(), input.clone(), self.solo.now), actions);

        if only_refused(&actions) {
            // The same but for the clock: a misrouted message moves nothing but that.
            let _ = before.step(misrouted(), self.solo.now);
            assert_eq!(before, self.solo.node, "{input:?} was refused and changed something");
        }
        for action in &actions.0 {
            self.observe(action, was.commit_index);
        }
        self.heard.push(input);
    }

    /// Nothing leaves that rests on what the disk does not hold.
    fn observe(&mut self, action: &Action, committed: LogIndex) {
        let durable = self.solo.disk.durable();
        let last = durable.entries.last_position(durable.prev);
        match action {
            Action::Send(envelope) => {
                assert_eq!(envelope.from, S1);
                assert_eq!(envelope.term, durable.hard_state.current_term);
                match &envelope.message {
                    Message::RequestVote(_) => {
                        assert_eq!(durable.hard_state.voted_for, Some(S1));
                    }
                    Message::RequestVoteResponse(m) if m.verdict == Verdict::Granted => {
                        assert_eq!(durable.hard_state.voted_for, Some(envelope.to));
                        let vote = *self.votes.entry(envelope.term).or_insert(envelope.to);
                        assert_eq!(vote, envelope.to, "one vote in a term");
                    }
                    Message::AppendEntriesResponse(m) => {
                        if let AppendOutcome::Matched { match_index } = m.outcome {
                            assert!(match_index <= last.index, "acknowledged before it is durable");
                        }
                        let promised = m.echo.map(|echo| echo.promised).unwrap_or_default();
                        assert!(promised <= durable.hard_state.promised);
                    }
                    _ => {}
                }
                self.sent.push(envelope.clone());
            }
            Action::Apply { first, through } => {
                assert_eq!(first.get(), self.applied.get() + 1, "in order, each once");
                assert!(first <= &through.index && through.index <= last.index);
                self.applied = through.index;
            }
            Action::Persist(write) => {
                if let Some(log) = &write.log {
                    assert!(log.first > committed, "what is committed is never written again");
                }
            }
            _ => {}
        }
    }

    fn crash(&mut self, state: Index) {
        let states = self.solo.disk.after_a_crash();
        let mut setup = Setup::of(Membership::empty());
        setup.config = self.solo.node.config().clone();
        setup.config.seed = setup.config.seed.wrapping_add(1);
        setup.recovered = state.get(&states).clone();
        setup.now = self.solo.now;
        self.solo = setup.slow_disk().start();
        self.applied = self.solo.status().last_applied;
    }
}

fn only_refused(actions: &Actions) -> bool {
    let refused = |a: &Action| matches!(a, Action::Ignored { .. } | Action::Rejected { .. });
    !actions.is_empty() && actions.0.iter().all(refused)
}

fn misrouted() -> Envelope {
    Envelope { from: S1, to: S1, term: Term(1), message: says::stale_term() }
}

/// `step`, which is `step_all` of one.
fn step_alone(mut node: Node, input: Input, now: Instant) -> Actions {
    Actions(node.step(input, now))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_node_is_sound_and_says_nothing_too_early(
        setup in setups(), events in prop::collection::vec(event(), 1..80),
    ) {
        let mut node = Observed::new(setup);
        node.live_through(&events);
    }

    #[test]
    fn inputs_in_one_call_are_as_safe_as_one_by_one(
        setup in setups(), events in prop::collection::vec(event(), 1..60), size in 2_usize..6,
    ) {
        // Inputs that were heard one by one come again, some at a time, to a node that starts anew.
        let mut observed = Observed::new(setup.clone());
        observed.live_through(&events);
        let mut node = setup.start();
        for batch in observed.heard.chunks(size) {
            let before = node.status();
            let actions = node.step_all(batch.iter().cloned());
            prop_assert!(actions.writes().len() <= 1, "one write for all");
            prop_assert!(before.term <= node.status().term);
            prop_assert!(before.commit_index <= node.status().commit_index);
            let count = node.disk.in_flight().len();
            let _ = node.persist_first(count / 2);
        }
    }
}

#[cfg(feature = "serde")]
proptest! {
    #[test]
    fn a_node_that_is_dumped_and_restored_has_the_same_future(
        setup in setups(), events in prop::collection::vec(event(), 1..60), at in any::<Index>(),
    ) {
        let mut node = Observed::new(setup);
        let (past, future) = events.split_at(at.index(events.len()));
        node.live_through(past);

        let dumped = serde_json::to_string(&node.solo.node).expect("everything it knows is data");
        let mut restored: Node = serde_json::from_str(&dumped).expect("and comes back");
        prop_assert_eq!(&restored, &node.solo.node);
        for event in future {
            let heard = node.heard.len();
            node.happen(event);
            if matches!(event, Event::Crash { .. }) {
                break;
            }
            for input in &node.heard[heard..] {
                // A clock that went wrong has come back since, and then counts as standing still.
                let now = match event {
                    Event::Clock { nanos } => Instant::from_nanos(*nanos),
                    _ => node.solo.now,
                };
                let _ = restored.step(input.clone(), now);
            }
            prop_assert_eq!(&restored, &node.solo.node);
        }
    }

    #[test]
    fn messages_survive_their_journey_as_data(
        setup in setups(), events in prop::collection::vec(event(), 1..40),
    ) {
        let mut node = Observed::new(setup);
        node.live_through(&events);
        for input in node.heard {
            let text = serde_json::to_string(&input).expect("an input is data");
            prop_assert_eq!(serde_json::from_str::<Input>(&text).expect("and comes back"), input);
        }
    }
}
