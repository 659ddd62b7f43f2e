//! Mutual TLS between processes, with an authority made for the test.

use crate::common::{Nodes, nodes_in};
use kv::net::tls::name_of;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn authority(dir: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("random numbers");
    let certificate = params.self_signed(&key).expect("valid");
    fs::write(dir.join(name), certificate.pem()).expect("room");
    Issuer::new(params, key)
}

/// A certificate for `file`, made out to node `named`.
fn certificate(dir: &Path, issuer: &Issuer<'static, KeyPair>, file: u64, named: u64) {
    let params = CertificateParams::new(vec![name_of("kv", named)]).expect("valid");
    let key = KeyPair::generate().expect("random numbers");
    let certificate = params.signed_by(&key, issuer).expect("valid");
    fs::write(dir.join(format!("{file}.pem")), certificate.pem()).expect("room");
    fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).expect("room");
}

/// Three nodes; the third one's certificate is made by `third`, for the node `named`.
fn three(third_is_stranger: bool, named: u64) -> Nodes {
    let dir = tempfile::tempdir().expect("room");
    let path = dir.path().to_path_buf();
    let ours = authority(&path, "authority.pem");
    let strangers = authority(&path, "strangers.pem");
    certificate(&path, &ours, 1, 1);
    certificate(&path, &ours, 2, 2);
    certificate(&path, if third_is_stranger { &strangers } else { &ours }, 3, named);
    let file = |name: &str| path.join(name).display().to_string();
    let (authority, pem, key) = (file("authority.pem"), file("{id}.pem"), file("{id}.key"));
    let arguments = [
        "--election-timeout-ms",
        "500",
        "--tls-authority",
        &authority,
        "--tls-certificate",
        &pem,
        "--tls-key",
        &key,
    ];
    nodes_in(dir, 3, 0, &arguments)
}

/// Whether the third node has heard anything, after the others have worked for a while.
fn third_is_alone(nodes: &Nodes) -> bool {
    nodes.leader(&[1, 2]);
    nodes.put(1, "key", b"value");
    std::thread::sleep(Duration::from_secs(2));
    let heard = |id: u64| nodes.status(id).expect("it answers")["heard_ms"].clone();
    let (one, three) = (heard(1), heard(3));
    one.get("3").is_none() && three.as_object().is_some_and(serde_json::Map::is_empty)
}

#[test]
fn nodes_with_certificates_of_their_own_form_a_cluster() {
    let nodes = three(false, 3);
    nodes.leader(&[1, 2, 3]);
    nodes.put(3, "key", b"value");
    assert_eq!(nodes.get(2, "key"), Some(b"value".to_vec()));
}

#[test]
fn a_node_with_another_nodes_certificate_is_not_heard() {
    assert!(third_is_alone(&three(false, 2)));
}

#[test]
fn a_node_with_a_strangers_certificate_is_not_heard() {
    assert!(third_is_alone(&three(true, 3)));
}
