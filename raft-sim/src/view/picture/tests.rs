//! The model of a picture against its records, by slower ways to the same.

use crate::plan::act::{Act, MessageAct};
use crate::plan::choice::Choices;
use crate::plan::record::{DropReason, Event, Record, Stage, Violation};
use crate::plan::setup::Setup;
use crate::run::play::play;
use crate::run::swarm;
use crate::scenario::model::Scenario;
use crate::scenario::text::LEVELS;
use crate::view::message::Class;
use crate::view::picture::causes::causes;
use crate::view::picture::model::Model;
use crate::view::picture::rows::{BandKind, Delivery, Picture};
use crate::view::picture::svg;
use crate::world::World;
use raft_core::{Envelope, Instant, LogPosition, Message, NodeId, Term};

struct Run {
    setup: Setup,
    records: Vec<Record>,
    violation: Option<Violation>,
}

impl Run {
    fn of(name: &str) -> Self {
        let scenario = Scenario::named(name).expect("a scenario of our own");
        let mut records = Vec::new();
        let played = play(&scenario, LEVELS[2], 1, &mut records);
        Self { setup: scenario.setup(LEVELS[2]), records, violation: played.violation }
    }

    fn drawn(seed: u64) -> Self {
        let mut choices = Choices::seeded(seed);
        let setup = swarm::draw_setup(&mut choices);
        let mut records: Vec<Record> = Vec::new();
        let mut world = World::new(&setup, choices).expect("a drawn setup makes sense");
        let violation = world.run(&mut records).verdict.err();
        Self { setup, records, violation }
    }

    fn picture(&self) -> Picture<'_> {
        let violation = self.violation.as_ref();
        Picture { title: "a run", notes: "", setup: &self.setup, records: &self.records, violation }
    }

    /// Whether nodes are given messages that nobody meant to send.
    fn is_hostile(&self) -> bool {
        self.records.iter().any(|record| match &record.event {
            Event::Fault { fault } => matches!(fault, Act::Message(MessageAct::Hostile { .. })),
            _ => false,
        })
    }

    fn model(&self) -> Model {
        Model::of(&self.picture())
    }
}

/// Runs with everything that can happen: partitions, crashes, snapshots, duplicates, a violation.
fn some() -> Vec<Run> {
    let named = ["figure-8", "snapshot-interrupted", "lease-read-beyond-drift", "hung-disk"];
    named.into_iter().map(Run::of).chain((0..12).map(Run::drawn)).collect()
}

/// Which events could have caused an event, by what the model says of it.
fn cone(model: &Model, of: usize) -> Vec<bool> {
    let last = causes(&model.events, model.lanes(), of);
    let events = model.events.iter().enumerate();
    events.map(|(nth, event)| event.lane.is_some_and(|lane| Some(nth) <= last[lane])).collect()
}

/// What a record says of the end of a message.
fn end(event: &Event) -> Option<(&Envelope, Delivery)> {
    Some(match event {
        Event::Recv { message } => (message, Delivery::Received),
        Event::Ignored { message: Some(message), .. } => (message, Delivery::Ignored),
        Event::Drop { message, reason } => match reason {
            DropReason::Cut => (message, Delivery::Cut),
            DropReason::Kind => (message, Delivery::Kind),
            DropReason::Loss => (message, Delivery::Loss),
            DropReason::Down => (message, Delivery::Down),
            DropReason::Unwanted => (message, Delivery::Unwanted),
        },
        _ => return None,
    })
}

#[test]
fn every_message_is_drawn_once_from_its_sending_to_its_end_and_a_lost_one_says_why() {
    for run in some() {
        let model = run.model();
        let (mut leaving, mut ending, mut copies, mut forged) = (0, 0, 0, 0);
        let is_hostile = run.is_hostile();
        for (nth, record) in run.records.iter().enumerate() {
            let is_sent =
                |row: &&crate::view::picture::rows::Arrow| row.sent == Some(nth) && !row.is_copy;
            match &record.event {
                Event::Send { message, .. } => {
                    leaving += 1;
                    let rows: Vec<_> = model.messages.iter().filter(is_sent).collect();
                    assert_eq!(rows.len(), 1, "{message:?}");
                    assert_eq!((rows[0].from, rows[0].to), (message.from, message.to));
                }
                Event::Duplicate { .. } => copies += 1,
                _ => {}
            }
            let Some((message, fate)) = end(&record.event) else { continue };
            ending += 1;
            let rows: Vec<_> = model.messages.iter().filter(|row| row.end == Some(nth)).collect();
            assert_eq!(rows.len(), 1, "{message:?}");
            let to = record.node.unwrap_or(message.to);
            assert_eq!((rows[0].fate, rows[0].term, rows[0].to), (fate, message.term, to));
            let Some(sent) = rows[0].sent else {
                assert!(is_hostile, "nobody has sent {message:?}");
                forged += 1;
                continue;
            };
            assert!(sent < nth);
            match &run.records[sent].event {
                Event::Send { message: sent, .. } => assert_eq!(sent, message),
                other => panic!("{message:?} does not come from {other:?}"),
            }
        }
        assert_eq!(model.messages.len(), leaving + copies + forged);
        let under_way = model.messages.iter().filter(|row| row.fate == Delivery::UnderWay);
        assert_eq!(under_way.count() + ending, leaving + copies + forged);
    }
}

#[test]
fn of_two_messages_that_say_the_same_the_earlier_ends_first() {
    let envelope =
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message: Message::TimeoutNow };
    let message = || envelope.clone();
    let happened = [
        (1, Event::Send { message: message(), obligation: None }),
        (1, Event::Send { message: message(), obligation: None }),
        (2, Event::Recv { message: message() }),
        (2, Event::Drop { message: message(), reason: DropReason::Cut }),
    ];
    let record = |(seq, (node, event)): (u64, (u64, Event))| {
        let time = Instant::from_nanos(seq);
        Record { time, seq, node: Some(NodeId(node)), event, state: None }
    };
    let records = (0..).zip(happened).map(record).collect();
    let model = Run { setup: Setup::of_voters(2), records, violation: None }.model();
    let ends: Vec<_> = model.messages.iter().map(|row| (row.sent, row.end, row.fate)).collect();
    assert_eq!(ends, [(Some(0), Some(2), Delivery::Received), (Some(1), Some(3), Delivery::Cut)]);
}

/// Everything that is reached backwards from an event, step by step.
fn reached(model: &Model, of: usize) -> Vec<bool> {
    let mut within = vec![false; model.events.len()];
    let mut open = vec![of];
    while let Some(nth) = open.pop() {
        if std::mem::replace(&mut within[nth], true) {
            continue;
        }
        let lane = model.events[nth].lane;
        let earlier = (0..nth).rev().find(|before| model.events[*before].lane == lane);
        open.extend(earlier.into_iter().chain(model.events[nth].cause));
    }
    within
}

#[test]
fn the_causes_of_an_event_are_what_is_reached_from_it() {
    for run in some() {
        let model = run.model();
        let count = model.events.len();
        let some = (1..=12).map(|part| count * part / 12 - 1);
        let some = some.filter(|nth| model.events[*nth].lane.is_some());
        let several = some.chain(model.violation).collect::<Vec<_>>();
        assert!(!several.is_empty());
        for of in several {
            assert!(cone(&model, of) == reached(&model, of), "of {of}: {}", model.events[of].text);
        }
    }
}

#[test]
fn what_is_received_rests_on_its_sending_and_an_answer_on_what_was_asked_and_applied() {
    let mut answers = 0;
    for run in some() {
        let model = run.model();
        for (nth, record) in run.records.iter().enumerate() {
            let cause = model.events[nth].cause;
            assert!(cause.is_none_or(|cause| cause < nth));
            if let Event::Recv { message } = &record.event {
                assert!(cause.is_some() || run.is_hostile());
                let node = cause.map(|cause| run.records[cause].node);
                assert!(node.is_none_or(|node| node == Some(message.from)));
            }
            let Event::Client { client, serial, phase: Stage::Returned { position, .. }, .. } =
                &record.event
            else {
                continue;
            };
            let within = cone(&model, nth);
            let holds = |is: &dyn Fn(&Event) -> bool| {
                let mut records = run.records.iter().zip(&within);
                records.any(|(record, within)| *within && is(&record.event))
            };
            let asked = |event: &Event| match event {
                Event::Propose { token, .. } | Event::ReadBegin { token, .. } => {
                    crate::host::client::operation_of(*token) == (*client, *serial)
                }
                _ => false,
            };
            let applied = |event: &Event| match event {
                Event::Apply { through, .. } => through.index >= position.index,
                Event::InstallEnd { position: held, .. } => held.index >= position.index,
                _ => false,
            };
            // In a long run each answer is like the last.
            if answers % 16 == 0 && *client != 0 {
                assert!(holds(&asked), "{:?}", model.events[nth]);
                let nothing = *position == LogPosition::ZERO;
                assert!(nothing || holds(&applied), "{:?}", model.events[nth]);
            }
            answers += 1;
        }
    }
    assert!(answers > 1_000);
}

#[test]
fn a_last_position_names_the_whole_log() {
    for seed in 0..12 {
        let mut choices = Choices::seeded(seed);
        let setup = swarm::draw_setup(&mut choices);
        let mut world = World::new(&setup, choices).expect("a drawn setup makes sense");
        let mut records: Vec<Record> = Vec::new();
        for millis in (500..8_000).step_by(500) {
            let until = Instant::from_nanos(millis * 1_000_000);
            if world.run_until(until, &mut records).is_err() {
                break;
            }
            let violation = None;
            let picture =
                Picture { title: "", notes: "", setup: &setup, records: &records, violation };
            let terms = Model::of(&picture).terms;
            for host in world.hosts() {
                let Some(process) = &host.process else { continue };
                let mut term = process.log.last().term;
                for (position, entry) in process.log.iter().rev() {
                    let (first, before) = terms[&term];
                    if position.index.get() < first {
                        term = before;
                    }
                    assert_eq!(term, entry.term, "{position} of {:?}", host.id());
                }
            }
        }
    }
}

#[test]
fn a_lease_is_drawn_where_a_record_says_that_it_lasts() {
    let mut held = 0;
    for run in some() {
        let model = run.model();
        for record in &run.records {
            let (Some(node), Some(state)) = (record.node, record.state) else { continue };
            let lane = model.lane_of(node);
            let (now, until) = (record.time, state.lease_until.unwrap_or(Instant::ZERO));
            let leases = || {
                let bands = model.bands.iter().filter(|band| band.kind == BandKind::Lease);
                bands.filter(|band| band.lane == lane)
            };
            if until > now && now < model.end {
                held += 1;
                let mut bands = leases();
                assert!(bands.any(|band| band.from <= now && now <= band.until), "{record:?}");
            } else if until < now {
                let mut bands = leases();
                assert!(!bands.any(|band| band.from < now && now < band.until), "{record:?}");
            }
        }
    }
    assert!(held > 1_000);
}

#[test]
fn who_can_commit_is_said_for_every_moment() {
    for run in some() {
        let model = run.model();
        let service = |kind| kind == BandKind::Service || kind == BandKind::Silence;
        let mut at = Instant::ZERO;
        for band in model.bands.iter().filter(|band| service(band.kind)) {
            assert_eq!(band.from, at);
            at = band.until;
        }
        assert_eq!(at, model.end);
    }
}

#[test]
fn what_a_cut_link_loses_lies_under_a_band_that_says_so() {
    let mut lost = 0;
    for run in some() {
        let model = run.model();
        for message in model.messages.iter().filter(|message| message.fate == Delivery::Cut) {
            let time = |event: Option<usize>| event.map(|nth| model.events[nth].time);
            let (Some(sent), Some(end)) = (time(message.sent), time(message.end)) else {
                continue;
            };
            let mut bands = model.bands.iter().filter(|band| band.kind == BandKind::Link);
            let says = |text: &str| {
                let node = format!("{:?}", message.from);
                let link_is_cut = text.starts_with("cut") || text.starts_with("flaps");
                link_is_cut && (text.contains(&node) || text.ends_with("everybody"))
            };
            assert!(
                bands.any(|band| says(&band.text) && band.from <= end && sent <= band.until),
                "{message:?}"
            );
            lost += 1;
        }
    }
    assert!(lost > 100);
}

#[test]
fn nothing_that_is_said_ends_the_script_or_becomes_markup() {
    let mut run = Run::of("figure-8");
    let evil = "</script><script>alert(1)</script><!-- & \"";
    run.violation = Some(Violation {
        checker: "log_matching",
        sentence: evil.to_owned(),
        time: Instant::from_nanos(5),
        event: 40,
        seq: Some(40),
    });
    let picture = Picture { title: evil, notes: evil, ..run.picture() };
    let html = picture.html();
    assert_eq!(html.matches("</script").count(), 2, "that of the data and that of the code");
    assert_eq!(html.matches("<script").count(), 2);
    assert!(!html.contains("<!--"));
    let (_, data) = html.split_once("id=\"run\">").expect("the data");
    let (data, _) = data.split_once("</script>").expect("its end");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["violation"]["sentence"], evil);
    assert_eq!(data["title"], evil);
    let svg = svg(evil, &[(evil, picture)], Instant::ZERO..=Instant::MAX);
    assert!(!svg.contains("<script") && !svg.contains("<!--"));
}

#[test]
fn a_page_asks_for_nothing_from_elsewhere() {
    let html = Run::of("cold-start").picture().html();
    for (at, _) in html.match_indices("://") {
        let around = html.get(at - 5..at + 20).unwrap_or_default();
        assert!(around.contains("http://www.w3.org/"), "{around}: only names of namespaces");
    }
    assert!(!html.contains("src=") && !html.contains("@import") && !html.contains("url("));
    assert_eq!(html.matches("href=").count(), 1);
    assert!(html.contains("href=\"data:,\""));
}

#[test]
fn a_drawing_crosses_out_every_lost_vote_and_shows_every_term() {
    let run = Run::of("symmetric-partition");
    let scenario = Scenario::named("symmetric-partition").expect("a scenario of our own");
    let mut records = Vec::new();
    let setup = scenario.setup(LEVELS[0]);
    play(&scenario, LEVELS[0], 1, &mut records);
    let plain = Run { setup, records, violation: None };
    for run in [run, plain] {
        let model = run.model();
        let is_vote = |class| matches!(class, Class::Vote | Class::PreVote);
        let lost = model.messages.iter().filter(|m| is_vote(m.class) && m.fate.is_lost());
        let lost = lost.count();
        let drawn = svg("x", &[("x", run.picture())], Instant::ZERO..=Instant::MAX);
        assert!(lost > 5);
        assert_eq!(drawn.matches("l6 6m0 -6l-6 6").count(), lost);
        for Term(term) in model.terms.keys() {
            assert!(drawn.contains(&format!("class=\"t{}\"", term % 8)));
        }
    }
}

#[test]
fn a_run_without_records_is_a_picture_too() {
    let run = Run { setup: Setup::of_voters(3), records: Vec::new(), violation: None };
    assert!(run.picture().html().contains("\"events\":{"));
    assert!(svg("x", &[("x", run.picture())], Instant::ZERO..=Instant::MAX).ends_with("</svg>\n"));
}
