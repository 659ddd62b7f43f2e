//! A driver that was written and read back is the same one, or is refused. Random runs go on from
//! copies all the time: see `World::turn` in `world.rs`.

use crate::directed::{LONG, commands, isolate, led};
use crate::nonsense::{Nothing, event};
use crate::random::low;
use crate::world::{Bytes, Rng, T};
use raft_core::driver::{Batch, Driver, Effect, Event, Frame, Settings};
use raft_core::{Consistency, Input, Instant, LogIndex, NodeId, Token};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Drivers with as much in every list as can be.
fn drivers() -> Vec<Driver<Bytes>> {
    let mut settings = low(true);
    settings.cached_bytes = 10_000;
    let (mut world, leader) = led(3, settings);
    let until = world.now.saturating_add(LONG);
    let peer = NodeId((leader as u64 + 1) % 3 + 1);
    for _ in 0..30 {
        world.propose(leader, commands(3, 40), LONG);
        world.run(2);
    }
    let behind = (leader + 2) % 3;
    isolate(&mut world, behind);
    world.tell(leader, Event::Paused { peer, after: None });
    let home = (1..=3).map(|node| Bytes::from(format!("@at {node} home"))).collect();
    world.propose(leader, home, LONG);
    world.propose(leader, commands(9, 90), LONG);
    world.propose(leader, commands(2, 90), T * 20);
    world.read(leader, Consistency::ReadIndex);
    world.read((leader + 1) % 3, Consistency::ReadIndex);
    world.ask(leader, |token| Event::Promote { token, node: NodeId(9), until });
    world.ask(leader, |token| Event::Transfer { token, to: Some(peer) });
    let mut drivers = Vec::new();
    for _ in 0..4 {
        world.run(1);
        let running = world.servers.iter().filter_map(|server| server.driver.clone());
        drivers.extend(running);
    }
    drivers
}

/// Every small change of a value, one at a time.
fn mutations(value: &Value, at: &str, all: &mut Vec<(String, Value)>) {
    let start = all.len();
    match value {
        Value::Null => all.push((at.to_string(), 1.into())),
        Value::Bool(flag) => all.push((at.to_string(), (!flag).into())),
        Value::Number(number) => {
            let number = number.as_u64().expect("no number is negative");
            let others = [0, number.saturating_add(1), number.saturating_sub(1), 1 << 62, u64::MAX];
            let others = others.into_iter().filter(|other| *other != number);
            all.extend(others.map(|other| (format!("{at} = {other}"), other.into())));
        }
        Value::String(_) => all.push((at.to_string(), Value::Null)),
        Value::Array(items) => {
            all.push((format!("{at} empty"), Value::Array(Vec::new())));
            if let Some((_, rest)) = items.split_last() {
                all.push((format!("{at} shorter"), rest.to_vec().into()));
                all.push((format!("{at} longer"), [&items[..1], items].concat().into()));
            }
            for (nth, item) in items.iter().enumerate().take(6) {
                let mut inner = Vec::new();
                mutations(item, &format!("{at}[{nth}]"), &mut inner);
                for (what, item) in inner {
                    let mut items = items.clone();
                    items[nth] = item;
                    all.push((what, items.into()));
                }
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                // The node is looked at by the tests of its own dumps.
                if name == "node" && at.is_empty() {
                    continue;
                }
                let mut inner = Vec::new();
                mutations(field, &format!("{at}.{name}"), &mut inner);
                for (what, field) in inner {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), field);
                    all.push((what, fields.into()));
                }
            }
        }
    }
    assert!(all.len() > start || value.as_object().is_some_and(serde_json::Map::is_empty));
}

/// Whatever a runtime says to it.
fn goes_on(driver: &mut Driver<Bytes>, seed: u64) {
    let mut rng = Rng::new(seed);
    let (mut now, mut tickets) = (driver.deadline().unwrap_or(Instant::ZERO), Vec::new());
    for _ in 0..12 {
        now = now.saturating_add(Duration::from_millis(rng.below(200)));
        let events: Vec<_> = (0..3).map(|_| event(&mut rng, &tickets)).collect();
        let mut effects = Vec::new();
        driver.step(events, now, &mut Nothing, &mut effects);
        assert_eq!(driver.node().check(), Ok(()));
        tickets.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Write(write) => Some(write.ticket),
            _ => None,
        }));
    }
}

#[test]
fn a_corrupt_dump_is_refused_or_is_a_driver_that_nothing_makes_panic() {
    let (mut refused, mut read, mut failed) = (0, 0, Vec::new());
    for driver in drivers() {
        let value = serde_json::to_value(&driver).expect("it can be written");
        assert_eq!(serde_json::from_value::<Driver<Bytes>>(value.clone()).expect("whole"), driver);
        let mut all = Vec::new();
        mutations(&value, "", &mut all);
        for (seed, (what, mutation)) in (1..).zip(all) {
            let run = || match serde_json::from_value::<Driver<Bytes>>(mutation) {
                Err(_) => refused += 1,
                Ok(mut driver) => {
                    goes_on(&mut driver, seed);
                    read += 1;
                }
            };
            failed.extend(catch_unwind(AssertUnwindSafe(run)).err().map(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                format!("{what}: {}", text.unwrap_or_else(|| "a panic".to_string()))
            }));
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), refused + read, failed.join("\n"));
    assert!(refused > 1000 && read > 1000, "{refused} refused, {read} read");
}

#[test]
fn frames_and_batches_that_are_not_whole_are_not_read_back() {
    let mut batch = Batch::default();
    batch.input(Input::Wake).expect("it carries nothing");
    batch.propose(Token(1), vec![Bytes::from("a".to_string()), Bytes::from("b".to_string())]);
    let text = serde_json::to_string(&batch).expect("it is data");
    assert_eq!(serde_json::from_str::<Batch<Bytes>>(&text).expect("whole"), batch);
    for (from, to) in [
        (r#""count":2"#, r#""count":3"#),
        ("[[],[[97],[98]]]", "[[[97],[98]],[]]"),
        ("[[],[[97],[98]]]", "[[],[[97],[98]],[]]"),
    ] {
        assert!(text.contains(from), "{text}");
        serde_json::from_str::<Batch<Bytes>>(&text.replace(from, to)).expect_err(to);
    }

    let (mut world, leader) = led(3, Settings::default());
    world.propose(leader, commands(2, 5), LONG);
    let driver = world.servers[leader].driver.as_mut().expect("it runs");
    let (token, commands, until) = (Token(99), commands(2, 5), LONG);
    let until = world.now.saturating_add(until);
    let mut effects = Vec::new();
    driver.step([Event::Propose { token, commands, until }], world.now, &mut Nothing, &mut effects);
    let sent = effects.iter().find_map(|effect| match effect {
        Effect::Send(frame) if frame.payloads().len() == 2 => Some(frame),
        _ => None,
    });
    let text = serde_json::to_string(sent.expect("it is sent")).expect("it is data");
    assert_eq!(serde_json::from_str::<Frame<Bytes>>(&text).ok().as_ref(), sent);
    let lie = text.replace(r#""count":2"#, r#""count":1"#);
    serde_json::from_str::<Frame<Bytes>>(&lie).expect_err("it lies");
    let read: Vec<Effect<Bytes>> =
        serde_json::from_str(&serde_json::to_string(&effects).expect("data")).expect("whole");
    assert_eq!(read, effects);
}

#[test]
fn a_driver_whose_parts_contradict_one_another_is_not_read_back() {
    // One that has nothing to hand out.
    let rests = |driver: &Driver<Bytes>| driver.applied() == driver.node().status().last_applied;
    let has_applied = |driver: &Driver<Bytes>| driver.applied() > LogIndex::ZERO && rests(driver);
    let driver = drivers().into_iter().find(has_applied);
    let value = serde_json::to_value(driver.expect("one has applied")).expect("it can be written");
    let start = value["tail"]["start"].as_u64().expect("an index");
    let (handed, last) = (value["handed"].clone(), u64::MAX);
    for (change, why) in [
        (("/tail/start", start + 1), "the tail ends where the log ends"),
        (("/applied", last), "only what was handed out is applied"),
        (("/handed", handed.as_u64().expect("an index") + 1), "what the node applies"),
        (("/written", last), "only what was handed out is written"),
    ] {
        let mut dump = value.clone();
        dump["ranges"] = Value::Array(Vec::new());
        *dump.pointer_mut(change.0).expect("it is there") = change.1.into();
        let refusal = serde_json::from_value::<Driver<Bytes>>(dump).expect_err(why);
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
    let mut dump = value.clone();
    dump["ranges"] = serde_json::json!([[1, { "term": 1, "index": 1 }]]);
    let refusal = serde_json::from_value::<Driver<Bytes>>(dump).expect_err("applied already");
    assert!(refusal.to_string().contains("ranges are in order"), "{refusal}");
}

#[test]
fn a_driver_with_settings_that_cannot_be_is_not_read_back() {
    let driver = drivers().remove(0);
    let mut value = serde_json::to_value(&driver).expect("it can be written");
    value["settings"]["apply-bytes"] = 0.into();
    let refusal = serde_json::from_value::<Driver<Bytes>>(value.clone()).expect_err("no room");
    assert!(refusal.to_string().contains("apply_bytes is 0"), "{refusal}");
    value["settings"] = serde_json::json!({ "frame-bytes": 500 });
    let driver: Driver<Bytes> = serde_json::from_value(value).expect("the rest is as usual");
    assert!(driver.applied() > LogIndex::ZERO);
}
