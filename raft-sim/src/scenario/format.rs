//! The tables and keys of a scenario file. What they mean: `docs/SCENARIOS.md`. Errors
//! keep their words by `expecting`.

use crate::scenario::text::{LogRun, Number, Range, Text};
use raft_core::{LogPosition, NodeId, Protection, RoleKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) title: String,
    #[serde(default)]
    pub(super) rules: Vec<String>,
    pub(super) notes: Option<String>,
    pub(super) why: Option<String>,
    pub(super) story: String,
    pub(super) cluster: ClusterTable,
    #[serde(default)]
    pub(super) link: LinkTable,
    #[serde(default)]
    pub(super) disk: DiskTable,
    #[serde(default)]
    pub(super) snapshots: Snapshots,
    #[serde(default)]
    pub(super) lag: Lag,
    #[serde(default)]
    pub(super) driver: DriverTable,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) node: Vec<NodeTable>,
    #[serde(default)]
    pub(super) client: Vec<Spanned<ClientTable>>,
    pub(super) run: RunTable,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<Expect>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Cluster")]
pub(super) struct ClusterTable {
    pub(super) voters: Spanned<Text<u64>>,
    pub(super) learners: Option<Spanned<Text<u64>>>,
    pub(super) spare: Option<Spanned<Text<u64>>>,
    pub(super) election_timeout: Spanned<Text<Duration>>,
    pub(super) heartbeat_interval: Option<Spanned<Text<Duration>>>,
    pub(super) clock_offset: Option<Text<Duration>>,
    pub(super) gathering: Option<Text<Duration>>,
    pub(super) build_delay: Option<Text<Duration>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "struct Link")]
pub(super) struct LinkTable {
    pub(super) delay: Option<Spanned<Text<Range<Duration>>>>,
    pub(super) loss_ppm: Option<Spanned<Text<u64>>>,
    pub(super) duplicate_ppm: Option<Spanned<Text<u64>>>,
    #[serde(default)]
    pub(super) except: Vec<Except>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Except {
    pub(super) links: Spanned<String>,
    pub(super) delay: Option<Spanned<Text<Range<Duration>>>>,
    pub(super) loss_ppm: Option<Spanned<Text<u64>>>,
    pub(super) duplicate_ppm: Option<Spanned<Text<u64>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "struct Disk")]
pub(super) struct DiskTable {
    pub(super) latency: Option<Spanned<Text<Range<Duration>>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshots {
    pub(super) every: Option<Text<u64>>,
    pub(super) delay: Option<Text<Duration>>,
    pub(super) failure_ppm: Option<Spanned<Text<u64>>>,
    pub(super) failures_until: Option<Text<Duration>>,
    pub(super) timeout: Option<Text<Duration>>,
    pub(super) install: Option<Text<Duration>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Lag {
    pub(super) reports: Option<Text<Duration>>,
    pub(super) applies: Option<Text<Duration>>,
    pub(super) until: Option<Text<Duration>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "struct Driver")]
pub(super) struct DriverTable {
    pub(super) frame_bytes: Option<Text<u64>>,
    pub(super) in_flight_bytes: Option<Text<u64>>,
    pub(super) uncommitted_bytes: Option<Text<u64>>,
    pub(super) apply_bytes: Option<Text<u64>>,
    pub(super) cached_bytes: Option<Text<u64>>,
    pub(super) kept_bytes: Option<Text<u64>>,
    pub(super) gives_up: Option<bool>,
    pub(super) miss_ppm: Option<Spanned<Text<u64>>>,
    pub(super) patience: Option<Text<Duration>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "struct Limits")]
pub(super) struct LimitsTable {
    pub(super) max_entries_per_message: Option<Spanned<Text<u64>>>,
    pub(super) max_messages_in_flight: Option<Spanned<Text<u64>>>,
    pub(super) max_entries_in_flight: Option<Spanned<Text<u64>>>,
    pub(super) max_uncommitted: Option<Spanned<Text<u64>>>,
    pub(super) max_pending_reads: Option<Spanned<Text<u64>>>,
    pub(super) clock_drift_ppm: Option<Spanned<Text<u64>>>,
    pub(super) disk_timeout: Option<Spanned<Text<Duration>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Node")]
pub(super) struct NodeTable {
    pub(super) id: Spanned<Text<NodeId>>,
    pub(super) membership: Option<Spanned<String>>,
    pub(super) election_timeout: Option<Spanned<Text<Duration>>>,
    pub(super) heartbeat_interval: Option<Spanned<Text<Duration>>>,
    pub(super) protection: Option<Text<Protection>>,
    pub(super) term: Option<Text<u64>>,
    pub(super) voted_for: Option<Text<NodeId>>,
    pub(super) promised: Option<Text<Duration>>,
    #[serde(default)]
    pub(super) log: Vec<Spanned<Text<LogRun>>>,
    pub(super) starts: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Client")]
pub(super) struct ClientTable {
    pub(super) think: Option<Spanned<Text<Range<Duration>>>>,
    pub(super) write_percent: Option<Spanned<Text<u64>>>,
    pub(super) query_percent: Option<Spanned<Text<u64>>>,
    pub(super) leases: Option<bool>,
    pub(super) keys: Option<Spanned<Text<u64>>>,
    pub(super) patience: Option<Text<Duration>>,
    pub(super) own: Option<bool>,
    pub(super) home: Option<Spanned<Text<NodeId>>>,
    pub(super) ask_again: Option<Text<Duration>>,
    pub(super) start: Option<Text<Duration>>,
    pub(super) stop: Option<Text<Duration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Run")]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub(super) struct RunTable {
    pub(super) duration: Spanned<Text<Duration>>,
    #[serde(default)]
    pub(super) strict_leases: bool,
    pub(super) observe_from: Option<Spanned<Text<Duration>>>,
    pub(super) protection: Option<Spanned<Vec<Text<Protection>>>>,
    #[serde(default)]
    pub(super) compare: bool,
    #[serde(default)]
    pub(super) beyond: bool,
    pub(super) alarm: Option<String>,
    pub(super) settled_by: Option<Spanned<Text<Duration>>>,
    pub(super) seed: Option<Spanned<Text<u64>>>,
    pub(super) choices: Option<Vec<AnswerEntry>>,
    #[serde(default)]
    pub(super) converges: bool,
    pub(super) broke: Option<String>,
    #[serde(default)]
    pub(super) timeline: Vec<TimelineEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Answer")]
pub(super) struct AnswerEntry {
    pub(super) of: Spanned<String>,
    pub(super) nth: Text<u64>,
    #[serde(rename = "answer")]
    pub(super) value: Text<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "struct Happening")]
pub(super) struct TimelineEntry {
    pub(super) at: Spanned<Text<Duration>>,
    #[serde(rename = "do")]
    pub(super) sentence: Spanned<String>,
    pub(super) every: Option<Spanned<Text<Duration>>>,
    pub(super) until: Option<Spanned<Text<Duration>>>,
    pub(super) delay: Option<Spanned<Text<Range<Duration>>>>,
    pub(super) loss_ppm: Option<Spanned<Text<u64>>>,
    pub(super) duplicate_ppm: Option<Spanned<Text<u64>>>,
    pub(super) latency: Option<Spanned<Text<Range<Duration>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) that: String,
    pub(super) protection: Option<Spanned<Vec<Text<Protection>>>>,
    pub(super) at: Option<Spanned<Text<Duration>>>,
    // Of the whole run, from `observe_from` until `at`.
    pub(super) elections: Option<Text<Range<u64>>>,
    pub(super) pre_votes: Option<Text<Range<u64>>>,
    pub(super) highest_term: Option<Text<Range<u64>>>,
    pub(super) leader_changes: Option<Text<Range<u64>>>,
    pub(super) leaderless: Option<Text<Range<Duration>>>,
    pub(super) first_candidate: Option<Text<Range<Duration>>>,
    pub(super) answered: Option<Text<Range<u64>>>,
    pub(super) excused: Option<Text<Range<u64>>>,
    pub(super) leader_kept: Option<bool>,
    #[serde(default)]
    pub(super) happened: BTreeMap<String, Text<Range<u64>>>,
    pub(super) leader: Option<Spanned<String>>,
    // Of the nodes that `node` names, at the moment `at`.
    pub(super) node: Option<Spanned<String>>,
    pub(super) role: Option<Spanned<Text<RoleKind>>>,
    pub(super) term: Option<Spanned<Text<Range<u64>>>>,
    pub(super) last: Option<Spanned<Text<LogPosition>>>,
    pub(super) commit: Option<Spanned<Text<Range<u64>>>>,
    pub(super) applied: Option<Spanned<Text<Range<u64>>>>,
    pub(super) holds: Option<Spanned<Text<LogPosition>>>,
    pub(super) lacks: Option<Spanned<Text<LogPosition>>>,
    pub(super) committed: Option<Spanned<Text<LogPosition>>>,
    pub(super) lost: Option<Spanned<Text<LogPosition>>>,
    pub(super) open: Option<Spanned<Text<LogPosition>>>,
    pub(super) voters: Option<Spanned<String>>,
    pub(super) learners: Option<Spanned<String>>,
    pub(super) log_start: Option<Spanned<Text<Range<u64>>>>,
    pub(super) pending_reads: Option<Spanned<Text<Range<u64>>>>,
    pub(super) has_lease: Option<Spanned<bool>>,
    pub(super) probes: Option<Spanned<String>>,
    pub(super) replicates_to: Option<Spanned<String>>,
    pub(super) sends_snapshot_to: Option<Spanned<String>>,
}
