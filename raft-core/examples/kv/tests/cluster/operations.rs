//! What operators do, on three processes and a fourth one.

use crate::common::{Nodes, nodes};
use kv_attack::client::Answer;
use std::fs;
use std::time::Duration;
use ureq::http::Method;

const QUICK: [&str; 2] = ["--election-timeout-ms", "500"];

#[test]
fn a_node_joins_by_snapshot_votes_leads_and_goes() {
    let few = [&QUICK[..], &["--snapshot-bytes", "100000", "--kept-bytes", "1000"]].concat();
    let mut nodes = nodes(3, 1, &few);
    nodes.leader(&[1, 2, 3]);
    for key in 0..40 {
        nodes.put(1, &format!("k{key}"), &[b'x'; 10_000]);
    }
    nodes.until("the log is compacted everywhere", || {
        (1..=3).all(|id| nodes.status(id).is_some_and(|s| s["log_start"]["index"] != 0))
    });
    nodes.cluster.start(4).expect("it starts");
    let member = nodes.cluster.members()[3].address.clone();
    let path = format!("/nodes/4?raft={}&http={}", member.raft, member.http);
    nodes
        .until("the fourth is a learner", || nodes.ask(&Method::POST, 2, &path, &[]).code() == 200);
    let promote = "/nodes/4/promote?timeout_ms=3000";
    nodes.until("it votes", || {
        matches!(nodes.ask(&Method::POST, 2, promote, &[]).code(), 200 | 409)
    });
    nodes.until("it knows", || {
        nodes.status(4).is_some_and(|s| s["voters"].as_array().is_some_and(|v| v.len() == 4))
    });
    assert_eq!(nodes.get(4, "k7"), Some(vec![b'x'; 10_000]));
    assert_eq!(nodes.ask(&Method::GET, 4, "/kv/k39?consistency=stale", &[]).code(), 200);
    let files = fs::read_dir(nodes.dir.path().join("node-4/snapshots")).expect("there");
    assert!(files.count() > 0, "it came by snapshot");

    nodes.until("the fourth leads", || {
        _ = nodes.ask(&Method::POST, 1, "/leader?to=4", &[]);
        nodes.status(4).is_some_and(|status| status["role"] == "leader")
    });
    nodes.until("it is removed", || {
        matches!(nodes.ask(&Method::DELETE, 1, "/nodes/4", &[]).code(), 200 | 409)
    });
    nodes.cluster.kill(4).expect("it runs");
    let leader = nodes.leader(&[1, 2, 3]);
    nodes.put(leader, "after", b"1");
    let status = nodes.status(leader).expect("it answers");
    assert_eq!(status["voters"], serde_json::json!([1, 2, 3]));
}

#[test]
fn a_follower_that_lacks_more_than_the_leader_has_in_memory_gets_it_from_the_disk() {
    let mut nodes = nodes(3, 0, &[&QUICK[..], &["--cached-bytes", "20000"]].concat());
    let leader = nodes.leader(&[1, 2, 3]);
    let away = leader % 3 + 1;
    nodes.cluster.kill(away).expect("it runs");
    for key in 0..60 {
        nodes.put(leader, &format!("k{key}"), &[b'x'; 10_000]);
    }
    nodes.cluster.start(away).expect("it starts");
    nodes.until("it has caught up", || {
        let [here, there] = [leader, away].map(|id| nodes.status(id));
        here.zip(there).is_some_and(|(here, there)| here["applied"] == there["applied"])
    });
    let status = nodes.status(away).expect("it answers");
    assert_eq!(status["log_start"]["index"], 0, "by its log, and not by a snapshot");
    let last = nodes.ask(&Method::GET, away, "/kv/k59?consistency=stale", &[]);
    assert_eq!(last, Answer::Said(200, vec![b'x'; 10_000]));
}

#[test]
fn codes_say_what_a_client_may_do_next() {
    let nodes = nodes(3, 0, &QUICK);
    let leader = nodes.leader(&[1, 2, 3]);
    let follower = leader % 3 + 1;
    nodes.put(leader, "key", b"value");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    let pointed =
        agent.put(nodes.url(follower, "/kv/key?timeout_ms=99")).send("x").expect("it answers");
    assert_eq!(pointed.status(), 307);
    let there = pointed.headers()["location"].to_str().expect("text");
    assert_eq!(there, nodes.url(leader, "/kv/key?timeout_ms=99"));
    let code =
        |method: &Method, path: &str, body: &[u8]| nodes.ask(method, leader, path, body).code();
    assert_eq!(code(&Method::GET, "/kv/nothing", &[]), 404);
    assert_eq!(code(&Method::PUT, "/kv/large", &vec![b'x'; 1_000_000]), 200);
    assert_eq!(nodes.get(follower, "large").map(|value| value.len()), Some(1_000_000));
    assert_eq!(code(&Method::PUT, "/kv/large", &vec![b'x'; 1_000_001]), 413);
    assert_eq!(code(&Method::POST, "/nodes/9/promote", &[]), 409, "it is no learner");
    assert_eq!(code(&Method::POST, "/leader?to=9", &[]), 409);
    assert_eq!(code(&Method::GET, "/kv/key?consistency=never", &[]), 400);
    assert_eq!(code(&Method::GET, "/kv/key?consistency=lease", &[]), 200);
    let Answer::Said(200, metrics) = nodes.ask(&Method::GET, leader, "/metrics", &[]) else {
        panic!("metrics")
    };
    let metrics = String::from_utf8(metrics).expect("text");
    assert!(metrics.contains("kv_leads 1") && metrics.contains("kv_fsync_seconds_bucket"));
    assert!(metrics.contains(&format!("kv_peer_match_index{{peer=\"{follower}\"}}")));
}

#[test]
fn a_write_of_a_session_that_comes_again_is_answered_as_the_first_time_after_a_restart_too() {
    let mut nodes = nodes(3, 0, &[&QUICK[..], &["--snapshot-bytes", "3000"]].concat());
    let leader = nodes.leader(&[1, 2, 3]);
    let opened = nodes.ask(&Method::POST, leader, "/sessions", &[]);
    let Answer::Said(200, body) = opened else { panic!("{opened:?}") };
    let said: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let session = said["session"].as_u64().expect("a name").to_string();
    let add = |nodes: &Nodes, number: u64, received: u64| {
        let (number, received) = (number.to_string(), received.to_string());
        let headers =
            [("kv-session", &session[..]), ("kv-number", &number), ("kv-received", &received)];
        let mut answer = Answer::Nobody;
        nodes.until("a write", || {
            let url = nodes.url(1, "/kv/tape");
            answer = nodes.client.ask_with(&Method::POST, &url, &headers, b"x");
            !matches!(answer.code(), 0 | 503 | 504)
        });
        let Answer::Said(code, body) = answer else { panic!("{answer:?}") };
        let said: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        (code, said["length"].as_u64(), said["session"].as_str().map(String::from))
    };
    for number in 1..=3 {
        assert_eq!(add(&nodes, number, 0), (200, Some(number), None));
    }
    // A snapshot takes the place of the log, and every node starts from it.
    for key in 0..20 {
        nodes.put(1, &format!("k{key}"), &[b'x'; 1000]);
    }
    for id in 1..=3 {
        nodes.cluster.kill(id).expect("it runs");
    }
    for id in 1..=3 {
        nodes.cluster.start(id).expect("it starts");
    }
    nodes.leader(&[1, 2, 3]);
    assert_eq!(add(&nodes, 3, 0), (200, Some(3), None), "the first answer");
    assert_eq!(add(&nodes, 4, 2), (200, Some(4), None));
    assert_eq!(add(&nodes, 2, 0), (409, None, Some("received".into())));
    assert_eq!(add(&nodes, 5, 5), (400, None, Some("malformed".into())));
    let close = format!("/sessions/{session}");
    nodes.until("it is closed", || nodes.ask(&Method::DELETE, 1, &close, &[]).code() == 200);
    assert_eq!(add(&nodes, 5, 0), (410, None, Some("expired".into())));
    assert_eq!(nodes.get(2, "tape"), Some(b"xxxx".to_vec()));
}

#[test]
fn without_a_quorum_a_write_is_unknown_and_a_read_is_refused() {
    let nodes = nodes(3, 0, &["--election-timeout-ms", "2000"]);
    let leader = nodes.leader(&[1, 2, 3]);
    nodes.put(leader, "key", b"1");
    for id in (1..=3).filter(|id| *id != leader) {
        nodes.cluster.hold(id, true).expect("it runs");
    }
    let write = nodes.ask(&Method::PUT, leader, "/kv/key?timeout_ms=200", b"2");
    assert_eq!(write.code(), 504, "{write:?}");
    let read = nodes.ask(&Method::GET, leader, "/kv/key?timeout_ms=200", &[]);
    assert_eq!(read.code(), 503, "{read:?}");
    assert_eq!(nodes.ask(&Method::GET, leader, "/kv/key?consistency=stale", &[]).code(), 200);
    for id in (1..=3).filter(|id| *id != leader) {
        nodes.cluster.hold(id, false).expect("it runs");
    }
    nodes.put(leader, "key", b"3");
    assert_eq!(nodes.get(leader, "key"), Some(b"3".to_vec()));
}

#[test]
fn a_leader_that_is_stopped_hands_over_and_comes_back_with_its_data() {
    let mut nodes = nodes(3, 0, &["--election-timeout-ms", "5000"]);
    let leader = nodes.leader(&[1, 2, 3]);
    nodes.put(leader, "key", b"value");
    assert!(nodes.cluster.stop(leader, Duration::from_secs(8)).expect("it runs"), "in order");
    let begun = std::time::Instant::now();
    let others: Vec<_> = (1..=3).filter(|id| *id != leader).collect();
    nodes.leader(&others);
    assert!(begun.elapsed() < Duration::from_secs(4), "nobody waited for an election timeout");
    nodes.cluster.start(leader).expect("it starts");
    nodes.until("it is back", || nodes.status(leader).is_some());
    assert_eq!(nodes.get(leader, "key"), Some(b"value".to_vec()));
}

#[test]
fn a_node_does_not_start_on_what_is_left_of_its_disk() {
    let mut nodes = nodes(1, 0, &QUICK);
    nodes.put(1, "key", b"value");
    nodes.cluster.kill(1).expect("it runs");
    fs::remove_file(nodes.dir.path().join("node-1/log.redb")).expect("there");
    nodes.cluster.start(1).expect("it starts");
    let mut ended = None;
    for _ in 0..200 {
        ended = nodes.cluster.ended(1).expect("it was started");
        if ended.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(1));
}
