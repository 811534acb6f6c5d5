//! `crdts`: a map of counters, the smallest cart with quantities that it can express.
//!
//! It is not quite a cart. A counter's dots count units while the map's dots count operations, so removing a line forgets
//! an amount that has nothing to do with what was seen: where an item was removed, its units are not ours. That costs it nothing
//! here, and where nothing was removed the units are checked to be the same.

use crdts::{CmRDT, CvRDT, Map, PNCounter};

use super::Measured;

#[derive(Clone, Default)]
pub struct Counters(Map<String, PNCounter<u8>, u8>);

impl Measured for Counters {
    const NAME: &'static str = "crdts_counters";

    fn add(&mut self, replica: u8, item: &str, units: u64) -> Vec<u8> {
        let context = self.0.read_ctx().derive_add_ctx(replica);
        let operation = self.0.update(item, context, |counter, _| counter.inc_many(replica, units));
        let shipped = postcard::to_stdvec(&operation).unwrap();
        self.0.apply(operation);
        shipped
    }

    fn remove(&mut self, _: u8, item: &str) {
        let seen = self.0.get(&item.to_owned());
        if seen.val.is_some() {
            let operation = self.0.rm(item, seen.derive_rm_ctx());
            self.0.apply(operation);
        }
    }

    fn join(&mut self, other: &mut Self) {
        self.0.merge(std::mem::take(&mut other.0));
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.0).unwrap()
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(postcard::from_bytes(bytes).unwrap())
    }

    /// Lines: each has at most one count per replica and direction.
    fn entries(&self) -> usize {
        self.0.len().val
    }

    fn units(&self, item: &str) -> u64 {
        let counter = self.0.get(&item.to_owned()).val;
        counter.map_or(0, |counter| counter.read().try_into().unwrap_or(0))
    }
}
