//! The host of the simulator rests on the driver: what a driver does is done nowhere else.

use crate::sources::Source;

/// What only a driver, or the node in it, has to do with, and who does it there.
const DUTIES: &[(&str, &str)] = &[
    ("payload::bind", "a write is bound by `Batch::bind`"),
    ("payload::attach", "a message gets its payloads from `Tail` and `Lanes`"),
    (".step_all(", "a node is stepped by its driver"),
    ("Input::Message(Envelope", "a frame becomes an input in `Batch`"),
    ("Input::Propose", "a proposal becomes an input in `Batch`"),
    ("Input::Persisted", "a write that is durable is `Event::Written`"),
    ("Input::Snapshot", "the node hears of snapshots from `Desk`"),
    ("Input::Peer", "the node hears of peers from `Lanes`"),
    ("Input::Change", "a change waits in `Changes`"),
    ("Action::Accepted", "who has proposed waits in `Proposals`"),
    ("Action::Apply", "what is committed is handed out by `Effect::Apply`"),
    ("Action::ReadReady", "a read waits in `Reads`"),
    ("Action::InstallSnapshot", "an install waits at `Desk`"),
    ("snapshot_at(", "`Desk` says when a snapshot is taken, and of what"),
];

/// Who only looks at what a node is told and says, and who gives a copy of a node to somebody.
const WATCHERS: &[&str] = &["world::watch", "world::hostile"];

/// What a host does that its driver does.
pub(crate) fn duties(sources: &[Source]) -> Vec<String> {
    let hosts = sources.iter().filter(|source| {
        let is_in = |place: &str| {
            source.module == place || source.module.starts_with(&format!("{place}::"))
        };
        ["host", "world"].iter().any(|place| is_in(place)) && !WATCHERS.iter().any(|w| is_in(w))
    });
    let of = |source: &Source| {
        let code = source.code().split_whitespace().collect::<Vec<_>>().join(" ");
        let done = DUTIES.iter().filter(move |(word, _)| code.contains(word));
        let module = source.module.clone();
        done.map(move |(word, who)| format!("{module}: {word}: {who}")).collect::<Vec<_>>()
    };
    hosts.flat_map(of).collect()
}

#[test]
fn a_duty_of_the_driver_that_is_done_by_hand_is_seen() {
    let found = |module, text| duties(&[Source::new(module, text)]).len();
    assert_eq!(found("world::step", "let out = node.step_all(inputs, now, actions);"), 1);
    assert_eq!(found("host::disk", "use raft_core::payload::bind;"), 1);
    assert_eq!(found("world::watch::records", "Action::ReadReady { token, index } => {}"), 0);
    assert_eq!(found("world::apply", "// Action::Apply\n"), 0);
    assert_eq!(found("run::fuzz::node", "node.step_all(inputs, now, actions);"), 0);
}
