//! When there must be a leader, and that it keeps leading: the contract of `docs/LIVENESS.md`.
//!
//! A *window* is a time in which the premises hold. They are judged at every moment by what the
//! world is, by disks, links and logs, not by what a node says that it could not do. In a window
//! somebody leads within [`MOST`] (R + L) + S; and a leader that a quorum of the group supports
//! is neither deposed nor steps down, and nobody in the group raises a term beside it.
//!
//! The group of a window is whoever worked at its beginning. Who leaves it is no member again until
//! the premises do not hold without: a node that restarts again and again is none of it.

use raft_core::{Instant, LogPosition, NodeId, RoleKind, Term};
use std::time::Duration;

/// A leader leads within so many (R + L), and S, in all runs.
const MOST: u32 = 60;

/// A leader leads within so many (R + L), and S, in 99 of a hundred runs.
const USUAL: u32 = 12;

/// For how many (R + L) a leader must have been supported before it is held to go on. Who was not
/// heard before has not promised it anything.
const GRACE: u32 = 2;

/// A set of nodes, by their places in the order of the ids.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Places(u128);

impl Places {
    /// How many nodes can be told apart.
    pub(crate) const MOST: usize = 128;

    /// This one alone.
    pub(crate) const fn one(place: usize) -> Self {
        Self(1 << place)
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    /// Whether these are more than half of `half`, or it is empty.
    const fn are_most_of(self, half: Self) -> bool {
        half.is_empty() || 2 * self.and(half).0.count_ones() > half.0.count_ones()
    }

    /// In their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let next = usize::try_from(left.trailing_zeros()).ok()?;
            left &= left.checked_sub(1)?;
            Some(next)
        })
    }
}

impl FromIterator<usize> for Places {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        places.into_iter().fold(Self::default(), |all, place| all.with(Self::one(place)))
    }
}

/// What is promised to a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Promised {
    /// A leader that keeps leading: full protection at every node.
    Lasting,
    /// Some leader, which may be deposed, or hold on though it can commit nothing: pre-vote or
    /// nothing, equal T, symmetric links.
    Some,
}

/// One node at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a premise by itself")]
pub(crate) struct Standing {
    pub(crate) id: NodeId,
    /// It runs, its clock keeps within the drift bound, its disk completes what it is given, and it
    /// installs no snapshot.
    pub(crate) works: bool,
    /// Its process runs, whatever its disk does.
    pub(crate) runs: bool,
    /// Whom it is joined with both ways, by links that lose nothing; itself, too.
    pub(crate) joined: Places,
    /// Whom it reaches and hears at all, if not always: links that lose something count, too.
    pub(crate) reached: Places,
    /// Whether it may hold an election, by the memberships in its log.
    pub(crate) may_campaign: bool,
    /// The last position of its log.
    pub(crate) last: LogPosition,
    /// The halves of the membership in its log.
    pub(crate) voters: Places,
    pub(crate) outgoing: Places,
    pub(crate) role: RoleKind,
    /// Its term; that on its disk while it is down.
    pub(crate) term: Term,
    /// Whether it leads and has committed an entry of its own term.
    pub(crate) leads: bool,
    /// Whether nothing in its log waits for its commit.
    pub(crate) is_idle: bool,
    /// Whether it is asked to step down: by a transfer, or by its removal.
    pub(crate) is_asked: bool,
}

/// The whole cluster at one moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// `None` where the contract promises nothing.
    pub(crate) promised: Option<Promised>,
    /// In the order of the ids; nobody, perhaps, where nothing is promised.
    pub(crate) nodes: Vec<Standing>,
}

/// How long things take in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    /// R + L.
    pub(crate) round: Duration,
    /// S.
    pub(crate) level: Duration,
    /// Whether disks are slow: L is more than a quarter of R.
    pub(crate) is_slow: bool,
}

impl Bounds {
    /// The longer of two, in each part.
    fn max(self, other: Self) -> Self {
        Self {
            round: self.round.max(other.round),
            level: self.level.max(other.level),
            is_slow: self.is_slow || other.is_slow,
        }
    }

    fn within(self, rounds: u32) -> Duration {
        (self.round * rounds).saturating_add(self.level)
    }
}

/// How often another leader had to come, and did.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct FailOvers {
    /// How often.
    pub(crate) all: u64,
    /// How often it took longer than it does in 99 of a hundred runs.
    pub(crate) late: u64,
}

/// A time in which the premises hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Window {
    group: Places,
    /// Who could win at every moment so far.
    always: Places,
    /// Whether the group was pairwise joined at every moment so far.
    is_whole: bool,
    bounds: Bounds,
    /// Whether a leader must keep leading.
    lasts: bool,
    /// Since when nobody leads; `None` while somebody does.
    dark_since: Option<Instant>,
}

/// A leader in the group that a quorum of the group supports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reign {
    place: usize,
    term: Term,
    since: Instant,
    /// Whom it has been joined with since then.
    with: Places,
    /// The latest term that any node had when it began: who had it may depose the leader.
    known: Term,
}

/// Judges moment after moment.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Contract {
    /// Whether a leader must keep leading, if the premises hold.
    lasts: bool,
    window: Option<Window>,
    reign: Option<Reign>,
    /// The leaders that came, where disks are fast and where they are slow.
    fail_overs: [FailOvers; 2],
    /// Who led last, and in which term.
    last: Option<(usize, Term)>,
    /// How many leaders were held to go on leading.
    lasting: u64,
}

impl Contract {
    /// Looks at the next moment. `bounds` says how long things take for a group; `None` where T is
    /// too short for its links.
    ///
    /// # Errors
    ///
    /// What is not as the contract says, as a sentence.
    pub(crate) fn see(
        &mut self,
        moment: &Moment,
        bounds: &dyn Fn(Places) -> Option<Bounds>,
    ) -> Result<(), String> {
        self.follow(moment, bounds);
        self.fail_over(moment)?;
        self.keep(moment)
    }

    /// Whether the premises hold at this moment.
    #[cfg(test)]
    pub(crate) const fn holds(&self) -> bool {
        self.window.is_some()
    }

    /// Whether a leader must keep leading, if the premises hold.
    pub(crate) const fn lasts(&self) -> bool {
        self.lasts
    }

    /// Whether this node has worked since the window began.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.window.is_some_and(|window| window.group.has(place))
    }

    /// Until when somebody must lead; `None` if somebody does, or nobody need.
    pub(crate) fn due(&self) -> Option<Instant> {
        let window = self.window?;
        Some(window.dark_since?.saturating_add(window.bounds.within(MOST)))
    }

    /// The leaders that came, where disks are fast and where they are slow.
    pub(crate) const fn fail_overs(&self) -> [FailOvers; 2] {
        self.fail_overs
    }

    pub(crate) const fn lasting(&self) -> u64 {
        self.lasting
    }

    /// Goes on with the window, ends it, or begins another.
    fn follow(&mut self, moment: &Moment, bounds: &dyn Fn(Places) -> Option<Bounds>) {
        let works = works(moment);
        let lasts = moment.promised == Some(Promised::Lasting);
        self.lasts = lasts;
        if moment.promised.is_none() {
            self.window = None;
            return;
        }
        if let Some(window) = &mut self.window {
            let stays = window.group.and(works) == window.group;
            let fit = fit(moment, window.group);
            window.always = window.always.and(fit);
            window.is_whole = window.is_whole && is_whole(moment, window.group);
            let holds = !window.always.is_empty() || window.is_whole && !fit.is_empty();
            if let Some(bounds) = bounds(window.group).filter(|_| stays && holds)
                && window.lasts == lasts
            {
                let is_dark = window.dark_since.is_some();
                window.bounds = if is_dark { window.bounds.max(bounds) } else { bounds };
                return;
            }
        }
        let left = self.window.map(|window| window.group.and(works));
        self.window = [left, Some(works)].into_iter().flatten().find_map(|group| {
            let always = fit(moment, group);
            if always.is_empty() {
                return None;
            }
            let (is_whole, bounds) = (is_whole(moment, group), bounds(group)?);
            Some(Window { group, always, is_whole, bounds, lasts, dark_since: Some(moment.now) })
        });
    }

    /// Somebody leads in time.
    fn fail_over(&mut self, moment: &Moment) -> Result<(), String> {
        let Some(window) = &mut self.window else { return Ok(()) };
        let leader = leader(moment, window.lasts);
        let Some(since) = window.dark_since else {
            if leader.is_none() {
                window.dark_since = Some(moment.now);
            }
            self.last = leader.or(self.last);
            return Ok(());
        };
        let dark = moment.now.saturating_since(since);
        if leader.is_some() {
            window.dark_since = None;
            if leader != self.last {
                let counts = &mut self.fail_overs[usize::from(window.bounds.is_slow)];
                counts.all += 1;
                counts.late += u64::from(dark > window.bounds.within(USUAL));
            }
            self.last = leader;
        } else if dark > window.bounds.within(MOST) {
            let who = fit(moment, window.group).iter().next().map(|place| moment.nodes[place].id);
            let who = who.map_or_else(|| "somebody".to_owned(), |id| format!("{id:?}"));
            let (dark, most) = (dark.as_millis(), window.bounds.within(MOST).as_millis());
            return Err(format!("nobody leads for {dark} ms, though {who} could win: {most} ms"));
        }
        Ok(())
    }

    /// A leader keeps leading.
    fn keep(&mut self, moment: &Moment) -> Result<(), String> {
        let window = self.window.filter(|window| window.lasts);
        let Some(Window { group, bounds, .. }) = window else {
            self.reign = None;
            return Ok(());
        };
        let supported = |place: usize| {
            let node = &moment.nodes[place];
            group.has(place) && has_most(node, node.joined.and(group))
        };
        if let Some(reign) = self.reign.as_mut().filter(|reign| supported(reign.place)) {
            reign.follow(moment, group);
            let is_held = moment.now.saturating_since(reign.since) > bounds.round * GRACE;
            reign.judge(moment, group).or_else(|why| if is_held { Err(why) } else { Ok(()) })?;
        }
        let reigns = |place: &usize| {
            let node = &moment.nodes[*place];
            node.leads && !node.is_asked && supported(*place)
        };
        let next = group.iter().filter(reigns).max_by_key(|place| moment.nodes[*place].term);
        self.reign = next.map(|place| {
            let (term, since) = (moment.nodes[place].term, moment.now);
            let goes_on = self.reign.filter(|r| (r.place, r.term) == (place, term));
            goes_on.unwrap_or_else(|| {
                self.lasting += 1;
                let known = moment.nodes.iter().map(|node| node.term).max().unwrap_or(term);
                let with = moment.nodes[place].joined.and(group);
                Reign { place, term, since, with, known }
            })
        });
        Ok(())
    }
}

impl Reign {
    /// It is supported by whoever was there all the time. Where others have taken their place, it
    /// must first hear them.
    fn follow(&mut self, moment: &Moment, group: Places) {
        let node = &moment.nodes[self.place];
        self.with = self.with.and(node.joined).and(group);
        if !has_most(node, self.with) {
            (self.since, self.with) = (moment.now, node.joined.and(group));
        }
    }

    /// Whether the leader goes on leading, and nobody in the group raises a term.
    fn judge(&self, moment: &Moment, group: Places) -> Result<(), String> {
        let leader = &moment.nodes[self.place];
        let id = leader.id;
        if leader.term == self.term && leader.role != RoleKind::Leader {
            return Err(format!("{id:?} gives term {} up, and its quorum is there", self.term));
        }
        if leader.term > self.known {
            return Err(format!(
                "{id:?} is deposed in term {} by term {}, and its quorum is there",
                self.term, leader.term
            ));
        }
        for place in group.and(leader.voters.with(leader.outgoing)).iter() {
            let node = &moment.nodes[place];
            if node.role == RoleKind::Candidate && node.term > self.known {
                return Err(format!(
                    "{:?} raises the term to {}, while {id:?} leads term {} with its quorum",
                    node.id, node.term, self.term
                ));
            }
        }
        Ok(())
    }
}

fn works(moment: &Moment) -> Places {
    let nodes = moment.nodes.iter().enumerate();
    nodes.filter(|(_, node)| node.works).map(|(place, _)| place).collect()
}

/// Whether these are a majority of each half of the membership in a node's log.
const fn has_most(node: &Standing, these: Places) -> bool {
    !node.voters.is_empty() && these.are_most_of(node.voters) && these.are_most_of(node.outgoing)
}

/// Who can win with the group alone: it is joined both ways with a majority of each half of the
/// membership in its log, and none of that is ahead of it.
fn fit(moment: &Moment, group: Places) -> Places {
    let can_win = |place: &usize| {
        let node = &moment.nodes[*place];
        let yes = node.joined.and(group).iter().filter(|p| moment.nodes[*p].last <= node.last);
        node.may_campaign && has_most(node, yes.collect())
    };
    group.iter().filter(can_win).collect()
}

fn is_whole(moment: &Moment, group: Places) -> bool {
    group.iter().all(|place| moment.nodes[place].joined.and(group) == group)
}

/// Who leads, has committed and can commit, and in which term; where no leader need last, who leads
/// at all. Where nothing waits for its commit, no disk is needed. A leader may live on links that
/// lose something: while its quorum answers often enough it need not go.
fn leader(moment: &Moment, lasts: bool) -> Option<(usize, Term)> {
    let leads = |(_, leader): &(usize, &Standing)| {
        let follows = |place: &usize| {
            let node = &moment.nodes[*place];
            (node.works || node.runs && leader.is_idle) && node.term <= leader.term
        };
        let commits =
            || leader.leads && has_most(leader, leader.reached.iter().filter(follows).collect());
        leader.runs && leader.role == RoleKind::Leader && (!lasts || commits())
    };
    let leaders = moment.nodes.iter().enumerate().filter(leads);
    leaders.map(|(place, node)| (place, node.term)).max_by_key(|(_, term)| *term)
}

/// Whether nobody can win because of the logs alone: who holds what may be committed reaches no
/// quorum, and who reaches one does not hold it.
pub(crate) fn is_constrained(moment: &Moment) -> bool {
    let works = works(moment);
    let reaches = |place: usize| {
        let node = &moment.nodes[place];
        node.may_campaign && has_most(node, node.joined.and(works))
    };
    fit(moment, works).is_empty() && works.iter().any(reaches)
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Contract, Moment, Places, Promised, Standing, is_constrained};
    use raft_core::{Instant, LogIndex, LogPosition, NodeId, RoleKind, Term};
    use std::time::Duration;

    /// R + L, of which 60 and S are 61 s, and 12 and S are 13 s.
    const ROUND: Duration = Duration::from_secs(1);

    #[expect(clippy::unnecessary_wraps, reason = "as the contract asks for it")]
    fn bounds(_: Places) -> Option<Bounds> {
        Some(Bounds { round: ROUND, level: ROUND, is_slow: false })
    }

    /// So many followers that work, each joined with each, with equal logs.
    fn well(count: usize) -> Moment {
        let all: Places = (0..count).collect();
        let node = |place: usize| Standing {
            id: NodeId(place as u64 + 1),
            works: true,
            runs: true,
            joined: all,
            reached: all,
            may_campaign: true,
            last: LogPosition::new(Term(1), LogIndex(5)),
            voters: all,
            outgoing: Places::default(),
            role: RoleKind::Follower,
            term: Term(1),
            leads: false,
            is_idle: true,
            is_asked: false,
        };
        let nodes = (0..count).map(node).collect();
        Moment { now: Instant::ZERO, promised: Some(Promised::Lasting), nodes }
    }

    /// The same, and the first leads.
    fn led(count: usize) -> Moment {
        let mut moment = well(count);
        (moment.nodes[0].role, moment.nodes[0].leads) = (RoleKind::Leader, true);
        moment
    }

    /// These links are cut, both ways.
    fn cut(moment: &mut Moment, pairs: &[(usize, usize)]) {
        for (a, b) in pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
            let node = &mut moment.nodes[a];
            for places in [&mut node.joined, &mut node.reached] {
                *places = places.iter().filter(|place| *place != b).collect();
            }
        }
    }

    fn at(mut moment: Moment, seconds: u64) -> Moment {
        moment.now = Instant::from_nanos(seconds * 1_000_000_000);
        moment
    }

    /// What is wrong with these moments, each with its second.
    fn wrong(moments: &[(u64, &Moment)]) -> Option<String> {
        let mut contract = Contract::default();
        let mut see = |(seconds, moment): &(u64, &Moment)| {
            contract.see(&at((*moment).clone(), *seconds), &bounds).err()
        };
        moments.iter().find_map(&mut see)
    }

    /// Whether somebody has to lead, if these moments last for more than 60 (R + L) + S.
    fn must_lead(moment: &Moment) -> bool {
        assert_eq!(wrong(&[(0, moment), (61, moment)]), None, "not yet");
        wrong(&[(0, moment), (62, moment)]).is_some_and(|why| why.starts_with("nobody leads for"))
    }

    #[test]
    fn somebody_leads_in_time_where_one_node_can_win() {
        assert!(must_lead(&well(3)) && !must_lead(&led(3)));
        let mut broken = well(5);
        (broken.nodes[3].works, broken.nodes[4].works) = (false, false);
        assert!(must_lead(&broken), "a minority may do what it likes");
        broken.nodes[2].works = false;
        assert!(!must_lead(&broken), "there is no majority");
        let mut nothing = well(3);
        nothing.promised = None;
        assert!(!must_lead(&nothing));
    }

    #[test]
    fn who_wins_is_joined_both_ways_with_a_majority_of_each_half_of_what_its_log_says() {
        let mut star = well(3);
        cut(&mut star, &[(1, 2)]);
        assert!(must_lead(&star));
        cut(&mut star, &[(0, 2)]);
        assert!(must_lead(&star), "two of three");
        cut(&mut star, &[(0, 1)]);
        assert!(!must_lead(&star));
        let mut joint = well(5);
        for node in &mut joint.nodes {
            (node.voters, node.outgoing) =
                ([0, 1, 2].into_iter().collect(), [2, 3, 4].into_iter().collect());
        }
        assert!(must_lead(&joint));
        (joint.nodes[3].works, joint.nodes[4].works) = (false, false);
        assert!(!must_lead(&joint), "one of three of the outgoing half");
    }

    #[test]
    fn who_wins_may_campaign_and_nobody_of_its_quorum_is_ahead() {
        let mut moment = well(3);
        for node in &mut moment.nodes {
            node.may_campaign = false;
        }
        assert!(!must_lead(&moment));
        let mut star = well(3);
        cut(&mut star, &[(1, 2)]);
        let ahead = LogPosition::new(Term(1), LogIndex(6));
        star.nodes[1].last = ahead;
        assert!(must_lead(&star), "either");
        let mut star = well(5);
        cut(&mut star, &[(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]);
        star.nodes[1].last = ahead;
        star.nodes[2].last = ahead;
        assert!(must_lead(&star) && !is_constrained(&star), "three of five are not ahead");
        star.nodes[3].last = ahead;
        assert!(!must_lead(&star) && is_constrained(&star));
        assert!(!is_constrained(&well(3)));
    }

    #[test]
    fn one_node_can_win_all_the_time_or_everybody_meets_everybody() {
        let mut star = well(4);
        cut(&mut star, &[(0, 3), (1, 2)]);
        let ahead = LogPosition::new(Term(1), LogIndex(6));
        let (mut one, mut other) = (star.clone(), star);
        one.nodes[0].last = ahead;
        other.nodes[1].last = ahead;
        for node in [1, 2, 3] {
            one.nodes[node].may_campaign = false;
        }
        for node in [0, 2, 3] {
            other.nodes[node].may_campaign = false;
        }
        let changes = |one: &Moment, other: &Moment| wrong(&[(0, one), (40, other), (80, other)]);
        assert_eq!(changes(&one, &other), None, "another after 40 s, who has 61 s");
        assert!(wrong(&[(0, &one), (40, &one), (80, &one)]).is_some());
        let all = well(4).nodes[0].joined;
        for node in one.nodes.iter_mut().chain(&mut other.nodes) {
            node.joined = all;
        }
        assert!(changes(&one, &other).is_some(), "whoever fits at the moment");
    }

    #[test]
    fn who_does_not_work_all_the_time_belongs_to_no_group() {
        let mut down = well(3);
        down.nodes[2].works = false;
        let up = well(3);
        assert!(wrong(&[(0, &up), (5, &down), (9, &up), (40, &down), (67, &up)]).is_some());
        let mut needed = down.clone();
        needed.nodes[1].works = false;
        let one = well(3);
        let restless =
            [(0, &one), (30, &needed), (31, &one), (61, &needed), (62, &one), (92, &one)];
        assert_eq!(wrong(&restless), None, "without it there is no majority");
    }

    #[test]
    fn a_leader_counts_if_it_can_commit_or_nothing_waits_for_that() {
        let mut hung = led(3);
        (hung.nodes[1].works, hung.nodes[2].works) = (true, true);
        cut(&mut hung, &[(0, 1)]);
        hung.nodes[2].works = false;
        assert!(!must_lead(&hung), "the disk that hangs is not needed");
        let mut four = led(4);
        cut(&mut four, &[(0, 2)]);
        four.nodes[3].works = false;
        four.nodes[0].is_idle = false;
        assert!(must_lead(&four), "the second could win");
        let mut lossy = led(3);
        cut(&mut lossy, &[(0, 1), (0, 2)]);
        assert!(must_lead(&lossy), "it reaches nobody");
        lossy.nodes[0].reached = lossy.nodes[1].reached.with(Places::one(0));
        assert!(!must_lead(&lossy), "it reaches a quorum often enough");
        let mut elected = led(3);
        elected.nodes[0].leads = false;
        assert!(must_lead(&elected), "no entry of its own term is committed");
        elected.promised = Some(Promised::Some);
        assert!(!must_lead(&elected), "no more than that is promised");
    }

    #[test]
    fn a_leader_whose_quorum_is_there_keeps_leading() {
        let (leads, mut gave_up) = (led(3), well(3));
        let gives = |then: &Moment| wrong(&[(0, &leads), (3, &leads), (4, then)]);
        assert_eq!(gives(&gave_up).as_deref(), Some("S1 gives term 1 up, and its quorum is there"));
        assert_eq!(wrong(&[(0, &leads), (1, &gave_up)]), None, "it has just begun");
        gave_up.nodes[0].term = Term(2);
        let sentence = "S1 is deposed in term 1 by term 2, and its quorum is there";
        assert_eq!(gives(&gave_up).as_deref(), Some(sentence));
        gave_up.promised = Some(Promised::Some);
        assert_eq!(gives(&gave_up), None, "nobody promised more");
        gave_up.promised = Some(Promised::Lasting);
        cut(&mut gave_up, &[(0, 1), (0, 2)]);
        assert_eq!(gives(&gave_up), None, "its quorum is gone");
        let (mut one, mut other, gave_up) = (led(3), led(3), well(3));
        cut(&mut one, &[(0, 2)]);
        cut(&mut other, &[(0, 1)]);
        let changes = [(0, &one), (3, &one), (4, &other)];
        assert_eq!(wrong(&[&changes[..], &[(5, &gave_up)]].concat()), None, "it hears others now");
        assert!(wrong(&[&changes[..], &[(7, &gave_up)]].concat()).is_some());
    }

    #[test]
    fn a_leader_that_is_asked_goes_and_one_before_a_later_term_too() {
        let (mut leads, gave_up) = (led(3), well(3));
        leads.nodes[0].is_asked = true;
        assert_eq!(wrong(&[(0, &leads), (3, &leads), (4, &gave_up)]), None);
        let (mut leads, mut deposed) = (led(3), well(3));
        (leads.nodes[2].works, leads.nodes[2].term) = (false, Term(7));
        deposed.nodes[0].term = Term(7);
        assert_eq!(wrong(&[(0, &leads), (3, &leads), (4, &deposed)]), None, "it was there before");
        deposed.nodes[0].term = Term(8);
        assert!(wrong(&[(0, &leads), (3, &leads), (4, &deposed)]).is_some());
    }

    #[test]
    fn nobody_in_the_group_raises_a_term_beside_a_leader() {
        let (leads, mut raised) = (led(3), led(3));
        (raised.nodes[2].role, raised.nodes[2].term) = (RoleKind::Candidate, Term(2));
        let judged = |then: &Moment| wrong(&[(0, &leads), (3, &leads), (4, then)]);
        let sentence = "S3 raises the term to 2, while S1 leads term 1 with its quorum";
        assert_eq!(judged(&raised).as_deref(), Some(sentence));
        raised.nodes[2].works = false;
        assert_eq!(judged(&raised), None, "it is none of the group");
    }

    #[test]
    fn a_window_ends_when_t_is_too_short_for_its_links_and_lasts_longer_when_things_take_longer() {
        let mut contract = Contract::default();
        assert_eq!(contract.see(&led(3), &bounds), Ok(()));
        assert_eq!(contract.see(&at(led(3), 3), &|_| None), Ok(()));
        assert!(!contract.holds());
        assert_eq!(contract.see(&at(well(3), 4), &|_| None), Ok(()));
        let longer = |_| Some(Bounds { round: ROUND, level: ROUND * 40, is_slow: false });
        assert_eq!(contract.see(&at(well(3), 5), &longer), Ok(()));
        assert_eq!(contract.see(&at(well(3), 104), &bounds), Ok(()));
        assert!(contract.see(&at(well(3), 106), &bounds).is_err());
    }

    #[test]
    fn a_leader_that_comes_late_is_counted() {
        let of = |seconds| {
            let mut contract = Contract::default();
            for moment in [well(3), at(led(3), seconds), at(led(3), seconds + 1)] {
                assert_eq!(contract.see(&moment, &bounds), Ok(()));
            }
            let [fast, slow] = contract.fail_overs();
            assert_eq!((fast.all, slow.all, contract.lasting()), (1, 0, 1));
            fast.late
        };
        assert_eq!((of(13), of(14)), (0, 1));
        let mut contract = Contract::default();
        assert_eq!((contract.holds(), contract.due()), (false, None));
        assert_eq!(contract.see(&well(3), &bounds), Ok(()));
        assert_eq!(contract.due(), Some(Instant::from_nanos(61_000_000_000)));
        assert!(contract.holds() && contract.lasts() && contract.has(2) && !contract.has(3));
    }
}
