//! What a run has had of what can happen, derived from its steps and facts.

use crate::checker::coverage::Coverage;
use crate::checker::writes::WRITES_TOLD_APART;
use crate::plan::act::{Act, ClockAct, LinkAct, Target};
use crate::plan::hostile::Hostile;
use crate::plan::record::{Lost, Stage};
use crate::world::watch::fact::{EndOfRun, Fact, Stepped};
use crate::world::watch::scene::Scene;
use raft_core::{
    Action, Config, Fate, Input, NodeId, Outcome, RejectReason, RoleKind, Token, TransferOutcome,
    Write,
};

/// Counts what happened in a step.
pub(super) fn of_step(seen: &mut Coverage, step: &Stepped<'_>) {
    let (before, after) = (step.before, step.after);
    let became = |role| after.role == role && (before.role != role || before.term < after.term);
    let paused = step.inputs.iter().filter(|input| matches!(input, Input::PeerPaused { .. }));
    let paused = u64::try_from(paused.count()).expect("a few inputs");
    seen.peers_paused += if before.role == RoleKind::Leader { paused } else { 0 };
    seen.batches += u64::from(step.inputs.len() > 1);
    seen.membership_changes += changes_taken(step.inputs, step.actions);
    seen.transfers_in_changes += transfers_begun(step);
    reads_asked(seen, step);
    seen.pre_votes += u64::from(became(RoleKind::PreCandidate));
    seen.elections += u64::from(became(RoleKind::Candidate));
    seen.leaders += u64::from(became(RoleKind::Leader));
    seen.abdications +=
        u64::from(before.role == RoleKind::Leader && after.role != RoleKind::Leader);
    for action in step.actions {
        match action {
            Action::Send(envelope) => seen.send(&envelope.message),
            Action::Apply { first, through } => {
                seen.applied += through.index.get() + 1 - first.get();
            }
            Action::Ignored { .. } => seen.ignored += 1,
            _ => {}
        }
    }
    seen.highest_term = seen.highest_term.max(after.term.get());
    seen.highest_commit = seen.highest_commit.max(after.commit_index.get());
}

/// Counts any other fact.
pub(super) fn of_fact(seen: &mut Coverage, scene: Scene<'_>, fact: &Fact<'_>) {
    match *fact {
        Fact::Started { node, config, first, was_torn } => {
            seen.torn_records += u64::from(was_torn);
            seen.restarts += u64::from(!first);
            seen.restarts_changed += u64::from(!first && !is_as_at_first(scene, node, config));
            let usual = scene.setup.election_timeout;
            seen.starts_slower += u64::from(config.election_timeout * 2 >= usual * 3);
        }
        Fact::Unstartable { .. } => seen.damaged_starts += 1,
        Fact::Crashed { lost, in_step, .. } => of_crash(seen, lost, in_step),
        Fact::CarriesOut { node, action } => of_action(seen, scene, node, action),
        Fact::Applied { repeated, .. } => seen.repeated += repeated,
        Fact::Compacted { .. } => seen.compactions += 1,
        Fact::FateReported { fate, .. } => seen.fates_lost += u64::from(fate == Fate::Lost),
        Fact::ReadServed => seen.reads_served += 1,
        Fact::WriteFailed { .. } => seen.writes_failed += 1,
        Fact::SnapshotFailed => seen.snapshots_failed += 1,
        Fact::InstallIsLong => seen.installs_long += 1,
        Fact::AppliesLate => seen.applies_late += 1,
        Fact::ReportsLate => seen.reports_late += 1,
        Fact::InstallFails => seen.installs_failed += 1,
        Fact::Installed { outcome, .. } => seen.installs += u64::from(outcome == Outcome::Done),
        Fact::Dropped { reason, .. } => seen.dropped(reason),
        Fact::Doubled { .. } => seen.duplicates += 1,
        Fact::FrameSplit => seen.frames_split += 1,
        Fact::TimeIsOver => seen.times_over += 1,
        Fact::PromotionWaits => seen.promotions_wait += 1,
        Fact::Fetches => seen.fetches += 1,
        Fact::TooManyBytes => seen.too_many_bytes += 1,
        Fact::GivesUp => seen.given_up += 1,
        Fact::AppliesInParts => seen.applied_in_parts += 1,
        Fact::FrameRefused => seen.frames_refused += 1,
        Fact::Hostile { what } => of_hostile(seen, what),
        Fact::Client { client, phase, .. } if client != 0 => of_operation(seen, phase),
        Fact::AsksAgain => seen.asked_again += 1,
        Fact::Act { act } => of_act(seen, act),
        Fact::Struck { target } => of_aim(seen, target),
        Fact::DiskHarmed { record, .. } => seen.damages += u64::from(record),
        Fact::Concluded { end, .. } => of_end(seen, end),
        Fact::Given { .. }
        | Fact::CarriedOut { .. }
        | Fact::StepDone { .. }
        | Fact::Leaves { .. }
        | Fact::Synced { .. }
        | Fact::AppliedLate { .. }
        | Fact::Written { .. }
        | Fact::Client { .. }
        | Fact::OperatorAsks { .. }
        | Fact::Answered { .. }
        | Fact::Wiped { .. }
        | Fact::Service { .. } => {}
    }
}

/// Whether T and the protection are those with which the node started first.
fn is_as_at_first(scene: Scene<'_>, node: NodeId, config: &Config) -> bool {
    let setup = scene.setup.nodes.iter().find(|setup| setup.id == node);
    setup.map(|setup| scene.setup.config(setup, 0)).is_some_and(|first| {
        let of = |config: &Config| (config.election_timeout, config.protection);
        of(&first) == of(config)
    })
}

fn of_crash(seen: &mut Coverage, lost: Lost, in_step: bool) {
    seen.crashes += 1;
    seen.crashes_in_step += u64::from(in_step);
    seen.lost_writes += u64::from(lost.survived < lost.in_flight);
    seen.surviving_writes += u64::from(lost.survived > 0);
    seen.torn_writes += u64::from(lost.torn);
}

/// What counts only if the host comes to it.
fn of_action(seen: &mut Coverage, scene: Scene<'_>, node: NodeId, action: &Action) {
    let process = scene.process(node);
    if let (Action::Persist(_), Some(host)) = (action, scene.host(node)) {
        seen.writes_many += u64::from(host.disk.in_flight() >= WRITES_TOLD_APART);
    }
    match action {
        Action::Rejected { token, reason } => {
            seen.rejections += 1;
            match reason {
                RejectReason::TooManyUncommitted { .. } => seen.too_many_uncommitted += 1,
                RejectReason::TooManyReads => seen.too_many_reads += 1,
                _ => {}
            }
            let reads = process.is_some_and(|process| process.queries.contains_key(token));
            seen.reads_refused += u64::from(reads);
        }
        Action::Persist(Write { log: Some(log), .. }) if log.restart_after.is_none() => {
            let truncates = process.is_some_and(|process| log.first <= process.log.last().index);
            seen.truncations += u64::from(truncates);
        }
        Action::TransferEnded { outcome, .. } => {
            let done = *outcome == TransferOutcome::SteppedDown;
            *(if done { &mut seen.transfers_done } else { &mut seen.transfers_failed }) += 1;
        }
        Action::SendSnapshot { .. } => seen.snapshots_sent += 1,
        _ => {}
    }
}

const fn of_hostile(seen: &mut Coverage, what: Hostile) {
    *match what {
        Hostile::Replayed => &mut seen.replayed,
        Hostile::Misrouted => &mut seen.misrouted,
        Hostile::Stranger => &mut seen.strangers,
        Hostile::Malformed => &mut seen.malformed,
        Hostile::Contradiction => &mut seen.contradictions,
    } += 1;
}

const fn of_operation(seen: &mut Coverage, phase: Stage) {
    match phase {
        Stage::Returned { .. } => seen.operations_done += 1,
        Stage::Unknown => seen.operations_unknown += 1,
        Stage::Failed => seen.operations_failed += 1,
        Stage::Invoked => {}
    }
}

const fn of_aim(seen: &mut Coverage, target: Target) {
    *match target {
        Target::Leader => &mut seen.struck_leaders,
        Target::ReadingLeader => &mut seen.struck_reading,
        Target::ChangingLeader => &mut seen.struck_changing,
        Target::Installing => &mut seen.struck_installing,
        Target::Promised => &mut seen.struck_promised,
        Target::Struck => return,
    } += 1;
}

const fn of_act(seen: &mut Coverage, act: &Act) {
    match act {
        Act::Link(LinkAct::Reach { .. }) => seen.shapes += 1,
        Act::Link(LinkAct::Flap { .. }) => seen.flaps += 1,
        Act::Clock(ClockAct::StepBack { .. }) => seen.steps_back += 1,
        _ => {}
    }
}

fn of_end(seen: &mut Coverage, end: Option<EndOfRun>) {
    let Some(end) = end else { return };
    let EndOfRun { has_cut_links, has_broken_nodes, serves, is_constrained } = end;
    seen.settled_serving += u64::from(has_cut_links && serves);
    seen.settled_without += u64::from(has_cut_links && !serves);
    seen.minority_broken += u64::from(has_broken_nodes && serves);
    seen.majority_broken += u64::from(has_broken_nodes && !serves);
    seen.constrained += u64::from(is_constrained && !serves);
}

/// How many changes of the membership were taken.
fn changes_taken(inputs: &[Input], actions: &[Action]) -> u64 {
    let taken = |name: Token| {
        let is =
            |action: &Action| matches!(action, Action::Accepted { token, .. } if *token == name);
        actions.iter().any(is)
    };
    let changes = inputs.iter().filter(|input| match input {
        Input::ChangeMembership { token, .. } => taken(*token),
        _ => false,
    });
    u64::try_from(changes.count()).expect("a few inputs")
}

/// Where reads were asked for that need care.
fn reads_asked(seen: &mut Coverage, step: &Stepped<'_>) {
    let before = step.before;
    let is_deposed = before.role == RoleKind::Leader && before.term.get() < seen.highest_term;
    if !is_deposed && !before.membership_changes {
        return;
    }
    let reads = step.inputs.iter().filter(|input| matches!(input, Input::Read { .. }));
    let reads = u64::try_from(reads.count()).expect("a few inputs");
    seen.reads_deposed += if is_deposed { reads } else { 0 };
    seen.reads_changing += if before.membership_changes { reads } else { 0 };
}

/// Whether a transfer of leadership began while a change of the membership was under way.
fn transfers_begun(step: &Stepped<'_>) -> u64 {
    let begins = step.before.transfers_to.is_none() && step.after.transfers_to.is_some();
    u64::from(begins && step.before.membership_changes)
}
