//! What is done to the cluster, and in which order: drawn from a seed, and from nothing else.
//!
//! Troubles are dealt like cards: each deck has some of every kind, so none is missing for long.
//! Whom a trouble meets is often said by role, and who has that role then is found when it comes:
//! a seed repeats the plan, not the moments of the machine.

use crate::dice::Dice;
use crate::names::SNAPSHOTS;
use std::time::Duration;

/// What a node has on its disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Base {
    /// `log.redb`.
    Log,
    /// `state.redb`.
    State,
    /// The files of snapshots.
    Snapshots,
}

impl Base {
    /// What the orders to the disk call it.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Log => "log.redb",
            Self::State => "state.redb",
            Self::Snapshots => SNAPSHOTS,
        }
    }
}

/// Whom a trouble meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The node that leads then.
    Leader,
    /// One that is drawn among those that may be met then: `0` is the first of them, and so on,
    /// around.
    Nth(u64),
}

/// How frames fare: so many of a thousand.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Odds {
    /// Never arrive.
    pub lost: u64,
    /// Arrive twice.
    pub doubled: u64,
    /// Are overtaken by those behind them.
    pub reordered: u64,
    /// Hold up those behind them.
    pub delayed: u64,
    /// Break their connection, in the middle.
    pub broken: u64,
}

/// What is cut between nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// This node hears nobody and is heard by nobody.
    Both(Who),
    /// It is heard, and hears nobody.
    Deaf(Who),
    /// It hears, and is not heard.
    Mute(Who),
    /// Two nodes, the first of which does not reach the second.
    OneWay(Who, Who),
}

/// What is done to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// `kill -9`, and a start after so long.
    Kill(Who, Duration),
    /// A node takes a snapshot with syncs that take so long; `kill -9` after so long, and a start
    /// after so long.
    KillInSnapshot(Who, Duration, Duration, Duration),
    /// `kill -9` of all of them at once.
    PowerCut(Duration),
    /// SIGSTOP, and SIGCONT after so long.
    Hold(Who, Duration),
    /// Frames fare badly for so long.
    Storm(Odds, Duration),
    /// Frames are not passed on for so long.
    Cut(Cut, Duration),
    /// Each sync of a node takes so much longer, for so long.
    SlowSync(Who, Duration, Duration),
    /// The next sync of a database, or of a snapshot, fails; the node is started after so long.
    FailSync(Who, Base, Duration),
    /// A node becomes a learner, and then a voter.
    Grow(u64),
    /// A voter is removed.
    Shrink(Who),
    /// Leadership is handed over.
    Transfer(u64),
    /// A majority is killed, or held, for so long.
    LoseQuorum {
        /// Killed; held otherwise.
        kills: bool,
        /// The leader is among them.
        leader: bool,
        /// For how long.
        lasts: Duration,
    },
    /// All troubles end, and the cluster is judged.
    Calm,
}

/// What comes next, and after which pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The pause before it.
    pub pause: Duration,
    /// What is done.
    pub trouble: Trouble,
}

/// The steps of one seed: without end.
#[derive(Clone, Debug)]
pub struct Plan {
    dice: Dice,
    deck: Vec<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Kill,
    KillInSnapshot,
    PowerCut,
    Hold,
    Storm,
    Cut,
    Slow,
    FailLog,
    FailState,
    FailSnapshot,
    Grow,
    Shrink,
    Transfer,
    LoseQuorum,
    Calm,
}

/// How many cards of each kind a deck has.
const DECK: [(Kind, usize); 15] = [
    (Kind::Kill, 8),
    (Kind::KillInSnapshot, 2),
    (Kind::PowerCut, 1),
    (Kind::Hold, 2),
    (Kind::Storm, 2),
    (Kind::Cut, 3),
    (Kind::Slow, 2),
    (Kind::FailLog, 1),
    (Kind::FailState, 1),
    (Kind::FailSnapshot, 1),
    (Kind::Grow, 2),
    (Kind::Shrink, 2),
    (Kind::Transfer, 2),
    (Kind::LoseQuorum, 1),
    (Kind::Calm, 1),
];

/// How frames fare where nothing is said: a little badly.
pub const USUAL: Odds = Odds { lost: 3, doubled: 5, reordered: 5, delayed: 2, broken: 0 };

impl Plan {
    /// The plan of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), deck: Vec::new() }
    }

    fn kind(&mut self) -> Kind {
        if self.deck.is_empty() {
            for (kind, count) in DECK {
                self.deck.extend(std::iter::repeat_n(kind, count));
            }
            self.dice.shuffle(&mut self.deck);
        }
        self.deck.pop().expect("a deck has cards")
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.dice.between(least, most))
    }

    fn who(&mut self) -> Who {
        let nth = self.dice.below(1 << 20);
        if self.dice.happens(400) { Who::Leader } else { Who::Nth(nth) }
    }

    fn trouble(&mut self, kind: Kind) -> Trouble {
        match kind {
            Kind::Kill => Trouble::Kill(self.who(), self.millis(0, 600)),
            Kind::KillInSnapshot => {
                let slow = self.millis(5, 100);
                let (after, down) = (self.dice.between(0, 500), self.millis(0, 600));
                let after = slow * u32::try_from(after).unwrap_or(0) / 100;
                Trouble::KillInSnapshot(self.who(), slow, after, down)
            }
            Kind::PowerCut => Trouble::PowerCut(self.millis(0, 400)),
            Kind::Hold => Trouble::Hold(self.who(), self.millis(100, 2500)),
            Kind::Storm => Trouble::Storm(self.odds(), self.millis(500, 2500)),
            Kind::Cut => Trouble::Cut(self.cut(), self.millis(300, 2500)),
            Kind::Slow => {
                Trouble::SlowSync(self.who(), self.millis(10, 250), self.millis(500, 3000))
            }
            Kind::FailLog => Trouble::FailSync(self.who(), Base::Log, self.millis(0, 500)),
            Kind::FailState => Trouble::FailSync(self.who(), Base::State, self.millis(0, 500)),
            Kind::FailSnapshot => {
                Trouble::FailSync(self.who(), Base::Snapshots, self.millis(0, 500))
            }
            Kind::Grow => Trouble::Grow(self.dice.below(1 << 20)),
            Kind::Shrink => Trouble::Shrink(self.who()),
            Kind::Transfer => Trouble::Transfer(self.dice.below(1 << 20)),
            Kind::LoseQuorum => Trouble::LoseQuorum {
                kills: self.dice.happens(500),
                leader: self.dice.happens(500),
                lasts: self.millis(1000, 3000),
            },
            Kind::Calm => Trouble::Calm,
        }
    }

    fn odds(&mut self) -> Odds {
        let mut of = |most| self.dice.between(0, most);
        let (lost, doubled, reordered, delayed) = (of(150), of(200), of(200), of(60));
        Odds { lost, doubled, reordered, delayed, broken: self.dice.between(6, 20) }
    }

    fn cut(&mut self) -> Cut {
        let (who, other) = (self.who(), self.who());
        match self.dice.below(4) {
            0 => Cut::Both(who),
            1 => Cut::Deaf(who),
            2 => Cut::Mute(who),
            _ => Cut::OneWay(who, other),
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let kind = self.kind();
        let pause = self.millis(50, 450);
        Some(Step { pause, trouble: self.trouble(kind) })
    }
}

#[cfg(test)]
mod tests {
    use super::{DECK, Plan, Trouble};
    use std::collections::BTreeSet;
    use std::mem::discriminant;

    #[test]
    fn a_seed_repeats_its_plan_and_another_one_has_another() {
        let of = |seed| Plan::new(seed).take(200).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn each_deck_has_every_kind_of_trouble() {
        let cards = DECK.iter().map(|(_, count)| count).sum();
        let mut plan = Plan::new(3);
        for _ in 0..20 {
            let deck: Vec<_> = plan.by_ref().take(cards).map(|step| step.trouble).collect();
            let mut kinds = Vec::new();
            for trouble in &deck {
                if !kinds.contains(&discriminant(trouble)) {
                    kinds.push(discriminant(trouble));
                }
            }
            assert_eq!(kinds.len(), 13);
            let bases = deck.iter().filter_map(|trouble| match trouble {
                Trouble::FailSync(_, base, _) => Some(base),
                _ => None,
            });
            assert_eq!(bases.collect::<BTreeSet<_>>().len(), 3);
        }
    }
}
