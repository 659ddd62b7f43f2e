//! The links of the world as the contract sees them.

use crate::checker::contract::Places;
use crate::world::network::Network;
use crate::world::watch::scene::Scene;
use std::time::Duration;

/// What the contract asks of the links. It changes only when something is done to them, not with
/// time: a link that flaps is whole at no moment.
#[derive(Clone, Default, Debug)]
pub(super) struct Links {
    /// By the place of a node: whom it is joined with both ways, by links that lose nothing;
    /// itself, too.
    joined: Vec<Places>,
    /// By the place of a node: whom it reaches and hears, if not always.
    reached: Vec<Places>,
    /// By the places of two nodes: how long a message takes at most, if they are joined.
    delays: Vec<Option<Duration>>,
    /// Whether a link loses messages by their kind.
    pub(super) loses_kinds: bool,
    /// Whether each link works exactly if the way back does.
    pub(super) is_symmetric: bool,
}

impl Links {
    pub(super) fn of(scene: Scene<'_>, network: &Network) -> Self {
        let mut links = Self {
            loses_kinds: network.loses_kinds(),
            is_symmetric: network.is_symmetric(scene.now),
            ..Self::default()
        };
        for from in scene.hosts.ids() {
            let (mut joined, mut reached) = (Places::default(), Places::default());
            for (place, to) in scene.hosts.ids().enumerate() {
                let delay = network.longest_delay(from, to, scene.now);
                if delay.is_some() && place < Places::MOST {
                    joined = joined.with(Places::one(place));
                }
                if network.may_reach(from, to) && place < Places::MOST {
                    reached = reached.with(Places::one(place));
                }
                links.delays.push(delay);
            }
            links.joined.push(joined);
            links.reached.push(reached);
        }
        links
    }

    /// Whom a node is joined with.
    pub(super) fn joined(&self, place: usize) -> Places {
        self.joined[place]
    }

    /// Whom a node reaches and hears, if not always.
    pub(super) fn reached(&self, place: usize) -> Places {
        self.reached[place]
    }

    /// How long a message takes at most; `None` if both ways are not whole.
    pub(super) fn longest_delay(&self, from: usize, to: usize) -> Option<Duration> {
        self.delays[from * self.joined.len() + to]
    }
}
