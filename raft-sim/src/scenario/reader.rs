//! From the text of a scenario file to a [`Scenario`], with every mistake named at its place.

use crate::plan::act::any::Act;
use crate::plan::act::part::Beside;
use crate::plan::choice::{Answers, Question};
use crate::plan::limits::Limits;
use crate::plan::profile::{
    ClientSetup, DiskProfile, DriverProfile, LagProfile, LinkProfile, SnapshotProfile,
};
use crate::plan::sentence;
use crate::plan::setup::{NodeSetup, Setup};
use crate::plan::text::instant;
use crate::scenario::error::ScenarioError;
use crate::scenario::model::{Scenario, Script};
use crate::scenario::place::{Reader, Span};
use crate::scenario::text::{LEVELS, LogRun, Range, Text};
use crate::scenario::{expect, format};
use raft_core::{ConfigError, Instant, LogPosition, Membership, NodeId, Run, Term};
use std::time::Duration;
use toml::Spanned;

/// Reads the text of a scenario file.
pub(super) fn read(name: &str, file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let raw: format::File = toml::from_str(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        ScenarioError::new(file, text, error.span().unwrap_or(0..0), message)
    })?;
    let voters = raw.cluster.voters.get_ref().0;
    let count = |raw: &Option<Spanned<Text<u64>>>| raw.as_ref().map_or(0, |n| n.get_ref().0);
    let learners = count(&raw.cluster.learners);
    let spare = count(&raw.cluster.spare).saturating_add(learners);
    let most = u64::try_from(Membership::MAX_VOTERS).expect("a small number");
    let nodes: Vec<_> = (1..=voters.saturating_add(spare).min(most)).map(NodeId).collect();
    let reader = Reader { file, text, nodes: &nodes };
    if !(1..=most).contains(&voters) {
        let message = format!("expected 1 to {most} voters, found {voters}");
        return Err(reader.error(raw.cluster.voters.span(), message));
    }
    let more = raw.cluster.spare.as_ref().or(raw.cluster.learners.as_ref());
    if let Some(span) = more.filter(|_| spare > most - voters) {
        let message = format!("expected at most {} nodes more, found {spare}", most - voters);
        return Err(reader.error(span.span(), message));
    }
    reader.scenario(name, raw)
}

impl Reader<'_> {
    fn scenario(&self, name: &str, raw: format::File) -> Result<Scenario, ScenarioError> {
        let levels = self.levels(raw.run.protection, &LEVELS)?;
        let duration = raw.run.duration.get_ref().0;
        if duration.is_zero() {
            let message = "expected a duration above zero".to_owned();
            return Err(self.error(raw.run.duration.span(), message));
        }
        let within = |moment: Option<Spanned<Text<Duration>>>| match moment {
            Some(moment) if moment.get_ref().0 >= duration => {
                let message = format!("expected a moment within the run of {duration:?}");
                Err(self.error(moment.span(), message))
            }
            moment => Ok(moment.map(|moment| instant(moment.into_inner().0))),
        };
        let observe_from = within(raw.run.observe_from)?.unwrap_or(Instant::ZERO);
        let settled_by = within(raw.run.settled_by)?;
        let mut setup = self.cluster(&raw.cluster)?;
        self.links(&mut setup, raw.link)?;
        setup.disk = self.disk(raw.disk)?;
        setup.snapshots = self.snapshots(raw.snapshots)?;
        setup.lag = Self::lag(&raw.lag);
        setup.driver = self.driver(raw.driver)?;
        setup.duration = duration;
        setup.strict_leases = raw.run.strict_leases;
        self.limits(&mut setup, &raw.limits)?;
        self.nodes(&mut setup, &raw.node)?;
        for client in raw.client {
            setup.clients.push(self.client(client.into_inner())?);
        }
        for entry in raw.run.timeline {
            self.entry(&mut setup, entry)?;
        }
        // Happenings of one moment keep the order of the file.
        setup.timeline.sort_by_key(|(at, _)| *at);
        let script = self.script(raw.run.seed, raw.run.choices)?;
        if raw.expect.is_empty() && script.is_none() {
            let message = "expected an `[[expect]]`: what is to be seen".to_owned();
            return Err(self.error(raw.run.duration.span(), message));
        }
        let expectations = raw.expect.into_iter();
        let expectations = expectations.map(|raw| expect::read(self, raw, &levels, duration));
        let mut expectations = expectations.collect::<Result<Vec<_>, _>>()?;
        expectations.sort_by_key(|expectation| expectation.at);
        Ok(Scenario {
            name: name.to_owned(),
            source: self.file.to_owned(),
            title: raw.title,
            rules: raw.rules,
            notes: raw.notes.as_deref().map(one_line),
            why: raw.why.as_deref().map(one_line),
            story: one_line(&raw.story),
            levels,
            compare: raw.run.compare,
            beyond: raw.run.beyond,
            alarm: raw.run.alarm,
            observe_from,
            settled_by,
            voters: raw.cluster.voters.into_inner().0,
            text: self.text.to_owned(),
            expectations,
            script,
            converges: raw.run.converges,
            broke: raw.run.broke,
            setup,
        })
    }

    fn links(&self, setup: &mut Setup, raw: format::LinkTable) -> Result<(), ScenarioError> {
        setup.link = self.link(raw.delay, raw.loss_ppm, raw.duplicate_ppm)?;
        for except in raw.except {
            let profile = self.link(except.delay, except.loss_ppm, except.duplicate_ppm)?;
            let links = sentence::pairs(except.links.get_ref(), self.nodes);
            let links = links.map_err(|mistake| self.inside(&except.links.span(), mistake))?;
            setup.links.extend(links.into_iter().map(|pair| (pair, profile)));
        }
        Ok(())
    }

    fn nodes(&self, setup: &mut Setup, raw: &[format::NodeTable]) -> Result<(), ScenarioError> {
        for (nth, node) in raw.iter().enumerate() {
            let id = node.id.get_ref();
            if raw[..nth].iter().any(|earlier| earlier.id.get_ref() == id) {
                let message = format!("expected each node once, {:?} stands above", id.0);
                return Err(self.error(node.id.span(), message));
            }
            self.node(setup, node)?;
        }
        Ok(())
    }

    /// Who decides, if the file says so.
    fn script(
        &self,
        seed: Option<Spanned<Text<u64>>>,
        choices: Option<Vec<format::AnswerEntry>>,
    ) -> Result<Option<Script>, ScenarioError> {
        let Some(choices) = choices else {
            return Ok(seed.map(|seed| Script::Seed(seed.into_inner().0)));
        };
        if let Some(seed) = seed {
            let message = "expected a `seed` or `choices`, not both".to_owned();
            return Err(self.error(seed.span(), message));
        }
        let mut answers = Answers::default();
        for format::AnswerEntry { of, nth, value } in choices {
            let Some(question) = Question::named(of.get_ref()) else {
                let names: Vec<_> = Question::ALL.iter().map(|question| question.name()).collect();
                let message = format!("expected a question: one of {}", names.join(", "));
                return Err(self.error(of.span(), message));
            };
            answers.set((question, nth.0), value.0.0);
        }
        Ok(Some(Script::Answers(answers)))
    }

    fn snapshots(&self, raw: format::Snapshots) -> Result<SnapshotProfile, ScenarioError> {
        let default = SnapshotProfile::default();
        Ok(SnapshotProfile {
            every: raw.every.map_or(default.every, |every| every.0),
            delay: raw.delay.map_or(default.delay, |delay| delay.0),
            failure_ppm: self.at_most(raw.failure_ppm, 1_000_000)?.unwrap_or(default.failure_ppm),
            failures_until: raw
                .failures_until
                .map_or(default.failures_until, |until| instant(until.0)),
            timeout: raw.timeout.map(|timeout| timeout.0),
            install: raw.install.map_or(default.install, |install| install.0),
        })
    }

    fn lag(raw: &format::Lag) -> LagProfile {
        let default = LagProfile::default();
        LagProfile {
            reports: raw.reports.as_ref().map_or(default.reports, |reports| reports.0),
            applies: raw.applies.as_ref().map_or(default.applies, |applies| applies.0),
            until: raw.until.as_ref().map_or(default.until, |until| instant(until.0)),
        }
    }

    fn driver(&self, raw: format::DriverTable) -> Result<DriverProfile, ScenarioError> {
        let bytes = |raw: Option<Text<u64>>| raw.map(|bytes| bytes.0);
        Ok(DriverProfile {
            frame_bytes: bytes(raw.frame_bytes),
            in_flight_bytes: bytes(raw.in_flight_bytes),
            uncommitted_bytes: bytes(raw.uncommitted_bytes),
            apply_bytes: bytes(raw.apply_bytes),
            cached_bytes: bytes(raw.cached_bytes),
            kept_bytes: bytes(raw.kept_bytes),
            gives_up: raw.gives_up.unwrap_or_default(),
            miss_ppm: self.at_most(raw.miss_ppm, 1_000_000)?.unwrap_or_default(),
            patience: raw.patience.map(|patience| patience.0),
        })
    }

    fn cluster(&self, raw: &format::ClusterTable) -> Result<Setup, ScenarioError> {
        let voters = raw.voters.get_ref().0;
        let mut setup = Setup::of_voters(voters);
        let learners = raw.learners.as_ref().map_or(0, |learners| learners.get_ref().0);
        let members = voters + learners;
        let learners = (voters + 1..=members).map(NodeId);
        setup.membership = Membership::new((1..=voters).map(NodeId), [], learners)
            .expect("as many as there can be, each in one part");
        for node in self.nodes.iter().filter(|node| node.get() > voters) {
            let membership = (node.get() > members).then(Membership::empty);
            setup.nodes.push(NodeSetup { membership, ..NodeSetup::new(*node) });
        }
        setup.gathering = raw.gathering.map_or(Duration::ZERO, |gathering| gathering.0);
        setup.build_delay = raw.build_delay.map_or(Duration::ZERO, |delay| delay.0);
        setup.election_timeout = raw.election_timeout.get_ref().0;
        setup.heartbeat_interval = setup.election_timeout / 10;
        setup.clock_offset = raw.clock_offset.map_or(Duration::ZERO, |offset| offset.0);
        let timeout_span = raw.election_timeout.span();
        let beat_span = raw.heartbeat_interval.as_ref().map(Spanned::span);
        if let Some(beat) = &raw.heartbeat_interval {
            setup.heartbeat_interval = beat.get_ref().0;
        }
        self.timing(&setup, &setup.nodes[0], &timeout_span, beat_span.as_ref())?;
        Ok(setup)
    }

    /// Refuses what the core would refuse, where it is written.
    fn timing(
        &self,
        setup: &Setup,
        node: &NodeSetup,
        timeout: &Span,
        beat: Option<&Span>,
    ) -> Result<(), ScenarioError> {
        let Err(error) = setup.config(node, 0).check() else { return Ok(()) };
        let (span, message) = match (error, beat) {
            (ConfigError::OutOfRange { field: "heartbeat_interval" }, Some(beat)) => {
                (beat, "expected a heartbeat interval above zero, at most half of the timeout")
            }
            _ => (
                timeout,
                "expected an election timeout from 1 us to 1 day, and at least twice the \
                            heartbeat interval",
            ),
        };
        Err(self.error(span.clone(), message.to_owned()))
    }

    fn link(
        &self,
        delay: Option<Spanned<Text<Range<Duration>>>>,
        loss: Option<Spanned<Text<u64>>>,
        duplicate: Option<Spanned<Text<u64>>>,
    ) -> Result<LinkProfile, ScenarioError> {
        let mut profile = LinkProfile::default();
        if let Some(delay) = delay {
            (profile.min_delay, profile.max_delay) = self.bounded(delay)?;
        }
        profile.loss_ppm = self.at_most(loss, 1_000_000)?.unwrap_or(profile.loss_ppm);
        profile.duplicate_ppm =
            self.at_most(duplicate, 1_000_000)?.unwrap_or(profile.duplicate_ppm);
        Ok(profile)
    }

    fn disk(&self, raw: format::DiskTable) -> Result<DiskProfile, ScenarioError> {
        let Some(latency) = raw.latency else { return Ok(DiskProfile::default()) };
        let (min_latency, max_latency) = self.bounded(latency)?;
        Ok(DiskProfile { min_latency, max_latency })
    }

    /// Each limit by itself, so that a mistake is found where it is written.
    fn limits(&self, setup: &mut Setup, raw: &format::LimitsTable) -> Result<(), ScenarioError> {
        let count = |raw: &Option<Spanned<Text<u64>>>| raw.as_ref().map(|n| n.get_ref().0);
        let small = |raw: &Option<Spanned<Text<u64>>>| {
            count(raw).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        setup.limits = Limits {
            max_entries_per_message: count(&raw.max_entries_per_message),
            max_messages_in_flight: small(&raw.max_messages_in_flight),
            max_entries_in_flight: count(&raw.max_entries_in_flight),
            max_uncommitted: count(&raw.max_uncommitted),
            max_pending_reads: small(&raw.max_pending_reads),
            clock_drift_ppm: count(&raw.clock_drift_ppm)
                .map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            disk_timeout: raw.disk_timeout.as_ref().map(|timeout| timeout.get_ref().0),
        };
        let Err(error) = setup.config(&setup.nodes[0], 0).check() else { return Ok(()) };
        let ConfigError::OutOfRange { field } = error else { return Ok(()) };
        let spans = [
            ("max_entries_per_message", &raw.max_entries_per_message),
            ("max_messages_in_flight", &raw.max_messages_in_flight),
            ("max_entries_in_flight", &raw.max_entries_in_flight),
            ("max_uncommitted", &raw.max_uncommitted),
            ("max_pending_reads", &raw.max_pending_reads),
            ("clock_drift_ppm", &raw.clock_drift_ppm),
        ];
        let named = spans.into_iter().find(|(name, _)| *name == field);
        let span = named.and_then(|(_, raw)| raw.as_ref().map(Spanned::span));
        let span = span.or(raw.disk_timeout.as_ref().map(Spanned::span)).unwrap_or(0..0);
        Err(self.error(span, format!("expected a value within the range of `{field}`")))
    }

    /// A node of the cluster.
    fn member(&self, raw: &Spanned<Text<NodeId>>) -> Result<NodeId, ScenarioError> {
        let (id, last) = (raw.get_ref().0, self.nodes.len());
        let message = || format!("expected a node of the cluster, S1 to S{last}, found {id:?}");
        if self.nodes.contains(&id) { Ok(id) } else { Err(self.error(raw.span(), message())) }
    }

    fn client(&self, raw: format::ClientTable) -> Result<ClientSetup, ScenarioError> {
        let mut client = ClientSetup::default();
        if let Some(think) = raw.think {
            (client.min_think, client.max_think) = self.bounded(think)?;
        }
        client.write_percent =
            self.at_most(raw.write_percent, 100)?.unwrap_or(client.write_percent);
        client.query_percent =
            self.at_most(raw.query_percent, 100)?.unwrap_or(client.query_percent);
        client.leases = raw.leases.unwrap_or(client.leases);
        if let Some(keys) = raw.keys {
            if keys.get_ref().0 == 0 {
                return Err(self.error(keys.span(), "expected at least one key".to_owned()));
            }
            client.keys = keys.into_inner().0;
        }
        client.patience = raw.patience.map_or(client.patience, |patience| patience.0);
        client.own = raw.own.unwrap_or(client.own);
        client.home = raw.home.map(|home| self.member(&home)).transpose()?;
        client.ask_again = raw.ask_again.map(|pause| pause.0);
        client.start = raw.start.map_or(client.start, |start| instant(start.0));
        client.stop = raw.stop.map_or(client.stop, |stop| instant(stop.0));
        Ok(client)
    }

    fn node(&self, setup: &mut Setup, raw: &format::NodeTable) -> Result<(), ScenarioError> {
        let id = self.member(&raw.id)?;
        let at = setup.nodes.iter().position(|node| node.id == id).expect("it is one of them");
        let mut node = setup.nodes[at].clone();
        if let Some(members) = &raw.membership {
            let membership = sentence::membership(members.get_ref(), self.nodes);
            let membership = membership.map_err(|mistake| self.inside(&members.span(), mistake));
            node.membership = Some(membership?);
        }
        node.election_timeout = raw.election_timeout.as_ref().map(|t| t.get_ref().0);
        node.heartbeat_interval = raw.heartbeat_interval.as_ref().map(|t| t.get_ref().0);
        node.protection = raw.protection.map(|level| level.0);
        node.starts = raw.starts.unwrap_or(true);
        let timeout = raw.election_timeout.as_ref().map_or(raw.id.span(), Spanned::span);
        let beat = raw.heartbeat_interval.as_ref().map(Spanned::span);
        self.timing(setup, &node, &timeout, beat.as_ref())?;
        for run in &raw.log {
            let LogRun { count, term } = run.get_ref().0;
            let term = Term(term);
            node.entries.push(Run::Commands { term, count });
            if node.entries.check(LogPosition::ZERO, term).is_err() {
                let message = "expected a term not below that of the entries before".to_owned();
                return Err(self.error(run.span(), message));
            }
        }
        let term = raw.term.map_or(node.last().term, |term| Term(term.0));
        if term < node.last().term {
            let message =
                format!("expected a term of at least {}, that of the log", node.last().term);
            return Err(self.error(raw.id.span(), message));
        }
        node.hard_state.current_term = term;
        node.hard_state.voted_for = raw.voted_for.map(|node| node.0);
        node.hard_state.promised = raw.promised.map_or(Duration::ZERO, |promised| promised.0);
        setup.nodes[at] = node;
        let cannot =
            |error| self.error(raw.id.span(), format!("expected a node that can start: {error}"));
        setup.check().map_err(cannot)
    }

    fn entry(&self, setup: &mut Setup, raw: format::TimelineEntry) -> Result<(), ScenarioError> {
        let at = raw.at.get_ref().0;
        if at > setup.duration {
            let message = format!("expected a moment within the run of {:?}", setup.duration);
            return Err(self.error(raw.at.span(), message));
        }
        let set = raw.delay.is_some() || raw.loss_ppm.is_some() || raw.duplicate_ppm.is_some();
        let profile = set.then(|| self.link(raw.delay, raw.loss_ppm, raw.duplicate_ppm));
        let latency =
            raw.latency.map(|latency| self.disk(format::DiskTable { latency: Some(latency) }));
        let beside = Beside { link: profile.transpose()?, disk: latency.transpose()? };
        let faults = Act::read(raw.sentence.get_ref(), self.nodes, beside);
        let faults = faults.map_err(|mistake| self.inside(&raw.sentence.span(), mistake))?;
        for at in self.moments(at, raw.every, raw.until, setup.duration)? {
            setup.timeline.extend(faults.iter().map(|fault| (instant(at), fault.clone())));
        }
        Ok(())
    }

    /// When something happens that happens once, or again and again.
    fn moments(
        &self,
        at: Duration,
        every: Option<Spanned<Text<Duration>>>,
        until: Option<Spanned<Text<Duration>>>,
        duration: Duration,
    ) -> Result<Vec<Duration>, ScenarioError> {
        const MOST: usize = 10_000;
        let Some(every) = every else {
            let message = || "expected `every = \"…\"` beside `until`".to_owned();
            return until.map_or(Ok(vec![at]), |until| Err(self.error(until.span(), message())));
        };
        let pause = every.get_ref().0;
        let until = until.map_or(duration, |until| until.into_inner().0.min(duration));
        let moments = std::iter::successors(Some(at), |at| at.checked_add(pause));
        let moments: Vec<_> = moments.take_while(|at| *at <= until).take(MOST).collect();
        if moments.len() == MOST {
            let message = format!("expected a pause that fits less than {MOST} times");
            return Err(self.error(every.span(), message));
        }
        Ok(moments)
    }

    /// Both ends of a range that must have two.
    fn bounded(
        &self,
        raw: Spanned<Text<Range<Duration>>>,
    ) -> Result<(Duration, Duration), ScenarioError> {
        let span = raw.span();
        let Range { least, greatest } = raw.into_inner().0;
        let message = || "expected a greatest value too, as in \"1 ms .. 5 ms\"".to_owned();
        greatest.map(|greatest| (least, greatest)).ok_or_else(|| self.error(span, message()))
    }

    fn at_most(
        &self,
        raw: Option<Spanned<Text<u64>>>,
        most: u32,
    ) -> Result<Option<u32>, ScenarioError> {
        let Some(raw) = raw else { return Ok(None) };
        let number = u32::try_from(raw.get_ref().0).ok().filter(|number| *number <= most);
        let message = || format!("expected a number from 0 to {most}");
        number.map(Some).ok_or_else(|| self.error(raw.span(), message()))
    }
}

/// Texts of several lines, as one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
