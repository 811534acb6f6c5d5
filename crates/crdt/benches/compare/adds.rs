//! `crdts`: a map of sets (ORSWOT) of adds. A line's units are the sum of the adds that are still in its set: the cart that
//! `crdts` can express with the same meaning as ours, and it grows with every add until the line is removed.

use crdts::{CmRDT, CvRDT, Map, Orswot};

use super::Measured;

/// Replica, its how-manieth add, units: no two adds are the same member.
type Add = (u8, u64, u64);

#[derive(Clone, Default)]
pub struct Adds {
    map: Map<String, Orswot<Add, u8>, u8>,
    added: u64,
}

impl Measured for Adds {
    const NAME: &'static str = "crdts_adds";

    fn add(&mut self, replica: u8, item: &str, units: u64) -> Vec<u8> {
        self.added += 1;
        let context = self.map.read_ctx().derive_add_ctx(replica);
        let operation = self.map.update(item, context, |adds, context| adds.add((replica, self.added, units), context));
        let shipped = postcard::to_stdvec(&operation).unwrap();
        self.map.apply(operation);
        shipped
    }

    fn remove(&mut self, _: u8, item: &str) {
        let seen = self.map.get(&item.to_owned());
        if seen.val.is_some() {
            let operation = self.map.rm(item, seen.derive_rm_ctx());
            self.map.apply(operation);
        }
    }

    fn join(&mut self, other: &mut Self) {
        self.map.merge(std::mem::take(&mut other.map));
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.map).unwrap()
    }

    fn decode(bytes: &[u8]) -> Self {
        Self { map: postcard::from_bytes(bytes).unwrap(), added: 0 }
    }

    fn entries(&self) -> usize {
        self.map.values().map(|adds| adds.val.iter().count()).sum()
    }

    fn units(&self, item: &str) -> u64 {
        let adds = self.map.get(&item.to_owned()).val;
        adds.map_or(0, |adds| adds.iter().map(|add| add.val.2).sum())
    }
}
