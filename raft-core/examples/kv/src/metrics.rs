//! What is counted, in the format of Prometheus.

use crate::inbox::Look;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use raft_core::RoleKind;
use std::time::Duration;

/// What is counted while the server runs, and what is looked at when somebody asks.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    fsync: Histogram,
    group: Histogram,
    /// Changes of role, term or leader.
    pub role_changes: IntCounter,
    /// Messages that changed nothing.
    pub ignored: IntCounter,
    /// Peers whose disk lost what they had acknowledged.
    pub regressed: IntCounter,
    /// Frames that lied, were too large, or could not be read.
    pub refused_frames: IntCounter,
    /// Frames that left, and that arrived.
    pub sent_frames: IntCounter,
    /// See [`sent_frames`](Self::sent_frames).
    pub received_frames: IntCounter,
    /// Frames that were dropped because a queue was full or a peer not connected.
    pub dropped_frames: IntCounter,
    gauges: Gauges,
}

#[derive(Debug)]
struct Gauges {
    term: IntGauge,
    leads: IntGauge,
    commit_index: IntGauge,
    applied_index: IntGauge,
    last_index: IntGauge,
    log_start: IntGauge,
    waiting: IntGauge,
    peer_match: IntGaugeVec,
    peer_bytes: IntGaugeVec,
    peer_most_bytes: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new().expect("names are valid and different")
    }
}

/// It is among what is shown.
fn known<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| known(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| known(&registry, IntGauge::new(name, help)?);
        let by_peer = |name: &str, help: &str| {
            known(&registry, IntGaugeVec::new(Opts::new(name, help), &["peer"])?)
        };
        let histogram = |name: &str, help: &str, start: f64, factor: f64| {
            let buckets = prometheus::exponential_buckets(start, factor, 14)?;
            known(&registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
        };
        Ok(Self {
            fsync: histogram("kv_fsync_seconds", "Time of a commit of the log.", 0.0001, 2.0)?,
            group: histogram("kv_fsync_writes", "Writes that shared a commit.", 1.0, 2.0)?,
            role_changes: counter("kv_role_changes_total", "Changes of role, term or leader.")?,
            ignored: counter("kv_ignored_messages_total", "Messages that changed nothing.")?,
            regressed: counter("kv_regressed_peers_total", "Peers that lost durable entries.")?,
            refused_frames: counter("kv_refused_frames_total", "Frames that lied.")?,
            sent_frames: counter("kv_sent_frames_total", "Frames that left.")?,
            received_frames: counter("kv_received_frames_total", "Frames that arrived.")?,
            dropped_frames: counter("kv_dropped_frames_total", "Frames that were dropped.")?,
            gauges: Gauges {
                term: gauge("kv_term", "The current term.")?,
                leads: gauge("kv_leads", "1 if this node leads.")?,
                commit_index: gauge("kv_commit_index", "The commit index.")?,
                applied_index: gauge("kv_applied_index", "What the state machine has applied.")?,
                last_index: gauge("kv_last_index", "The last index of the log.")?,
                log_start: gauge("kv_log_start", "The index before the log.")?,
                waiting: gauge("kv_waiting_requests", "Requests that wait for an answer.")?,
                peer_match: by_peer("kv_peer_match_index", "What a peer has durably.")?,
                peer_bytes: by_peer("kv_peer_bytes_on_the_way", "Bytes sent, not acknowledged.")?,
                peer_most_bytes: by_peer("kv_peer_most_bytes_on_the_way", "The most ever.")?,
            },
            registry,
        })
    }

    /// So many writes are durable, after so long.
    pub fn synced(&self, took: Duration, writes: u32) {
        self.fsync.observe(took.as_secs_f64());
        self.group.observe(f64::from(writes));
    }

    /// Everything, as text, with the node as it looks now.
    pub fn text(&self, look: &Look) -> String {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (gauges, status) = (&self.gauges, &look.status);
        gauges.term.set(number(status.term.get()));
        gauges.leads.set(i64::from(status.role == RoleKind::Leader));
        gauges.commit_index.set(number(status.commit_index.get()));
        gauges.applied_index.set(number(look.applied.get()));
        gauges.last_index.set(number(status.last.index.get()));
        gauges.log_start.set(number(status.log_start.index.get()));
        gauges.waiting.set(number(look.waiting as u64));
        gauges.peer_match.reset();
        gauges.peer_bytes.reset();
        for (peer, bytes) in &look.peers {
            let name = peer.id.to_string();
            gauges.peer_match.with_label_values(&[&name]).set(number(peer.match_index.get()));
            gauges.peer_bytes.with_label_values(&[&name]).set(number(*bytes));
        }
        for (peer, bytes) in &look.most {
            gauges.peer_most_bytes.with_label_values(&[&peer.to_string()]).set(number(*bytes));
        }
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.expect("it is written to memory");
        String::from_utf8(text).expect("it is text")
    }
}
