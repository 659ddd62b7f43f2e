//! Carries out the plan: begins each trouble when its turn comes, and ends it when its time is up.

use crate::calm::{Bounds, Calm, judge};
use crate::client::Client;
use crate::dice::Dice;
use crate::field::{Field, NODES};
use crate::judge::Judge;
use crate::operator::{Operator, Order};
use crate::plan::{Base, Cut, Plan, Trouble, Who};
use crate::scene::Scene;
use crate::tally::Count;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::Sender;
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// How a trouble ends.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    Start(u64),
    GoOn(u64),
    Weather,
    Heal(BTreeSet<(u64, u64)>),
    Quick(u64),
    Spare(u64),
}

/// A disk that was told to fail at its next sync, and was not asked for one, is told that it is
/// well after so long.
const FAILS_WITHIN: Duration = Duration::from_secs(6);
/// How long a trouble waits for a node that it may meet.
const PATIENCE: Duration = Duration::from_millis(1200);
const TICK: Duration = Duration::from_millis(10);

/// When the attack has done enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// So much time has passed.
    Time(Duration),
    /// So many processes were killed with -9.
    Kills(u64),
}

/// Whoever troubles the cluster.
#[derive(Debug)]
pub struct Nemesis<'a> {
    field: Field,
    scene: &'a Scene,
    operator: &'a Operator<'a>,
    orders: Sender<Order>,
    judge: &'a Judge,
    bounds: Bounds,
    client: Client,
    dice: Dice,
    ends: Vec<(Instant, End)>,
    /// For how long a node is down whose sync fails.
    down_after_failure: BTreeMap<u64, Duration>,
    /// The slowest return of service.
    slowest: Calm,
}

impl<'a> Nemesis<'a> {
    /// Of this cluster; it tells the operator what to do.
    pub fn new(
        field: Field,
        scene: &'a Scene,
        operator: &'a Operator<'a>,
        orders: Sender<Order>,
        judge: &'a Judge,
        (bounds, seed): (Bounds, u64),
    ) -> Self {
        let client = Client::new(Duration::from_millis(400));
        let slowest =
            Calm { write: Duration::ZERO, caught_up: Duration::ZERO, members: Vec::new() };
        let dice = Dice::beside(seed, 4000);
        let (ends, down_after_failure) = Default::default();
        Self {
            field,
            scene,
            operator,
            orders,
            judge,
            bounds,
            client,
            dice,
            ends,
            down_after_failure,
            slowest,
        }
    }

    /// Troubles the cluster until it is enough, or something is wrong.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn trouble(&mut self, plan: Plan, until: Until) -> io::Result<()> {
        self.calm()?;
        for step in plan {
            let is_enough = match until {
                Until::Time(time) => self.scene.begun.elapsed() >= time,
                Until::Kills(kills) => self.scene.tally.of(Count::Kill) >= kills,
            };
            self.wait(step.pause)?;
            if is_enough || self.scene.is_over() {
                break;
            }
            self.begin(step.trouble)?;
        }
        Ok(())
    }

    /// Ends all troubles, and judges whether the cluster is well. Where it is, troubles may go on.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn calm(&mut self) -> io::Result<Option<Calm>> {
        self.ends.clear();
        self.field.calm(self.scene)?;
        self.field.watch(self.scene)?;
        for id in self.missing() {
            self.field.start(id, self.scene)?;
        }
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            self.tick()?;
            // A sync that was to fail may just have done so: nobody else starts that node.
            let waits = self.operator.waiting() > 0 || self.field.is_ending();
            if !waits || self.scene.is_over() || Instant::now() > patience {
                break;
            }
        }
        for id in self.missing() {
            self.field.start(id, self.scene)?;
        }
        self.scene.tally.note("calm".into());
        let calm = judge(self.scene, self.bounds, self.operator, self.judge, &mut self.dice);
        if let Some(calm) = &calm {
            self.slowest.write = self.slowest.write.max(calm.write);
            self.slowest.caught_up = self.slowest.caught_up.max(calm.caught_up);
        }
        self.field.watch(self.scene)?;
        self.field.usual_weather();
        Ok(calm)
    }

    /// The longest that the cluster took to serve again.
    pub const fn slowest(&self) -> &Calm {
        &self.slowest
    }

    /// The cluster.
    pub const fn field(&self) -> &Field {
        &self.field
    }

    fn missing(&self) -> Vec<u64> {
        let up: BTreeSet<_> = self.scene.up().into_iter().collect();
        (1..=NODES).filter(|id| !up.contains(id)).collect()
    }

    fn wait(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.scene.is_over() {
            self.tick()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        sleep(TICK);
        for id in self.field.watch(self.scene)? {
            self.scene.tally.note(format!("node {id} has crashed: its sync failed"));
            let pause = self.down_after_failure.remove(&id).unwrap_or_default();
            self.ends.retain(|(_, end)| *end != End::Start(id));
            self.later(pause, End::Start(id));
        }
        let now = Instant::now();
        let due: Vec<_> = self.ends.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, end) in due {
            match end {
                End::Start(id) => {
                    if self.missing().contains(&id) {
                        self.field.start(id, self.scene)?;
                    }
                }
                End::GoOn(id) => self.field.hold(id, false, self.scene)?,
                End::Weather => self.field.usual_weather(),
                End::Heal(pairs) => self.field.weather.heal(&pairs),
                End::Quick(id) => self.field.slow(id, None)?,
                End::Spare(id) => self.field.spare(id)?,
            }
        }
        Ok(())
    }

    fn later(&mut self, after: Duration, end: End) {
        self.ends.push((Instant::now() + after, end));
    }

    /// The node that is meant, if a trouble may meet it and leaves a majority of the voters.
    fn one(&mut self, who: Who) -> io::Result<Option<u64>> {
        let leader = self.scene.leader(&self.client);
        let voters = leader.as_ref().map_or_else(
            || self.scene.ids().into_iter().collect::<BTreeSet<_>>(),
            |leader| leader.voters.clone(),
        );
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !self.scene.is_over() {
            let sound = self.field.sound();
            let left = voters.intersection(&sound).count();
            let may: Vec<_> = sound
                .iter()
                .copied()
                .filter(|id| !voters.contains(id) || left * 2 > voters.len() + 2)
                .collect();
            let leader = leader.as_ref().map(|leader| leader.id);
            let nth = match who {
                Who::Leader if leader.is_some_and(|leader| may.contains(&leader)) => {
                    return Ok(leader);
                }
                // There is none, or it may not be met: then another one.
                Who::Leader if begun.elapsed() > PATIENCE / 4 => Some(0),
                Who::Leader => None,
                Who::Nth(nth) => Some(nth),
            };
            let Some(nth) = nth.filter(|_| !may.is_empty()) else {
                self.tick()?;
                continue;
            };
            // Voters first: they are worth more trouble.
            let (mut may, others): (Vec<_>, Vec<_>) =
                may.into_iter().partition(|id| voters.contains(id));
            if may.is_empty() || nth.is_multiple_of(5) {
                may.extend(others);
            }
            return Ok(Some(may[usize::try_from(nth % may.len() as u64).unwrap_or(0)]));
        }
        Ok(None)
    }

    fn begin(&mut self, trouble: Trouble) -> io::Result<()> {
        self.scene.tally.note(format!("{trouble:?}"));
        match trouble {
            Trouble::Kill(who, down) => {
                if let Some(id) = self.one(who)? {
                    self.field.kill(id, self.scene)?;
                    self.later(down, End::Start(id));
                }
            }
            Trouble::KillInSnapshot(who, slow, after, down) => {
                if let Some(id) = self.one(who)? {
                    self.field.slow(id, Some(slow))?;
                    self.take_snapshot(id);
                    self.wait(after)?;
                    self.field.kill(id, self.scene)?;
                    self.later(down, End::Start(id));
                }
            }
            Trouble::Hold(who, lasts) => {
                if let Some(id) = self.one(who)? {
                    self.field.hold(id, true, self.scene)?;
                    self.later(lasts, End::GoOn(id));
                }
            }
            Trouble::PowerCut(down) => self.power_cut(down)?,
            Trouble::Storm(odds, lasts) => {
                self.field.weather.set(odds);
                self.scene.tally.add(Count::Storm, 1);
                self.later(lasts, End::Weather);
            }
            Trouble::Cut(cut, lasts) => self.cut(cut, lasts)?,
            Trouble::SlowSync(who, slow, lasts) => {
                if let Some(id) = self.one(who)? {
                    self.field.slow(id, Some(slow))?;
                    self.scene.tally.add(Count::SlowSync, 1);
                    self.later(lasts, End::Quick(id));
                }
            }
            Trouble::FailSync(who, base, down) => {
                if let Some(id) = self.one(who)? {
                    self.field.fail(id, base)?;
                    self.down_after_failure.insert(id, down);
                    if base != Base::Log {
                        // The state machine is synced before a snapshot, and seldom besides.
                        self.take_snapshot(id);
                    }
                    self.later(FAILS_WITHIN, End::Spare(id));
                }
            }
            Trouble::Grow(nth) => self.order(Order::Grow(nth)),
            Trouble::Shrink(who) => self.order(Order::Shrink(who)),
            Trouble::Transfer(nth) => self.order(Order::Transfer(nth)),
            Trouble::LoseQuorum { kills, leader, lasts } => {
                self.lose_quorum(kills, leader, lasts)?;
            }
            Trouble::Calm => _ = self.calm()?,
        }
        Ok(())
    }

    fn take_snapshot(&self, id: u64) {
        _ = self.client.ask(&Method::POST, &self.scene.url(id, "/snapshot"), &[]);
    }

    /// Orders that nobody has come to yet are enough.
    fn order(&self, order: Order) {
        if self.operator.waiting() < 3 {
            self.operator.ordered();
            _ = self.orders.send(order);
        }
    }

    fn power_cut(&mut self, down: Duration) -> io::Result<()> {
        // What is written meanwhile is not synced when it comes.
        let slow = Duration::from_millis(self.dice.between(0, 150));
        for id in 1..=NODES {
            self.field.slow(id, Some(slow))?;
        }
        self.wait(slow * 2)?;
        for id in 1..=NODES {
            self.field.kill(id, self.scene)?;
        }
        self.scene.tally.add(Count::PowerCut, 1);
        self.ends.retain(|(_, end)| !matches!(end, End::Start(_)));
        for id in 1..=NODES {
            self.later(down, End::Start(id));
        }
        Ok(())
    }

    fn cut(&mut self, cut: Cut, lasts: Duration) -> io::Result<()> {
        let (Cut::Both(who) | Cut::Deaf(who) | Cut::Mute(who) | Cut::OneWay(who, _)) = cut;
        let Some(one) = self.one(who)? else { return Ok(()) };
        let others = (1..=NODES).filter(|id| *id != one);
        let pairs: BTreeSet<_> = match cut {
            Cut::Both(_) => others.flat_map(|id| [(one, id), (id, one)]).collect(),
            Cut::Deaf(_) => others.map(|id| (id, one)).collect(),
            Cut::Mute(_) => others.map(|id| (one, id)).collect(),
            Cut::OneWay(_, other) => match self.one(other)? {
                Some(other) if other != one => [(one, other)].into(),
                _ => return Ok(()),
            },
        };
        self.field.weather.cut(&pairs);
        self.scene.tally.add(Count::Cut, 1);
        self.later(lasts, End::Heal(pairs));
        Ok(())
    }

    fn lose_quorum(&mut self, kills: bool, leader: bool, lasts: Duration) -> io::Result<()> {
        let begun = Instant::now();
        let look = loop {
            match self.scene.leader(&self.client) {
                Some(look) => break look,
                None if begun.elapsed() > 2 * PATIENCE => return Ok(()),
                None => self.tick()?,
            }
        };
        let mut voters: Vec<_> = look.voters.iter().copied().filter(|id| *id != look.id).collect();
        self.dice.shuffle(&mut voters);
        if leader {
            voters.insert(0, look.id);
        }
        voters.truncate(look.voters.len().div_ceil(2));
        for id in &voters {
            // Who is to be started or to go on soon is not, now.
            self.ends.retain(|(_, end)| *end != End::Start(*id) && *end != End::GoOn(*id));
            if kills {
                self.field.kill(*id, self.scene)?;
            } else {
                self.field.hold(*id, true, self.scene)?;
            }
        }
        self.scene.tally.add(Count::LostQuorum, 1);
        self.wait(lasts)?;
        self.scene.tally.note(format!("the majority {voters:?} comes back"));
        self.calm().map(drop)
    }
}
