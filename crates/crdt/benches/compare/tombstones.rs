//! The OR-set of Shapiro et al. 2011, with its tombstones: every add has a tag, and every removed tag is kept for ever.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Measured;

/// Replica, and its how-manieth add.
type Tag = (u8, u64);

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tombstones {
    live: BTreeMap<String, BTreeMap<Tag, u64>>,
    removed: BTreeSet<Tag>,
    added: u64,
}

impl Measured for Tombstones {
    const NAME: &'static str = "tombstones";

    fn add(&mut self, replica: u8, item: &str, units: u64) -> Vec<u8> {
        self.added += 1;
        let tag = (replica, self.added);
        self.live.entry(item.to_owned()).or_default().insert(tag, units);
        postcard::to_stdvec(&(item, tag, units)).unwrap()
    }

    fn remove(&mut self, _: u8, item: &str) {
        self.removed.extend(self.live.remove(item).into_iter().flat_map(BTreeMap::into_keys));
    }

    fn join(&mut self, other: &mut Self) {
        for (item, adds) in &other.live {
            self.live.entry(item.clone()).or_default().extend(adds);
        }
        self.removed.extend(&other.removed);
        for adds in self.live.values_mut() {
            adds.retain(|tag, _| !self.removed.contains(tag));
        }
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&(&self.live, &self.removed)).unwrap()
    }

    fn decode(bytes: &[u8]) -> Self {
        let (live, removed) = postcard::from_bytes(bytes).unwrap();
        Self { live, removed, added: 0 }
    }

    fn entries(&self) -> usize {
        self.live.values().map(BTreeMap::len).sum::<usize>() + self.removed.len()
    }

    fn units(&self, item: &str) -> u64 {
        self.live.get(item).map_or(0, |adds| adds.values().sum())
    }
}
