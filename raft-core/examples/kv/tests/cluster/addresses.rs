//! Where nodes are, as operators say it: three processes, of one of which nothing is known.

use crate::common::nodes;
use kv::cluster::Cluster;
use kv_attack::client::Answer;
use std::time::Duration;
use ureq::http::Method;

#[test]
fn a_change_waits_for_the_address_of_a_member_of_which_nobody_has_said_it() {
    let mut nodes = nodes(3, 1, &["--election-timeout-ms", "500"]);
    nodes.leader(&[1, 2, 3]);
    // Two of them come back, and are told of each other only; the third one, which would say where
    // it is, does not.
    for id in 1..=3 {
        assert!(nodes.cluster.stop(id, Duration::from_secs(8)).expect("it runs"), "in order");
    }
    let members = nodes.cluster.members().to_vec();
    let two = Cluster::new(
        env!("CARGO_BIN_EXE_kv").into(),
        nodes.dir.path().to_path_buf(),
        members[..2].to_vec(),
    );
    nodes.cluster = two.with_arguments(&["--election-timeout-ms", "500"]);
    for id in [1, 2] {
        nodes.cluster.start(id).expect("it starts");
    }
    let leader = nodes.leader(&[1, 2]);
    let path = |id: u64, member: usize| {
        let address = &members[member].address;
        format!("/nodes/{id}?raft={}&http={}", address.raft, address.http)
    };
    let ask = |method: &Method, path: &str| {
        let mut answer = Answer::Nobody;
        nodes.until("an answer", || {
            answer = nodes.ask(method, leader, path, &[]);
            !matches!(answer.code(), 0 | 503 | 504)
        });
        let Answer::Said(code, body) = answer else { panic!("{answer:?}") };
        (code, String::from_utf8(body).expect("text"))
    };
    let (code, why) = ask(&Method::POST, &path(4, 3));
    assert!(code == 409 && why.contains("PUT /nodes/3"), "{code} {why}");
    assert_eq!(ask(&Method::POST, "/nodes/4?raft=here&http=a:1").0, 400, "it is no address");
    assert_eq!(ask(&Method::PUT, "/nodes/3?raft=a:1&http=").0, 400, "nor is this");
    let (code, why) = ask(&Method::PUT, &path(9, 2));
    assert!(code == 409 && why.contains("node 9 is no member"), "{code} {why}");
    assert_eq!(ask(&Method::PUT, &path(3, 2)).0, 200);
    let follower = 3 - leader;
    nodes.until("the other one knows it, too", || {
        let status = nodes.status(follower).expect("it answers");
        status["addresses"]["3"]["raft"] == members[2].address.raft
    });
    assert_eq!(ask(&Method::POST, &path(4, 3)).0, 200);
    let status = nodes.status(leader).expect("it answers");
    assert_eq!(status["learners"], serde_json::json!([4]));
}
