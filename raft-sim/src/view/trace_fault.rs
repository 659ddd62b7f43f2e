//! What was done to the world.

use crate::plan::damage::DamageTarget;
use crate::plan::fault::Fault;
use crate::view::json::{joined, nanos};
use raft_core::NodeId;
use serde_json::{Value, json};

pub(super) fn done(fault: &Fault) -> Value {
    let link = |name, from: NodeId, to: NodeId| json!({ "what": name, "from": from, "to": to });
    let node = |name, node: NodeId| json!({ "what": name, "node": node });
    match fault {
        Fault::Read { node: id, consistency } => {
            joined(node("read", *id), json!({ "consistency": consistency }))
        }
        Fault::ChangeMembership { node: id, change } => {
            json!({ "what": "change_membership", "node": id, "change": format!("{change}") })
        }
        Fault::Transfer { node: id, to } => {
            json!({ "what": "transfer", "node": id, "to": to })
        }
        Fault::TakeSnapshot { node: id } => node("take_snapshot", *id),
        Fault::Unreachable { node: id, peer } => {
            joined(node("unreachable", *id), json!({ "peer": peer }))
        }
        Fault::SetClock { node: id, ppm } => joined(node("set_clock", *id), json!({ "ppm": ppm })),
        Fault::JumpClock { node: id, millis } => {
            joined(node("jump_clock", *id), json!({ "millis": millis }))
        }
        Fault::Wipe { node: id } => node("wipe", *id),
        Fault::Cut { from, to } => link("cut", *from, *to),
        Fault::Heal { from, to } => link("heal", *from, *to),
        Fault::HealAll => json!({ "what": "heal_all" }),
        Fault::Reach { shape } => json!({ "what": "reach", "shape": format!("{shape}") }),
        Fault::Flap { from, to, period } => {
            joined(link("flap", *from, *to), json!({ "period": nanos(*period) }))
        }
        Fault::Isolate { node: id } => node("isolate", *id),
        Fault::Crash { node: id } => node("crash", *id),
        Fault::CrashInStep { node: id } => node("crash_in_step", *id),
        Fault::Restart { node: id } => node("restart", *id),
        Fault::Pause { node: id } => node("pause", *id),
        Fault::Resume { node: id } => node("resume", *id),
        Fault::HangDisk { node: id } => node("hang_disk", *id),
        Fault::ReleaseDisk { node: id } => node("release_disk", *id),
        Fault::FillDisk { node: id, room } => {
            joined(node("fill_disk", *id), json!({ "room": room }))
        }
        Fault::FreeDisk { node: id } => node("free_disk", *id),
        Fault::SetDisk { node: id, profile } => joined(
            node("set_disk", *id),
            json!({
                "min_latency": nanos(profile.min_latency),
                "max_latency": nanos(profile.max_latency),
            }),
        ),
        Fault::Damage { node: id, part: what } => {
            joined(node("damage", *id), json!({ "part": part(*what) }))
        }
        Fault::Destroy { node: id } => node("destroy", *id),
        Fault::Hostile { node: id, what } => {
            joined(node("hostile", *id), json!({ "message": what.name() }))
        }
        Fault::Campaign { node: id } => node("campaign", *id),
        Fault::Propose { node: id, count } => {
            joined(node("propose", *id), json!({ "count": count }))
        }
        Fault::SetLink { from, to, profile } => joined(
            link("set_link", *from, *to),
            json!({
                "min_delay": nanos(profile.min_delay),
                "max_delay": nanos(profile.max_delay),
                "loss_ppm": profile.loss_ppm,
                "duplicate_ppm": profile.duplicate_ppm,
            }),
        ),
        Fault::DropKind { from, to, kind } => {
            joined(link("drop_kind", *from, *to), json!({ "kind": kind.name() }))
        }
        Fault::PassKind { from, to, kind } => {
            joined(link("pass_kind", *from, *to), json!({ "kind": kind.name() }))
        }
    }
}

const fn part(part: DamageTarget) -> &'static str {
    match part {
        DamageTarget::HardState => "hard_state",
        DamageTarget::Snapshot => "snapshot",
        DamageTarget::Entry => "entry",
        DamageTarget::Everything => "everything",
    }
}
