//! From a [`Setup`] to the text of a scenario file, which is read back as the same setup.

use crate::plan::act::any::Act;
use crate::plan::choice::{Answers, Question};
use crate::plan::limits::Limits;
use crate::plan::profile::{
    ClientSetup, DiskProfile, DriverProfile, LagProfile, LinkProfile, SnapshotProfile,
};
use crate::plan::setup::{NodeSetup, Setup};
use crate::plan::text::{escaped, group, instant, level_name, moment, quoted, span, time};
use crate::scenario::model::Script;
use raft_core::{HardState, Instant, Membership, NodeId, Run};
use std::fmt::{Arguments, Display, Write as _};
use std::time::Duration;

/// What a file says to people.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Words<'a> {
    /// Comment lines at the top.
    pub comment: &'a str,
    /// [`Scenario::title`](super::Scenario::title).
    pub title: &'a str,
    /// [`Scenario::story`](super::Scenario::story).
    pub story: &'a str,
    /// [`Scenario::broke`](super::Scenario::broke).
    pub broke: Option<&'a str>,
}

/// A setup for which the format has no words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the format of scenarios has no words for {0}")]
pub struct Unwritable(&'static str);

/// Writes a run as a scenario file. Only what differs from the defaults is stated.
///
/// # Errors
///
/// A setup for which the format has no words. Those that are [drawn](crate::run::draw_setup) can
/// all be written.
pub fn write(
    words: Words<'_>,
    setup: &Setup,
    script: &Script,
    converges: bool,
) -> Result<String, Unwritable> {
    // Whoever adds a field is to find it words.
    let Setup {
        membership,
        nodes,
        protection,
        election_timeout,
        heartbeat_interval,
        clock_offset,
        gathering,
        build_delay,
        link,
        links,
        disk,
        limits,
        snapshots,
        lag,
        driver,
        clients,
        strict_leases,
        duration,
        timeline,
    } = setup;
    let mut text = File(String::new());
    text.head(words);
    text.table("cluster");
    let members = text.members(membership, nodes)?;
    text.key("election_timeout", quoted(time(*election_timeout)));
    text.unless(*heartbeat_interval == *election_timeout / 10, "heartbeat_interval", || {
        quoted(time(*heartbeat_interval))
    });
    for (name, value) in
        [("clock_offset", clock_offset), ("gathering", gathering), ("build_delay", build_delay)]
    {
        text.unless(value.is_zero(), name, || quoted(time(*value)));
    }
    for node in nodes {
        text.node(node, members)?;
    }
    text.links(link, links);
    text.disk(disk);
    text.limits(limits);
    text.snapshots(snapshots);
    text.lag(lag);
    text.driver(driver);
    for client in clients {
        text.client(client);
    }
    text.table("run");
    text.key("duration", quoted(time(*duration)));
    text.unless(!strict_leases, "strict_leases", || "true");
    text.key("protection", format!("[{}]", quoted(level_name(*protection))));
    text.unless(!converges, "converges", || "true");
    if let Some(broke) = words.broke {
        text.key("broke", quoted(broke));
    }
    text.script(script);
    text.timeline(timeline);
    Ok(text.0)
}

/// A text in the making.
struct File(String);

impl File {
    fn line(&mut self, words: Arguments<'_>) {
        writeln!(self.0, "{words}").expect("a string takes everything");
    }

    fn table(&mut self, name: &str) {
        self.line(format_args!("\n[{name}]"));
    }

    fn key(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name} = {value}"));
    }

    fn unless<T: Display>(&mut self, default: bool, name: &str, value: impl FnOnce() -> T) {
        if !default {
            self.key(name, value());
        }
    }

    fn head(&mut self, words: Words<'_>) {
        for line in words.comment.lines() {
            self.line(format_args!("{}", format!("# {line}").trim_end()));
        }
        self.key("title", quoted(words.title));
        self.line(format_args!("story = \"\"\""));
        for line in words.story.lines() {
            self.line(format_args!("{}", escaped(line)));
        }
        self.line(format_args!("\"\"\""));
    }

    /// The sizes of the cluster; how many belong to it at the start.
    fn members(&mut self, membership: &Membership, nodes: &[NodeSetup]) -> Result<u64, Unwritable> {
        let count = |slice: &[NodeId]| u64::try_from(slice.len()).expect("a few nodes");
        let (voters, learners) = (count(membership.voters()), count(membership.learners()));
        let members = voters + learners;
        let in_order = (1..).zip(nodes).all(|(id, node)| node.id == NodeId(id));
        let is_plain = membership.voters().iter().copied().eq((1..=voters).map(NodeId))
            && membership.learners().iter().copied().eq((voters + 1..=members).map(NodeId))
            && !membership.is_joint();
        let total = u64::try_from(nodes.len()).expect("a few nodes");
        if !in_order || !is_plain || voters == 0 || members > total {
            return Err(Unwritable("these ids, or this membership"));
        }
        self.key("voters", voters);
        self.unless(learners == 0, "learners", || learners);
        self.unless(total == members, "spare", || total - members);
        Ok(members)
    }

    fn node(&mut self, node: &NodeSetup, members: u64) -> Result<(), Unwritable> {
        let NodeSetup {
            id,
            election_timeout,
            heartbeat_interval,
            protection,
            membership,
            hard_state,
            entries,
            starts,
        } = node;
        let is_spare = id.get() > members;
        if is_spare && membership.is_none() {
            return Err(Unwritable("a node more that starts with the membership of the others"));
        }
        let membership = membership.as_ref().filter(|given| !is_spare || !given.is_empty());
        if *node == (NodeSetup { membership: node.membership.clone(), ..NodeSetup::new(*id) })
            && membership.is_none()
        {
            return Ok(());
        }
        self.line(format_args!("\n[[node]]"));
        self.key("id", quoted(format!("{id:?}")));
        if let Some(membership) = membership {
            self.key("membership", quoted(self::membership(membership)?));
        }
        for (name, value) in
            [("election_timeout", election_timeout), ("heartbeat_interval", heartbeat_interval)]
        {
            if let Some(value) = value {
                self.key(name, quoted(time(*value)));
            }
        }
        if let Some(protection) = protection {
            self.key("protection", quoted(level_name(*protection)));
        }
        let HardState { current_term, voted_for, promised } = *hard_state;
        self.unless(current_term == node.last().term, "term", || current_term);
        if let Some(candidate) = voted_for {
            self.key("voted_for", quoted(format!("{candidate:?}")));
        }
        self.unless(promised.is_zero(), "promised", || quoted(time(promised)));
        let mut log = Vec::new();
        for run in entries.runs() {
            match run {
                Run::Commands { term, count } => {
                    log.push(quoted(format!("{count} of term {term}")));
                }
                Run::Membership { .. } => return Err(Unwritable("a log that holds a membership")),
            }
        }
        self.unless(log.is_empty(), "log", || format!("[{}]", log.join(", ")));
        self.unless(*starts, "starts", || "false");
        Ok(())
    }

    fn links(
        &mut self,
        link: &LinkProfile,
        links: &std::collections::BTreeMap<(NodeId, NodeId), LinkProfile>,
    ) {
        if *link == LinkProfile::default() && links.is_empty() {
            return;
        }
        self.table("link");
        for (name, value) in link.keys() {
            self.key(name, value);
        }
        if links.is_empty() {
            return;
        }
        self.line(format_args!("except = ["));
        for ((from, to), link) in links {
            let links = quoted(format!("{from:?} -> {to:?}"));
            let keys: Vec<_> =
                link.keys().iter().map(|(key, value)| format!(", {key} = {value}")).collect();
            let keys = keys.concat();
            self.line(format_args!("    {{ links = {links}{keys} }},"));
        }
        self.line(format_args!("]"));
    }

    fn disk(&mut self, disk: &DiskProfile) {
        let DiskProfile { min_latency, max_latency } = *disk;
        if *disk != DiskProfile::default() {
            self.table("disk");
            self.key("latency", quoted(span(min_latency, max_latency)));
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits {
            max_entries_per_message,
            max_messages_in_flight,
            max_entries_in_flight,
            max_uncommitted,
            max_pending_reads,
            clock_drift_ppm,
            disk_timeout,
        } = *limits;
        if *limits == Limits::default() {
            return;
        }
        let small = |count: Option<usize>| count.map(|count| count.to_string());
        let text = |count: Option<u64>| count.map(|count| count.to_string());
        let lines = [
            ("max_entries_per_message", text(max_entries_per_message)),
            ("max_messages_in_flight", small(max_messages_in_flight)),
            ("max_entries_in_flight", text(max_entries_in_flight)),
            ("max_uncommitted", text(max_uncommitted)),
            ("max_pending_reads", small(max_pending_reads)),
            ("clock_drift_ppm", clock_drift_ppm.map(|ppm| ppm.to_string())),
            ("disk_timeout", disk_timeout.map(|timeout| quoted(time(timeout)))),
        ];
        self.table("limits");
        for (name, value) in lines {
            if let Some(value) = value {
                self.key(name, value);
            }
        }
    }

    fn snapshots(&mut self, snapshots: &SnapshotProfile) {
        let SnapshotProfile { every, delay, failure_ppm, failures_until, timeout, install } =
            *snapshots;
        let default = SnapshotProfile::default();
        if *snapshots == default {
            return;
        }
        self.table("snapshots");
        self.unless(every == default.every, "every", || every);
        self.unless(delay == default.delay, "delay", || quoted(time(delay)));
        self.unless(failure_ppm == default.failure_ppm, "failure_ppm", || failure_ppm);
        self.unless(failures_until == default.failures_until, "failures_until", || {
            quoted(moment(failures_until))
        });
        if let Some(timeout) = timeout {
            self.key("timeout", quoted(time(timeout)));
        }
        self.unless(install == default.install, "install", || quoted(time(install)));
    }

    fn lag(&mut self, lag: &LagProfile) {
        let LagProfile { reports, applies, until } = *lag;
        let default = LagProfile::default();
        if *lag == default {
            return;
        }
        self.table("lag");
        self.unless(reports == default.reports, "reports", || quoted(time(reports)));
        self.unless(applies == default.applies, "applies", || quoted(time(applies)));
        self.unless(until == default.until, "until", || quoted(moment(until)));
    }

    fn driver(&mut self, driver: &DriverProfile) {
        let DriverProfile {
            frame_bytes,
            in_flight_bytes,
            uncommitted_bytes,
            apply_bytes,
            cached_bytes,
            kept_bytes,
            gives_up,
            miss_ppm,
            patience,
        } = *driver;
        if *driver == DriverProfile::default() {
            return;
        }
        self.table("driver");
        for (name, bytes) in [
            ("frame_bytes", frame_bytes),
            ("in_flight_bytes", in_flight_bytes),
            ("uncommitted_bytes", uncommitted_bytes),
            ("apply_bytes", apply_bytes),
            ("cached_bytes", cached_bytes),
            ("kept_bytes", kept_bytes),
        ] {
            if let Some(bytes) = bytes {
                self.key(name, bytes);
            }
        }
        self.unless(!gives_up, "gives_up", || "true");
        self.unless(miss_ppm == 0, "miss_ppm", || miss_ppm);
        if let Some(patience) = patience {
            self.key("patience", quoted(time(patience)));
        }
    }

    fn client(&mut self, client: &ClientSetup) {
        let ClientSetup {
            min_think,
            max_think,
            write_percent,
            query_percent,
            leases,
            keys,
            own,
            home,
            ask_again,
            patience,
            start,
            stop,
        } = *client;
        let default = ClientSetup::default();
        self.line(format_args!("\n[[client]]"));
        let think = (min_think, max_think) == (default.min_think, default.max_think);
        self.unless(think, "think", || quoted(span(min_think, max_think)));
        self.unless(write_percent == default.write_percent, "write_percent", || write_percent);
        self.unless(query_percent == default.query_percent, "query_percent", || query_percent);
        self.unless(leases == default.leases, "leases", || leases);
        self.unless(keys == default.keys, "keys", || keys);
        self.unless(own == default.own, "own", || own);
        if let Some(home) = home {
            self.key("home", quoted(format!("{home:?}")));
        }
        if let Some(pause) = ask_again {
            self.key("ask_again", quoted(time(pause)));
        }
        self.unless(patience == default.patience, "patience", || quoted(time(patience)));
        self.unless(start == default.start, "start", || quoted(moment(start)));
        self.unless(stop == default.stop, "stop", || quoted(moment(stop)));
    }

    fn script(&mut self, script: &Script) {
        match script {
            Script::Seed(seed) => self.key("seed", number(*seed)),
            Script::Answers(answers) if answers.is_empty() => self.key("choices", "[]"),
            Script::Answers(answers) => self.answers(answers),
        }
    }

    fn answers(&mut self, answers: &Answers) {
        self.line(format_args!("choices = ["));
        for ((question, nth), answer) in answers.iter() {
            let name = quoted(question.name());
            let answer = match question {
                Question::ClockOffset
                | Question::InstallTime
                | Question::Delay
                | Question::BuildDelay
                | Question::Gathering
                | Question::DiskLatency
                | Question::Think
                    if instant(Duration::from_nanos(answer)) < LONG =>
                {
                    quoted(time(Duration::from_nanos(answer)))
                }
                _ => number(answer),
            };
            self.line(format_args!("    {{ of = {name}, nth = {nth}, answer = {answer} }},"));
        }
        self.line(format_args!("]"));
    }

    fn timeline(&mut self, timeline: &[(Instant, Act)]) {
        if timeline.is_empty() {
            return;
        }
        self.line(format_args!("timeline = ["));
        for (at, act) in timeline {
            let at = quoted(moment(*at));
            self.line(format_args!("    {{ at = {at}, {} }},", act.written()));
        }
        self.line(format_args!("]"));
    }
}

/// No duration that is drawn comes near.
const LONG: Instant = Instant::from_nanos(1_000_000_000_000_000);

fn membership(membership: &Membership) -> Result<String, Unwritable> {
    if membership.is_joint() {
        return Err(Unwritable("a node that starts between two memberships"));
    }
    if membership.is_empty() {
        return Ok("nobody".to_owned());
    }
    let voters = group(membership.voters());
    Ok(match membership.learners() {
        [] => voters,
        learners => format!("{voters} with {}", group(learners)),
    })
}

/// TOML has no numbers above those of `i64`: such a one is written as a text.
fn number(number: u64) -> String {
    if i64::try_from(number).is_ok() { number.to_string() } else { quoted(number) }
}

#[cfg(test)]
mod tests {
    use super::{Unwritable, Words, write};
    use crate::plan::act::{Act, DiskAct, RequestAct};
    use crate::plan::change::MembershipChange;
    use crate::plan::choice::{Answers, Choices, Question};
    use crate::plan::profile::LinkProfile;
    use crate::plan::setup::Setup;
    use crate::run::swarm;
    use crate::scenario::model::{Scenario, Script};
    use raft_core::{HardState, Instant, Membership, NodeId, Run, Term};
    use std::time::Duration;

    fn read(text: &str) -> Scenario {
        Scenario::read("x", "x.toml", text).unwrap_or_else(|error| panic!("{error}\n\n{text}"))
    }

    /// Writes and reads.
    fn there_and_back(setup: &Setup) -> Setup {
        let script = Script::Answers(Answers::default());
        let words = Words { title: "t", ..Words::default() };
        let text = write(words, setup, &script, false).expect("a setup that can be written");
        let scenario = read(&text);
        assert_eq!(scenario.levels, [setup.protection]);
        scenario.setup(setup.protection)
    }

    #[test]
    fn every_drawn_setup_survives_writing_and_reading() {
        for seed in 0..2_000 {
            let setup = swarm::draw_setup(&mut Choices::seeded(seed));
            assert_eq!(there_and_back(&setup), setup, "seed {seed}");
        }
    }

    #[test]
    fn every_scenario_of_our_own_survives_writing_and_reading() {
        for scenario in Scenario::built_in() {
            for level in &scenario.levels {
                let setup = scenario.setup(*level);
                assert_eq!(there_and_back(&setup), setup, "{}", scenario.name);
            }
        }
    }

    #[test]
    fn what_the_swarm_never_draws_survives_too() {
        let mut setup = Setup::of_voters(3);
        let (a, b, c) = (NodeId(1), NodeId(2), NodeId(3));
        let slow = LinkProfile { max_delay: Duration::from_secs(1), ..LinkProfile::default() };
        setup.links.insert((a, c), slow);
        setup.nodes[1].membership = Some(Membership::new([a], [], [b, c]).expect("valid"));
        setup.nodes[2].membership = Some(Membership::empty());
        setup.nodes[2].starts = false;
        setup.nodes[0].entries = [Run::Commands { term: Term(2), count: 3 }].into_iter().collect();
        setup.nodes[0].hard_state = HardState {
            current_term: Term(7),
            voted_for: Some(b),
            promised: Duration::from_nanos(1_000_001),
        };
        let target = Membership::new([b], [], [a]).expect("valid");
        let fault = Act::Request(RequestAct::ChangeMembership {
            node: Some(c),
            change: MembershipChange::To(target),
        });
        setup.timeline.push((Instant::from_nanos(17), fault));
        setup.timeline.push((Instant::from_nanos(18), Act::Disk(DiskAct::Wipe { node: c })));
        assert_eq!(there_and_back(&setup), setup);
    }

    #[test]
    fn what_has_no_words_is_refused() {
        let refused = |spoil: fn(&mut Setup)| {
            let mut setup = Setup::of_voters(3);
            spoil(&mut setup);
            let script = Script::Seed(1);
            matches!(write(Words::default(), &setup, &script, false), Err(Unwritable(_)))
        };
        assert!(!refused(|_| {}));
        assert!(refused(|setup| setup.nodes[0].id = NodeId(9)));
        assert!(refused(|setup| setup.membership = Membership::empty()));
        assert!(refused(|setup| {
            setup.nodes.push(crate::plan::setup::NodeSetup::new(NodeId(4)));
        }));
    }

    #[test]
    fn words_answers_and_the_rest_survive_whatever_they_are() {
        let answers: Answers = [
            ((Question::Delay, 3), 2_000_000),
            ((Question::Delay, 40), u64::MAX),
            ((Question::NodeSeed, 1), u64::MAX),
            ((Question::Loss, 2), 999_999),
        ]
        .into_iter()
        .collect();
        let words = Words {
            comment: "a\n\nb",
            title: "\"quoted\" \\ \u{1b}[2J",
            story: "\"\"\" one\ntwo \\",
            broke: Some("fate"),
        };
        let setup = Setup::of_voters(1);
        for script in [Script::Answers(answers), Script::Seed(u64::MAX), Script::Seed(3)] {
            let text = write(words, &setup, &script, true).expect("it can be written");
            let scenario = read(&text);
            assert_eq!(scenario.script, Some(script));
            assert_eq!(scenario.title, words.title);
            assert_eq!(scenario.story, "\"\"\" one two \\");
            assert_eq!((scenario.converges, scenario.broke.as_deref()), (true, Some("fate")));
            assert!(text.starts_with("# a\n#\n# b\ntitle = "), "{text}");
        }
    }
}
