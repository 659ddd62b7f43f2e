//! Which lines of which stories show the rules of the notes.

/// A rule, and where it is seen.
pub(crate) struct Claim {
    /// N1 to N16.
    pub(crate) rule: u8,
    /// The scenario, and its protection level.
    pub(crate) story: (&'static str, &'static str),
    /// What is seen.
    pub(crate) says: &'static str,
    /// The lines to look for, in this order: the nodes, and a part of the text, or several with `…`
    /// between.
    pub(crate) lines: &'static [(&'static str, &'static str)],
    /// What no line says after the first of those.
    pub(crate) never: &'static [(&'static str, &'static str)],
    /// Whether it takes a lucky seed to see it; the others are seen at any.
    pub(crate) is_by_chance: bool,
}

const fn claim(
    rule: u8,
    story: (&'static str, &'static str),
    says: &'static str,
    lines: &'static [(&'static str, &'static str)],
) -> Claim {
    Claim { rule, story, says, lines, never: &[], is_by_chance: false }
}

impl Claim {
    const fn but_never(self, never: &'static [(&'static str, &'static str)]) -> Self {
        Self { never, ..self }
    }

    const fn by_chance(self) -> Self {
        Self { is_by_chance: true, ..self }
    }
}

/// The cluster, where a line is about no node.
const CLUSTER: &str = "──";

/// Any one node.
pub(crate) const ANY: &str = "?";

pub(crate) const CLAIMS: &[Claim] = &[
    claim(
        1,
        ("cold-start", "plain"),
        "all start as followers; silence for T to 2T makes a candidate",
        &[("S1..S3", "start: follower"), (ANY, "timeout (")],
    ),
    claim(
        1,
        ("cold-start", "full"),
        "all start as followers; silence for T to 2T makes a pre-candidate, pre-votes a candidate",
        &[("S1..S3", "start: follower"), (ANY, "timeout ("), (ANY, "candidate of")],
    ),
    claim(
        2,
        ("cold-start", "plain"),
        "the votes given and the leader's heartbeats reset the others' timers: none runs out again",
        &[(ANY, "votes for S"), (ANY, "votes for S"), (CLUSTER, "no election timeout")],
    )
    .but_never(&[(ANY, "timeout (")])
    .by_chance(),
    claim(
        2,
        ("asymmetric-partition", "plain"),
        "a later term resets S3's timer, even with a vote refused; it runs out T to 2T after that",
        &[("S3", "moves to term 5, refuses"), ("S3", "timeout (")],
    )
    .by_chance(),
    claim(
        2,
        ("rejoin-with-higher-term", "full"),
        "stepping down resets S1's timer; the pre-vote requests that it refuses do not",
        &[
            ("S1", "steps down from leader"),
            ("S1", "refuses a pre-vote"),
            ("S1", "refuses a pre-vote"),
            ("S1", "timeout ("),
        ],
    )
    .by_chance(),
    claim(
        3,
        ("cold-start", "plain"),
        "a new leader sends at once; the others follow it and hold no elections",
        &[
            (ANY, "sends it to"),
            (ANY, "follows"),
            (ANY, "follows"),
            (CLUSTER, "no election timeout"),
        ],
    )
    .but_never(&[(ANY, "candidate of")]),
    claim(
        4,
        ("symmetric-partition", "plain"),
        "each timeout is drawn anew, from T to 2T",
        &[("S2", "timeout ("), ("S2", "timeout ("), ("S2", "timeout (")],
    ),
    claim(
        4,
        ("split-vote", "plain"),
        "the timers differ: S1's runs out first, and S1 wins before the others' do",
        &[(ANY, "timeout ("), (ANY, "leader of term…appends")],
    ),
    claim(
        5,
        ("cold-start", "full"),
        "a candidate asks the voters that it was given at the start",
        &[("S1..S3", "voters S1 S2 S3"), (ANY, "asks S")],
    ),
    claim(
        5,
        ("removed-leader", "full"),
        "after a change of the membership it asks the voters that remain",
        &[("S1", "appends a membership: voters S2 S3"), ("S3", "votes for itself, asks S2")],
    )
    .but_never(&[("S3", "asks S1")]),
    claim(
        6,
        ("cold-start", "full"),
        "the first term is 0; the first election is for term 1",
        &[("S1..S3", "in term 0"), (ANY, "candidate of term 1,")],
    ),
    claim(
        7,
        ("symmetric-partition", "plain"),
        "cut off, S2 is in higher terms than the leader; the next leader's is above all of them",
        &[("S2", "candidate of term 8"), ("S1", "leader of term")],
    ),
    claim(
        7,
        ("rejoin-with-higher-term", "full"),
        "S3 has a higher term than the leader; the next leader's term is above both",
        &[("S1", "leader in term 1"), ("S3", "in term 50"), ("S1", "leader of term 51")],
    ),
    claim(
        8,
        ("pre-term-recovery", "full"),
        "entry 3/2 is on a majority, yet reads wait until an entry of the leader's term commits",
        &[
            ("S5", "sees 3/2 on a majority"),
            (CLUSTER, "a client asks for a read"),
            ("S5", "its first entry of this term"),
            (CLUSTER, "the client has its answer"),
        ],
    ),
    claim(
        8,
        ("figure-8", "full"),
        "2/2 is on S1 S2 S3 while S1 leads; it was not committed, and S5 may replace it",
        &[
            ("S1..S3", "log up to 2/2"),
            ("S1", "leader of term 4"),
            ("S2", "replaces entries from 2 on"),
            ("S3", "replaces entries from 2 on"),
        ],
    )
    .but_never(&[("S1", "commits")]),
    claim(
        9,
        ("no-client-writes", "full"),
        "nobody writes; the leader's own first entry commits the earlier ones, and all are applied",
        &[
            ("S1..S3", "log up to 1/5"),
            ("S1", "appends 2/6"),
            ("S1", "commits 1 to 6 with 2/6"),
            ("S1", "applied 6"),
            ("S2 S3", "applied 6"),
        ],
    ),
    claim(
        10,
        ("cold-start", "plain"),
        "a candidate raises its term by one, and wins",
        &[(ANY, "candidate of term 1,"), (ANY, "leader of term 1, appends")],
    ),
    claim(
        10,
        ("split-vote", "plain"),
        "a candidate whose time runs out without a winner tries the next term",
        &[(ANY, "candidate of term 1,"), (ANY, "timeout ("), (ANY, "leader of term…appends")],
    ),
    claim(
        10,
        ("flapping-link", "plain"),
        "a candidate gives up when another wins",
        &[
            ("S2", "candidate of term 3"),
            ("S1", "leader of term…appends"),
            ("S2", "steps down from candidate…follows"),
        ],
    )
    .by_chance(),
    claim(
        11,
        ("split-vote", "plain"),
        "one vote a term: who has voted, for itself here, refuses every other",
        &[
            ("S2", "refuses a vote to S1 in term 1: it has voted for S2"),
            ("S3", "refuses a vote to S1 in term 1: it has voted for S3"),
            ("S1", "refuses a vote to S2 in term 1: it has voted for S1"),
        ],
    )
    .but_never(&[("S1", "in term 1, asks"), ("S2", "votes for S1 in term 1")]),
    claim(
        12,
        ("figure-8", "full"),
        "S5 refuses S1: 3/2 is newer than 2/2, the later term decides",
        &[("S5", "refuses a vote to S1: older log, 2/2 (its own: 3/2)")],
    )
    .but_never(&[("S5", "votes for S1")]),
    claim(
        12,
        ("asymmetric-partition-busy", "pre-vote"),
        "of one term the longer log is newer: S3 refuses S2, whose log is shorter",
        &[("S3", "refuses a pre-vote to S2: older log"), ("S3", "older log"), ("S3", "older log")],
    )
    .but_never(&[("S3", "grants"), ("S3", "votes for"), ("S1", "steps down")]),
    claim(
        13,
        ("symmetric-partition", "plain"),
        "S2's term grows while it is cut off, and after the heal it deposes S1",
        &[
            (CLUSTER, "isolate S2"),
            ("S2", "candidate of term 2"),
            ("S2", "candidate of term 6"),
            (CLUSTER, "heal all"),
            ("S1", "steps down from leader in term 1"),
        ],
    ),
    claim(
        13,
        ("symmetric-partition", "pre-vote"),
        "S2 asks first, and nobody answers: its term stays, and S1 leads on after the heal",
        QUIET_RETURN,
    )
    .but_never(NO_ELECTION),
    claim(
        13,
        ("symmetric-partition", "full"),
        "S2 asks first, and nobody answers: its term stays, and S1 leads on after the heal",
        QUIET_RETURN,
    )
    .but_never(NO_ELECTION),
    claim(
        14,
        ("asymmetric-partition", "plain"),
        "S3, who hears S1, votes for S2 all the same: S1 is deposed, and deposes S2 in turn",
        &[
            (CLUSTER, "cut S1 <-> S2"),
            ("S3", "votes for S2 in term 2"),
            ("S1", "steps down from leader in term 1"),
            ("S2", "steps down from leader in term 2"),
        ],
    ),
    claim(
        14,
        ("asymmetric-partition", "pre-vote"),
        "pre-vote alone does not help: S3, who hears S1, grants S2 a pre-vote, and S1 is deposed",
        &[
            (CLUSTER, "cut S1 <-> S2"),
            ("S3", "grants a pre-vote to S2"),
            ("S3", "votes for S2 in term 2"),
            ("S1", "steps down from leader in term 1"),
        ],
    ),
    claim(
        14,
        ("asymmetric-partition", "full"),
        "S3 heard S1 within T and refuses S2: S1 leads on",
        &[
            (CLUSTER, "cut S1 <-> S2"),
            ("S3", "refuses a pre-vote to S2: it hears the leader S1"),
            ("S1", "end: leader in term 1"),
        ],
    )
    .but_never(NO_ELECTION),
    claim(
        14,
        ("asymmetric-partition-one-way", "full"),
        "the leader itself refuses by the same rule, while a quorum answers it",
        &[
            (CLUSTER, "cut S1 -> S2"),
            ("S1", "refuses a pre-vote to S2: it leads, and a quorum answers"),
            ("S3", "refuses a pre-vote to S2: it hears the leader S1"),
            ("S1", "end: leader in term 1"),
        ],
    )
    .but_never(NO_ELECTION),
    claim(
        15,
        ("flapping-link", "plain"),
        "a candidate that hears a leader of its own term follows it",
        &[
            ("S2", "candidate of term 3"),
            ("S2", "steps down from candidate in term 3: follows S1, leader of term 3"),
        ],
    )
    .by_chance(),
    claim(
        15,
        ("rejoin-with-higher-term", "plain"),
        "a candidate that hears a leader of an earlier term refuses it, and stays a candidate",
        &[("S3", "refuses S1 as leader of term 1: stays candidate in term")],
    )
    .by_chance(),
    claim(
        15,
        ("rejoin-with-higher-term", "full"),
        "a pre-candidate likewise refuses a leader of an earlier term",
        &[("S3", "refuses S1 as leader of term 1: stays pre-candidate in term 50")],
    ),
    claim(
        16,
        ("split-vote", "plain"),
        SPLIT,
        &[
            ("S1", "candidate of term 1"),
            ("S2", "candidate of term 1"),
            ("S3", "candidate of term 1"),
            (ANY, "leader of term…appends"),
        ],
    )
    .but_never(NO_WINNER),
    claim(
        16,
        ("split-vote", "full"),
        SPLIT,
        &[
            ("S1", "candidate of term 1"),
            ("S2", "candidate of term 1"),
            ("S3", "candidate of term 1"),
            (ANY, "leader of term…appends"),
        ],
    )
    .but_never(NO_WINNER),
];

const QUIET_RETURN: &[(&str, &str)] = &[
    (CLUSTER, "isolate S2"),
    ("S2", "pre-candidate in term 1"),
    (CLUSTER, "heal all"),
    ("S2", "follows S1, leader of term 1"),
    ("S1", "end: leader in term 1"),
];

const NO_ELECTION: &[(&str, &str)] =
    &[("S1", "candidate of"), ("S2", "candidate of"), ("S3", "candidate of"), ("S1", "steps down")];

const SPLIT: &str = "three candidates of term 1: nobody wins it; the next term has a winner";

const NO_WINNER: &[(&str, &str)] = &[(ANY, "leader of term 1,")];
