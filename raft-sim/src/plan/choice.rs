//! The one interface through which everything that may go one way or another is decided.
//!
//! Whoever answers drives the run: a seeded generator, a tape recorded earlier, or the bytes of a
//! fuzzer. In every question 0 is the default answer, so a tape that ends early ends in peace.
//!
//! A seed gives each kind of question a stream of answers of its own, by the name of the question:
//! what is asked of one kind moves no answer of another. So a new draw takes a new question, and
//! then it renumbers nothing.
//!
//! Long because every kind of question stands here with its name.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

macro_rules! questions {
    ($($(#[$doc:meta])* $question:ident = $name:literal,)*) => {
        /// What is being decided. It changes no answer; it makes tapes readable.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Question {
            $($(#[$doc])* $question,)*
        }

        impl Question {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$question,)*];

            /// The name, as tapes and scripts spell it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$question => $name,)*
                }
            }
        }
    };
}

questions! {
    /// The seed of one life of a node.
    NodeSeed = "node_seed",
    /// How far a node's clock is ahead of the simulated time in one life.
    ClockOffset = "clock_offset",
    /// How long a copy of a message is on its way.
    Delay = "delay",
    /// Whether a message is lost.
    Loss = "loss",
    /// Whether a message arrives twice.
    Duplicate = "duplicate",
    /// How long a sender takes to read the commands that a message names.
    BuildDelay = "build_delay",
    /// How long a host lets its inputs gather.
    Gathering = "gathering",
    /// How long a write takes.
    DiskLatency = "disk_latency",
    /// Whether the disk says of a write that it is done, or leaves that to the next one.
    JoinSync = "join_sync",
    /// How many writes survive a crash though they were not reported durable.
    WritesSurvive = "writes_survive",
    /// How much of the first write that did not survive whole is left.
    TornWrite = "torn_write",
    /// Which later write's hard state is left.
    LaterHardState = "later_hard_state",
    /// How many actions of a step are carried out before the crash.
    ActionsDone = "actions_done",
    /// Up to where a state machine was durable itself.
    DurableApplied = "durable_applied",
    /// How long a client thinks.
    Think = "think",
    /// What a client does next.
    Operation = "operation",
    /// On which key.
    Key = "key",
    /// Which node a client asks that knows of no leader.
    Target = "target",
    /// What a node under attack is given.
    Input = "input",
    /// Whether a snapshot is installed, and what is said of one that was sent.
    Snapshot = "snapshot",
    /// Which record of a disk is damaged, and which of its bits.
    Damage = "damage",
    /// What a hostile message is.
    Hostile = "hostile",
    /// Which message that cannot be.
    Nonsense = "nonsense",
    /// The sizes and times of a run whose setup is drawn.
    Setup = "setup",
    /// How nodes differ from one another in it.
    SetupNodes = "setup_nodes",
    /// Its limits.
    SetupLimits = "setup_limits",
    /// Its links.
    SetupLinks = "setup_links",
    /// Its disks.
    SetupDisk = "setup_disk",
    /// Its snapshots.
    SetupSnapshots = "setup_snapshots",
    /// Its clients.
    SetupClients = "setup_clients",
    /// Its clients that read at one node, whoever leads.
    SetupReaders = "setup_readers",
    /// Which kinds of faults a run may have.
    StormKinds = "storm_kinds",
    /// When there is a fault, and of which family.
    Storm = "storm",
    /// A fault of a process.
    StormProcess = "storm_process",
    /// A fault of a disk.
    StormDisk = "storm_disk",
    /// A fault of the network.
    StormNetwork = "storm_network",
    /// What is asked of a node.
    StormRequest = "storm_request",
    /// What a clock does.
    StormClock = "storm_clock",
    /// Which messages there are that nobody meant to send.
    StormHostile = "storm_hostile",
    /// Whether a disk loses what was durable, which, and what the operator does then.
    StormLoss = "storm_loss",
    /// How a run ends.
    End = "end",
    /// Which faults wait for their target, and when.
    StormAimed = "storm_aimed",
    /// Whether voters differ widely in T.
    SetupTimeouts = "setup_timeouts",
    /// Whether disks are about as slow as the time after which one hangs, and how slow.
    SetupSlowDisk = "setup_slow_disk",
    /// Which nodes start again with another T, or another protection.
    StormLives = "storm_lives",
    /// Which memberships are asked for close to one another and to transfers.
    StormMembers = "storm_members",
    /// Which clocks step back, seen by their nodes.
    StormBack = "storm_back",
    /// How long installations may take.
    SetupInstalls = "setup_installs",
    /// How long an installation takes.
    InstallTime = "install_time",
    /// Which minority stays broken at its end, and how.
    EndMinority = "end_minority",
    /// Whether hosts report late that writes are durable, and how late.
    SetupReports = "setup_reports",
    /// How long such a report waits.
    ReportDelay = "report_delay",
    /// Whether state machines apply late, and how late.
    SetupApplies = "setup_applies",
    /// How long entries wait to be applied.
    ApplyDelay = "apply_delay",
    /// Whether logs come with a past of hundreds of terms, and which.
    SetupPasts = "setup_pasts",
    /// Whether a leader is asked for more writes than it remembers, and when.
    StormFlood = "storm_flood",
    /// Which readers stay at a leader that is deposed, or in a half of a joint membership.
    StormStayers = "storm_stayers",
    /// Which clocks deceive their nodes: they go back unseen, or forward.
    StormDeceived = "storm_deceived",
    /// Which faults follow one another in time.
    StormSequences = "storm_sequences",
    /// Which limits the drivers have, and what they do when leadership is lost.
    SetupDriver = "setup_driver",
    /// Whether whoever asks a node loses patience there, and after how long.
    SetupPatience = "setup_patience",
    /// For which peers transports take no entries, and when.
    StormPauses = "storm_pauses",
    /// Who is given messages that cannot be, and when.
    StormLies = "storm_lies",
    /// Whether an entry is at hand, and when it is.
    Fetch = "fetch",
    /// Who is paused while leaders change, and finds the messages of both in one call.
    StormCalls = "storm_calls",
}

/// How many kinds of questions there are.
const KINDS: usize = Question::ALL.len();

impl Question {
    /// A number that only its name decides, wherever it stands in the list.
    const fn named_number(self) -> u64 {
        let name = self.name().as_bytes();
        let mut number = 0;
        let mut at = 0;
        while at < name.len() {
            number = scramble(number ^ name[at] as u64).wrapping_add(GOLDEN);
            at += 1;
        }
        number
    }

    /// The question with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|question| question.name() == name)
    }
}

/// A set of kinds of questions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Questions(u128);

impl Questions {
    /// Whether this kind is in it.
    pub const fn has(self, question: Question) -> bool {
        const { assert!(KINDS <= 128, "the set has a bit for each kind") };
        self.0 >> (question as u32) & 1 == 1
    }

    /// Those in it, in the order of [`Question::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Question> {
        Question::ALL.iter().copied().filter(move |question| self.has(*question))
    }
}

impl FromIterator<Question> for Questions {
    fn from_iter<I: IntoIterator<Item = Question>>(questions: I) -> Self {
        Self(questions.into_iter().fold(0, |set, question| set | 1 << (question as u32)))
    }
}

/// One question and its answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Choice {
    /// What was decided.
    pub question: Question,
    /// How, from 0 on.
    pub answer: u64,
}

/// The answers of a run that are not the default: to which question of its kind, from 1 on.
///
/// Counted by kind, because what is left out of a run then moves as few other answers as may be.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Answers(BTreeMap<(Question, u64), u64>);

impl Answers {
    /// What a tape says.
    pub fn of_tape(tape: &[Choice]) -> Self {
        let mut asked = BTreeMap::new();
        let mut answers = Self::default();
        for Choice { question, answer } in tape {
            answers.set((*question, count(&mut asked, *question)), *answer);
        }
        answers
    }

    /// Gives an answer to a question of a kind and its number; 0 takes one back.
    pub fn set(&mut self, numbered: (Question, u64), answer: u64) {
        if answer == 0 {
            self.0.remove(&numbered);
        } else {
            self.0.insert(numbered, answer);
        }
    }

    /// Each answer with its question, in the order of the kinds.
    pub fn iter(&self) -> impl Iterator<Item = ((Question, u64), u64)> {
        self.0.iter().map(|(numbered, answer)| (*numbered, *answer))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every answer is the default.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<((Question, u64), u64)> for Answers {
    fn from_iter<I: IntoIterator<Item = ((Question, u64), u64)>>(answers: I) -> Self {
        let mut all = Self::default();
        answers.into_iter().for_each(|(numbered, answer)| all.set(numbered, answer));
        all
    }
}

/// The how manieth question of its kind this is.
fn count(asked: &mut BTreeMap<Question, u64>, question: Question) -> u64 {
    let number = asked.entry(question).or_insert(0);
    *number += 1;
    *number
}

/// Answers every question of a run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Choices {
    source: Source,
    /// What was answered so far, if it is to be kept.
    tape: Option<Vec<Choice>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Source {
    Seeded(Streams),
    Tape(Tape),
    Script { answers: Answers, asked: BTreeMap<Question, u64> },
    Bytes { bytes: Vec<u8>, next: usize },
}

impl Choices {
    /// A generator answers: another seed, another run.
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Seeded(Streams::new(seed)), tape: None }
    }

    /// The same generator, but these kinds of questions get the default answer. What it says of
    /// others stays: so whatever a run had only by a draw is gone, and nothing else is renumbered.
    pub fn seeded_without(seed: u64, without: Questions) -> Self {
        let streams = Streams { without, ..Streams::new(seed) };
        Self { source: Source::Seeded(streams), tape: None }
    }

    /// A recorded list answers, kind by kind, and 0 where it has no more of a kind. An answer that
    /// a question does not allow counts as the greatest that it does, so that every tape is a run.
    pub fn replayed(choices: Vec<Choice>) -> Self {
        let tape = Tape { choices, given: 0, next: Box::new([0; KINDS]) };
        Self { source: Source::Tape(tape), tape: None }
    }

    /// These answers are given, and 0 to every other question.
    pub const fn scripted(answers: Answers) -> Self {
        Self { source: Source::Script { answers, asked: BTreeMap::new() }, tape: None }
    }

    /// The bytes of a fuzzer answer, and 0 after their end.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { source: Source::Bytes { bytes: bytes.to_vec(), next: 0 }, tape: None }
    }

    /// Keeps what is answered from now on, for [`tape`](Self::tape).
    #[must_use]
    pub fn recorded(self) -> Self {
        Self { tape: Some(Vec::new()), ..self }
    }

    /// Whether what is answered is kept.
    pub const fn is_recorded(&self) -> bool {
        self.tape.is_some()
    }

    /// What was answered since [`recorded`](Self::recorded); nothing without it.
    pub fn tape(&self) -> &[Choice] {
        self.tape.as_deref().unwrap_or_default()
    }

    /// Whether bytes have come to their end, or a tape has given each of its answers.
    pub const fn is_exhausted(&self) -> bool {
        match &self.source {
            Source::Seeded(_) | Source::Script { .. } => false,
            Source::Tape(tape) => tape.given >= tape.choices.len(),
            Source::Bytes { bytes, next } => *next >= bytes.len(),
        }
    }

    /// From here on, questions of this kind are about the `nth` of several things. With a seed, its
    /// answers do not depend on how much was asked about those before it.
    pub fn begin(&mut self, question: Question, nth: u64) {
        if let Source::Seeded(streams) = &mut self.source {
            streams.begin(question, nth);
        }
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, question: Question, bound: u64) -> u64 {
        assert!(bound > 0, "{question:?} has no answer");
        if bound == 1 {
            return 0;
        }
        let answer = match &mut self.source {
            Source::Seeded(streams) => streams.below(question, bound),
            Source::Tape(tape) => tape.next(question).min(bound - 1),
            Source::Script { answers, asked } => {
                let numbered = (question, count(asked, question));
                answers.0.get(&numbered).map_or(0, |answer| *answer).min(bound - 1)
            }
            Source::Bytes { bytes, next } => take(bytes, next, bound) % bound,
        };
        if let Some(tape) = &mut self.tape {
            tape.push(Choice { question, answer });
        }
        answer
    }

    /// A number in `range`, which is not empty; its start is the default.
    pub fn within(&mut self, question: Question, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.below(question, (high - low).saturating_add(1))
    }

    /// A duration from `min` to `max`, in nanoseconds.
    pub fn duration(&mut self, question: Question, min: Duration, max: Duration) -> Duration {
        Duration::from_nanos(self.within(question, nanos(min)..=nanos(max).max(nanos(min))))
    }

    /// Yes in `ppm` of a million cases. What is impossible or certain is not asked.
    pub fn chance(&mut self, question: Question, ppm: u32) -> bool {
        const MILLION: u64 = 1_000_000;
        match u64::from(ppm) {
            0 => false,
            MILLION.. => true,
            ppm => self.below(question, MILLION) >= MILLION - ppm,
        }
    }
}

/// A duration in nanoseconds. The setup's durations are far below the end of the range, which is
/// reached after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// As many bytes as `bound` needs, as a number; missing ones are 0.
fn take(bytes: &[u8], next: &mut usize, bound: u64) -> u64 {
    let mut number = 0_u64;
    let mut rest = bound - 1;
    while rest > 0 {
        number = number << 8 | u64::from(bytes.get(*next).copied().unwrap_or(0));
        *next += 1;
        rest >>= 8;
    }
    number
}

/// A list of answers that were given once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Tape {
    choices: Vec<Choice>,
    /// How many of them were given again.
    given: usize,
    /// Where in the list to look for the next answer of each kind.
    next: Box<[usize; KINDS]>,
}

impl Tape {
    /// The next answer of a kind; 0 if there is none.
    fn next(&mut self, question: Question) -> u64 {
        let from = &mut self.next[question as usize];
        let later = self.choices[*from..].iter();
        let found = later.zip(*from + 1..).find(|(choice, _)| choice.question == question);
        *from = found.map_or(self.choices.len(), |(_, after)| after);
        self.given += usize::from(found.is_some());
        found.map_or(0, |(choice, _)| choice.answer)
    }
}

/// For each kind of question a small generator of good quality: a Weyl sequence, scrambled. It need
/// not be secret.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Streams {
    seed: u64,
    states: Box<[u64; KINDS]>,
    /// These get the default answer.
    without: Questions,
}

/// The step of a Weyl sequence: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Streams {
    fn new(seed: u64) -> Self {
        let seed = scramble(seed);
        let mut states = Box::new([0; KINDS]);
        for (state, question) in states.iter_mut().zip(Question::ALL) {
            *state = scramble(seed ^ question.named_number());
        }
        Self { seed, states, without: Questions::default() }
    }

    fn begin(&mut self, question: Question, nth: u64) {
        let thing = scramble(nth.wrapping_add(GOLDEN));
        self.states[question as usize] = scramble(self.seed ^ question.named_number()) ^ thing;
    }

    fn below(&mut self, question: Question, bound: u64) -> u64 {
        if self.without.has(question) {
            return 0;
        }
        let state = &mut self.states[question as usize];
        *state = state.wrapping_add(GOLDEN);
        let wide = u128::from(scramble(*state)) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the upper half of a product is below its factor")
    }
}

/// A bijection after which near numbers are far apart (the finalizer of splitmix64).
const fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hash that depends on everything that was put in and on its order, and that is the same on
/// every platform, in every build and in every process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RollingHash(u64);

impl RollingHash {
    /// The hash of nothing.
    pub const fn new() -> Self {
        Self(0x6a09_e667_f3bc_c908)
    }

    /// Takes a value in.
    pub fn take(&mut self, value: &impl Hash) {
        value.hash(self);
    }

    /// The hash of everything taken in so far.
    pub const fn value(self) -> u64 {
        scramble(self.0)
    }
}

impl Default for RollingHash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for RollingHash {
    fn finish(&self) -> u64 {
        self.value()
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    // The defaults of these go through native byte order or the platform's word size.

    fn write_u8(&mut self, x: u8) {
        self.write_u64(u64::from(x));
    }

    fn write_u16(&mut self, x: u16) {
        self.write_u64(u64::from(x));
    }

    fn write_u32(&mut self, x: u32) {
        self.write_u64(u64::from(x));
    }

    fn write_u64(&mut self, x: u64) {
        // A bijection of the state for each word, and of the word for each state.
        self.0 = (self.0.rotate_left(23) ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    }

    fn write_usize(&mut self, x: usize) {
        self.write_u64(u64::try_from(x).unwrap_or(u64::MAX));
    }

    fn write_isize(&mut self, x: isize) {
        self.write_i64(i64::try_from(x).unwrap_or(i64::MAX));
    }

    fn write_i64(&mut self, x: i64) {
        self.write_u64(x.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::{Answers, Choice, Choices, Question, Questions, RollingHash};
    use std::collections::BTreeSet;

    fn answers(choices: &mut Choices) -> Vec<u64> {
        (1..200).map(|bound| choices.below(Question::Delay, bound * bound)).collect()
    }

    #[test]
    fn a_tape_repeats_what_a_generator_said() {
        let mut seeded = Choices::seeded(7).recorded();
        let said = answers(&mut seeded);
        assert_eq!(answers(&mut Choices::replayed(seeded.tape().to_vec())), said);
        assert_ne!(answers(&mut Choices::seeded(8)), said);
    }

    #[test]
    fn what_a_generator_does_without_gets_the_default_answer_and_all_else_is_as_it_was() {
        let without: Questions = [Question::Loss, Question::Fetch].into_iter().collect();
        assert_eq!(without.iter().collect::<Vec<_>>(), [Question::Loss, Question::Fetch]);
        let mut choices = Choices::seeded_without(7, without);
        choices.begin(Question::Loss, 3);
        assert_eq!([Question::Loss, Question::Fetch].map(|of| choices.below(of, 1 << 40)), [0, 0]);
        assert_eq!(answers(&mut choices), answers(&mut Choices::seeded(7)));
    }

    #[test]
    fn a_script_says_what_its_tape_said_and_the_default_elsewhere() {
        let mut seeded = Choices::seeded(7).recorded();
        let said = answers(&mut seeded);
        let script = Answers::of_tape(seeded.tape());
        assert_eq!(answers(&mut Choices::scripted(script.clone())), said);
        let mut other = Choices::scripted(script);
        assert_eq!(other.below(Question::Loss, 9), 0, "another kind moves nothing");
        assert_eq!(answers(&mut other), said);
        assert_eq!(other.below(Question::Delay, 9), 0, "the default after its end");
    }

    /// Answers of one kind, and before each of them so many questions of every other.
    fn among(others: u64, of: Question, mut choices: Choices) -> Vec<u64> {
        let mut said = Vec::new();
        for bound in 2..40 {
            for other in Question::ALL.iter().filter(|other| **other != of) {
                (0..others).for_each(|_| {
                    choices.below(*other, bound);
                });
            }
            said.push(choices.below(of, bound * bound));
        }
        said
    }

    #[test]
    fn questions_of_one_kind_move_no_answer_of_another() {
        let mut all = BTreeSet::new();
        for of in Question::ALL.iter().copied() {
            let said = among(0, of, Choices::seeded(7));
            assert_eq!(among(3, of, Choices::seeded(7)), said, "{of:?}");
            let tape = (2..40).zip(&said).flat_map(|(nth, answer)| {
                let other = Question::ALL.iter().copied().find(|other| *other != of);
                let noise = Choice { question: other.expect("there are several"), answer: nth };
                [noise, Choice { question: of, answer: *answer }]
            });
            assert_eq!(among(2, of, Choices::replayed(tape.collect())), said, "{of:?} of a tape");
            assert!(all.insert(said), "{of:?} has a stream of its own");
        }
    }

    #[test]
    fn what_is_asked_about_one_thing_moves_nothing_of_the_next() {
        let about = |questions: u64, nth: u64| {
            let mut choices = Choices::seeded(7);
            (0..questions).for_each(|_| {
                choices.below(Question::Delay, 9);
            });
            choices.begin(Question::Delay, nth);
            answers(&mut choices)
        };
        let each: BTreeSet<_> = (0..100).map(|nth| about(0, nth)).collect();
        assert_eq!(each.len(), 100);
        assert_eq!(about(5, 3), about(0, 3));
        assert!(
            !each.contains(&answers(&mut Choices::seeded(7))),
            "nor are they those of no thing"
        );
    }

    /// A question may move in the list, and others may be put before it.
    #[test]
    fn a_stream_depends_on_the_seed_and_the_name_alone() {
        let first = |of| Choices::seeded(1).below(of, 1 << 32);
        let found = [first(Question::NodeSeed), first(Question::Setup)];
        assert_eq!(found, [2_454_903_093, 3_728_351_358]);
    }

    #[test]
    fn questions_are_found_by_their_names() {
        assert!(Question::ALL.iter().all(|q| Question::named(q.name()) == Some(*q)));
        assert_eq!(Question::named("whatever"), None);
    }

    #[test]
    fn answers_lie_in_their_range_whoever_gives_them() {
        let wild = Choice { question: Question::Loss, answer: u64::MAX };
        let sources = [
            Choices::seeded(1),
            Choices::replayed(vec![wild; 50]),
            Choices::scripted(Answers::of_tape(&[wild; 50])),
            Choices::from_bytes(&[255; 90]),
        ];
        for mut choices in sources {
            for bound in 1..200 {
                assert!(choices.below(Question::Loss, bound) < bound);
                assert!((5..=bound + 5).contains(&choices.within(Question::Loss, 5..=bound + 5)));
            }
        }
    }

    #[test]
    fn what_is_over_answers_the_default() {
        let mut choices = Choices::from_bytes(&[9]);
        assert_eq!(choices.below(Question::Think, 100), 9);
        assert!(choices.is_exhausted());
        assert_eq!(choices.below(Question::Think, 1 << 40), 0);
        assert!(!choices.chance(Question::Loss, 999_999));
        assert!(choices.chance(Question::Loss, 1_000_000), "certain, so it is not asked");
    }

    #[test]
    fn a_chance_comes_as_often_as_it_says() {
        let mut choices = Choices::seeded(3);
        let hits = (0..100_000).filter(|_| choices.chance(Question::Loss, 250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits} of 100 000");
    }

    #[test]
    fn the_rolling_hash_depends_on_order_and_is_pinned() {
        let of = |values: &[u64]| {
            let mut hash = RollingHash::new();
            for value in values {
                hash.take(value);
            }
            hash.value()
        };
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[0]), of(&[0, 0]));
        let mut hash = RollingHash::new();
        hash.take(&(Some(Question::Loss), [1_u8, 2], "text", 3_usize, -4_isize));
        assert_eq!(hash.value(), 4_670_052_495_190_810_976);
    }
}
