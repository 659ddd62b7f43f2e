//! Who waits for a change of the membership, and for the promotion of a learner.

use crate::action::Fate;
use crate::driver::boundary::{Answer, Refusal, Unknown};
use crate::driver::waiters::Answers;
use crate::error::RejectReason;
use crate::input::Input;
use crate::membership::Membership;
use crate::node::Node;
use crate::types::{Instant, LogPosition, NodeId, Token};
use alloc::vec::Vec;

/// Who waits for a change of the membership.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Changes {
    open: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Change {
    token: Token,
    until: Instant,
    wants: Wants,
    stage: Stage,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Wants {
    Members(Membership),
    /// That this learner votes. A refusal that may pass is not told to the caller.
    Promotion(NodeId),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Stage {
    /// The node is to be asked, not before this moment.
    Waits(Instant),
    /// The node is asked in this call.
    Asked,
    /// The joint membership stands at this position.
    Accepted(LogPosition),
}

impl Changes {
    /// This membership is to be reached.
    pub fn change(&mut self, token: Token, target: Membership, until: Instant) {
        self.put(token, Wants::Members(target), until);
    }

    /// A learner is to be promoted when it has caught up.
    pub fn promote(&mut self, token: Token, node: NodeId, until: Instant) {
        self.put(token, Wants::Promotion(node), until);
    }

    /// The node has accepted, at this position.
    pub fn accepted(&mut self, token: Token, joint: LogPosition) {
        if let Some(change) = self.find(token) {
            change.stage = Stage::Accepted(joint);
        }
    }

    /// The node has refused: what the caller is told, if it is final. Otherwise it is asked again
    /// after a heartbeat.
    pub fn refused(
        &mut self,
        token: Token,
        reason: RejectReason,
        again: Instant,
    ) -> Option<Answer> {
        use RejectReason as R;
        let change = self.find(token)?;
        let passes = matches!(
            reason,
            R::TermNotCommitted
                | R::TransferInProgress
                | R::ChangeInProgress
                | R::NotCaughtUp { .. }
                | R::NoQuorum { .. }
        );
        if matches!(change.wants, Wants::Promotion(_)) && passes {
            change.stage = Stage::Waits(again);
            return None;
        }
        self.give_up(token);
        Some(Answer::Refused(reason.into()))
    }

    /// Who has an answer by now, and what is to be asked of the node: at most one change.
    pub fn settle(
        &mut self,
        node: &Node,
        now: Instant,
        answers: &mut Answers,
    ) -> Option<(Token, Input)> {
        let status = node.status();
        let leads = status.leader == Some(status.id);
        let mut asks = None;
        self.open.retain_mut(|change| {
            let answer = match change.stage {
                Stage::Accepted(joint) => fate_of(node, joint, leads),
                Stage::Waits(_) if !leads => {
                    Some(Answer::Refused(RejectReason::NotLeader { leader: status.leader }.into()))
                }
                Stage::Waits(at) => match change.wants.now(node) {
                    Err(refusal) => Some(Answer::Refused(refusal)),
                    Ok(target) => {
                        let target = target.filter(|_| asks.is_none() && at <= now);
                        if let Some(target) = target {
                            change.stage = Stage::Asked;
                            let token = change.token;
                            asks = Some((token, Input::ChangeMembership { token, target }));
                        }
                        None
                    }
                },
                Stage::Asked => None,
            };
            answers.extend(answer.map(|answer| (change.token, answer)));
            answer.is_none()
        });
        asks
    }

    /// Answers whoever will wait no longer.
    pub fn expire(&mut self, now: Instant, answers: &mut Answers) {
        self.open.retain(|change| {
            let over = change.until <= now && change.until < Instant::MAX;
            if over {
                let cause = Unknown::TimedOut;
                let answer = match change.stage {
                    Stage::Accepted(_) => Answer::Unknown { cause, applied: 0 },
                    Stage::Waits(_) | Stage::Asked => Answer::Refused(Refusal::TimedOut),
                };
                answers.push((change.token, answer));
            }
            !over
        });
    }

    /// When somebody will wait no longer, or is to ask again.
    pub fn deadline(&self) -> Option<Instant> {
        let until = self.open.iter().map(|change| change.until);
        until.filter(|until| *until < Instant::MAX).min()
    }

    /// Whether this one waits.
    pub fn is_open(&self, token: Token) -> bool {
        self.open.iter().any(|change| change.token == token)
    }

    /// This one is answered in another way.
    pub fn give_up(&mut self, token: Token) {
        self.open.retain(|change| change.token != token);
    }

    fn put(&mut self, token: Token, wants: Wants, until: Instant) {
        self.open.push(Change { token, until, wants, stage: Stage::Waits(Instant::ZERO) });
    }

    fn find(&mut self, token: Token) -> Option<&mut Change> {
        self.open.iter_mut().find(|change| change.token == token)
    }
}

impl Wants {
    /// What the node is to be asked for now; nothing yet while a learner has not caught up.
    fn now(&self, node: &Node) -> Result<Option<Membership>, Refusal> {
        let learner = match self {
            Self::Members(target) => return Ok(Some(target.clone())),
            Self::Promotion(learner) => *learner,
        };
        let target = promotion(node.membership(), learner)?;
        let caught_up = node.peers().any(|peer| peer.id == learner && peer.caught_up);
        Ok(Some(target).filter(|_| caught_up && !node.status().membership_changes))
    }
}

/// What has become of the change whose joint membership stands here. It is done when that is
/// committed and no change is under way: what follows it is the membership that was asked for.
fn fate_of(node: &Node, joint: LogPosition, leads: bool) -> Option<Answer> {
    let unknown = |cause| Some(Answer::Unknown { cause, applied: 0 });
    match node.fate(joint) {
        Fate::Lost => Some(Answer::Lost { applied: 0 }),
        // Whoever leads has compacted only what is committed.
        Fate::Unknown if !leads => unknown(Unknown::Installed),
        Fate::Committed | Fate::Unknown if !node.status().membership_changes => {
            Some(Answer::Changed)
        }
        Fate::Committed | Fate::Unknown | Fate::Open if leads => None,
        Fate::Committed | Fate::Unknown | Fate::Open => unknown(Unknown::LeadershipLost),
    }
}

/// The membership in which this learner votes.
fn promotion(membership: &Membership, learner: NodeId) -> Result<Membership, Refusal> {
    if membership.voters().contains(&learner) || !membership.learners().contains(&learner) {
        return Err(Refusal::NotALearner { node: learner });
    }
    let voters = membership.voters().iter().copied().chain([learner]);
    let learners = membership.learners().iter().copied().filter(|id| *id != learner);
    let target = Membership::new(voters, [], learners);
    target.map_err(|_| Refusal::Node(RejectReason::BadMembership))
}
