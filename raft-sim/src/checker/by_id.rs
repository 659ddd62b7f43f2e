//! What checkers remember of each node.

use raft_core::NodeId;

/// A value for each of a few nodes, in the order of their ids: a map that is walked and searched in
/// a few steps, as there are few nodes.
#[derive(Clone, Debug)]
pub(super) struct ById<T>(Vec<(NodeId, T)>);

impl<T> Default for ById<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(NodeId, T)> for ById<T> {
    /// In any order.
    fn from_iter<I: IntoIterator<Item = (NodeId, T)>>(values: I) -> Self {
        let mut all = Self::default();
        values.into_iter().for_each(|(id, value)| all.insert(id, value));
        all
    }
}

impl<T> ById<T> {
    pub(super) fn get(&self, id: NodeId) -> Option<&T> {
        Some(&self.0[self.slot(id).ok()?].1)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut T> {
        let slot = self.slot(id).ok()?;
        Some(&mut self.0[slot].1)
    }

    /// The value of a node; this one, if there was none.
    pub(super) fn get_or(&mut self, id: NodeId, value: impl FnOnce() -> T) -> &mut T {
        let slot = self.slot(id).unwrap_or_else(|slot| {
            self.0.insert(slot, (id, value()));
            slot
        });
        &mut self.0[slot].1
    }

    /// The value of a node; the default, if there was none.
    pub(super) fn entry(&mut self, id: NodeId) -> &mut T
    where
        T: Default,
    {
        self.get_or(id, T::default)
    }

    /// Puts a value in the place of what was there.
    pub(super) fn insert(&mut self, id: NodeId, value: T) {
        match self.slot(id) {
            Ok(slot) => self.0[slot].1 = value,
            Err(slot) => self.0.insert(slot, (id, value)),
        }
    }

    pub(super) fn remove(&mut self, id: NodeId) {
        if let Ok(slot) = self.slot(id) {
            self.0.remove(slot);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn retain(&mut self, stays: impl Fn(NodeId) -> bool) {
        self.0.retain(|(id, _)| stays(*id));
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut T)> {
        self.0.iter_mut().map(|(id, value)| (*id, value))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Where the value of a node is, or would be.
    fn slot(&self, id: NodeId) -> Result<usize, usize> {
        let at = self.0.iter().position(|(other, _)| *other >= id).unwrap_or(self.0.len());
        if self.0.get(at).is_some_and(|(other, _)| *other == id) { Ok(at) } else { Err(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::ById;
    use crate::plan::choice::{Choices, Question};
    use raft_core::NodeId;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_a_map() {
        for seed in 0..50 {
            let mut choices = Choices::seeded(seed);
            let mut below = |bound| choices.below(Question::Setup, bound);
            let (mut fast, mut map) = (ById::default(), BTreeMap::new());
            for value in 0..100 {
                let id = NodeId(below(9));
                match below(8) {
                    0 => {
                        fast.remove(id);
                        map.remove(&id);
                    }
                    1 => {
                        fast.retain(|other| other != id);
                        map.retain(|other, _| *other != id);
                    }
                    2 => {
                        *fast.entry(id) += value;
                        *map.entry(id).or_default() += value;
                    }
                    3 => {
                        *fast.get_or(id, || value) += 1;
                        *map.entry(id).or_insert(value) += 1;
                    }
                    _ => {
                        fast.insert(id, value);
                        map.insert(id, value);
                    }
                }
                let all: Vec<_> = fast.iter_mut().map(|(id, value)| (id, *value)).collect();
                assert_eq!(all, map.iter().map(|(id, value)| (*id, *value)).collect::<Vec<_>>());
                let values: Vec<_> = fast.values_mut().map(|value| *value).collect();
                assert_eq!(values, map.values().copied().collect::<Vec<_>>());
                for id in (0..10).map(NodeId) {
                    assert_eq!(fast.get_mut(id).map(|value| *value), map.get(&id).copied());
                }
                let again: ById<u64> = map.iter().rev().map(|(id, value)| (*id, *value)).collect();
                assert!(map.iter().all(|(id, value)| again.get(*id) == Some(value)));
            }
            fast.clear();
            assert_eq!(fast.values_mut().count(), 0);
        }
    }
}
