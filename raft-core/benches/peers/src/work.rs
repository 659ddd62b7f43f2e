//! The work that every implementation is given, and the check that it was done.

use crate::cluster::{Cluster, Counts};
use crate::measure::time;

/// So many batches of so many commands of one size, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work {
    /// How many nodes vote.
    pub voters: usize,
    /// The bytes of a command; at least 8.
    pub size: usize,
    /// The commands of a batch.
    pub batch: usize,
    /// The batches that are measured; a tenth more go before.
    pub batches: usize,
}

/// What the work has cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The time of this thread.
    pub nanos: u64,
    /// What the cluster did in it.
    pub counts: Counts,
}

impl Work {
    /// The columns of the comparison.
    pub const ALL: [Self; 9] = [
        Self::of(3, 16, 1, 20_000),
        Self::of(3, 16, 16, 6_000),
        Self::of(3, 16, 256, 600),
        Self::of(3, 1024, 1, 10_000),
        Self::of(3, 1024, 16, 2_000),
        Self::of(3, 1024, 256, 200),
        Self::of(5, 16, 256, 300),
        Self::of(21, 16, 256, 80),
        Self::of(101, 16, 256, 20),
    ];

    const fn of(voters: usize, size: usize, batch: usize, batches: usize) -> Self {
        Self { voters, size, batch, batches }
    }

    /// The number of commands that are measured.
    pub const fn entries(self) -> u64 {
        (self.batch * self.batches) as u64
    }

    const fn total(self) -> usize {
        self.batch * (self.batches + self.batches / 10)
    }

    /// Does the work on a new cluster, and checks that every node has applied the same sequence.
    /// `clock` runs what is measured.
    pub fn run<C: Cluster>(self, clock: impl FnOnce(&mut dyn FnMut()) -> u64) -> Cost {
        let mut cluster = C::new(self.voters);
        cluster.reserve(self.total());
        let mut batches = self.prepare::<C>();
        let measured = batches.split_off(self.batches / 10);
        for batch in batches {
            cluster.commit(batch);
        }

        let before = cluster.counts();
        let mut measured = measured.into_iter();
        let nanos = clock(&mut || {
            for batch in measured.by_ref() {
                cluster.commit(batch);
            }
        });
        let counts = cluster.counts().since(before);
        self.check(&cluster);
        Cost { nanos, counts }
    }

    /// As [`run`](Self::run), with the time of this thread.
    pub fn time<C: Cluster>(self) -> Cost {
        self.run::<C>(|call| time(call))
    }

    fn prepare<C: Cluster>(self) -> Vec<Vec<C::Command>> {
        let mut bytes = vec![0; self.size];
        let mut numbers = 0_u64..;
        let mut command = || {
            let number = numbers.next().expect("there is no last number");
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            C::command(&bytes)
        };
        let batches = self.batches + self.batches / 10;
        (0..batches).map(|_| (0..self.batch).map(|_| command()).collect()).collect()
    }

    fn check(self, cluster: &impl Cluster) {
        let all = self.total() as u64;
        for node in 0..self.voters {
            let mut next = 0_u64;
            cluster.visit(node, |bytes| {
                assert_eq!(bytes.len(), self.size, "node {node} has applied what was proposed");
                assert_eq!(bytes[..8], next.to_le_bytes(), "node {node} has kept the order");
                next += 1;
            });
            assert_eq!(next, all, "node {node} has applied all of it");
        }
    }
}
