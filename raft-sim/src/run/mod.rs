//! Runs of a world, for whoever wants them: drawn by a seed, played from a scenario, replayed from
//! a tape, swept over many seeds, made smaller, fuzzed.

pub(crate) mod fuzz;
pub(crate) mod gauge;
pub(crate) mod measure;
pub(crate) mod observe;
pub(crate) mod panics;
pub(crate) mod play;
pub(crate) mod shrink;
pub(crate) mod swarm;
pub(crate) mod sweep;
pub(crate) mod tape;
pub(crate) mod trial;

pub use fuzz::{
    fuzz_cluster, fuzz_dump, fuzz_frames, fuzz_kinds, fuzz_messages, fuzz_one_node, fuzz_reached,
    fuzz_recovery, fuzz_scenario, fuzz_seeds,
};
pub use gauge::{Gauged, Quantity, Spread, gauge};
pub use measure::{Measured, Sample, measure};
pub use observe::{Figures, Leadership, Observer};
pub use play::{Check, Played, play, play_rotations};
pub use shrink::{Case, ShrinkError, Shrunk, Size, script, shrink, sizes};
pub use swarm::{QUIET_TIMEOUTS, STORM, draw_setup, run_drawn, run_replicating, run_storm};
pub use sweep::{
    Count, ENOUGH, MergeError, Rare, Seeds, Shard, Stopped, SweepFailure, SweepPlan, SweepReport,
    SweepVerdict, build_id, merge, run_seed, sweep,
};
pub use tape::{Tape, TapeError};
pub use trial::{FinishedRun, Trial, same_failure};
