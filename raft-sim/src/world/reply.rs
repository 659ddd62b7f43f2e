//! What nodes answer to those who asked them.

use crate::host::client::{Answer, operation_of};
use crate::plan::choice::Question;
use crate::plan::record::Violation;
use crate::world::env::Env;
use crate::world::hosts::{Hosts, Running};
use crate::world::pending::Pending;
use crate::world::watch::Fact;
use raft_core::{Instant, LogIndex, NodeId, Token};

/// A node answers. The operator hears it at once, a client after a while.
pub(super) fn reply(
    env: &mut Env,
    hosts: &Hosts,
    from: NodeId,
    token: Token,
    answer: Answer,
) -> Result<(), Violation> {
    env.tell(hosts, Fact::Answered { token, answer: &answer })?;
    let (client, serial) = operation_of(token);
    if client != 0 {
        let time = on_the_way(env);
        env.agenda.schedule(time, Pending::Answer { from, client, serial, answer });
    }
    Ok(())
}

/// Serves a read, whose index is applied.
pub(super) fn serve(
    env: &mut Env,
    at: &mut Running<'_>,
    token: Token,
    index: LogIndex,
) -> Result<(), Violation> {
    let (from, process) = (at.id(), at.process_mut());
    let applied = process.machine.applied();
    if applied < index {
        let sentence = format!("{from:?} serves a read of {index:?} at {applied:?}");
        return Err(env.violation("driver", sentence));
    }
    let question = process.queries.remove(&token);
    let value = question.and_then(|question| process.machine.read(question));
    let position = process.log.position(applied).expect("what is applied is held");
    env.tell(at.hosts(), Fact::ReadServed)?;
    reply(env, at.hosts(), from, token, Answer::Applied { value, position })
}

/// When a request or an answer arrives that leaves now.
pub(super) fn on_the_way(env: &mut Env) -> Instant {
    let link = env.setup.link;
    let delay = env.choices.duration(Question::Delay, link.min_delay, link.max_delay);
    env.now().saturating_add(delay)
}
