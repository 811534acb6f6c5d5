//! A cart that both regions edit, for the tests of what its log says of it.

use crdt::ReplicaId;
use crdt::codec::encode_line;
use ids::{CartId, Region};
use uuid::Uuid;

use super::carts::{Cut, State};
use super::world::{World, done, logged, snapshot, stored};
use crate::audit::both::Both;
use crate::audit::sources::carts::{Logged, StoredCart};

/// What all units cost.
const PRICE: i64 = 100;

pub struct EditedCart {
    regions: Both<EditedIn>,
    /// Its rows in both regions, once they agree.
    rows: Option<StoredCart>,
}

/// The cart in a region, and the region's log.
pub struct EditedIn {
    replica: ReplicaId,
    cart: State,
    log: Vec<Logged>,
}

impl Default for EditedCart {
    fn default() -> Self {
        let of =
            |region: Region| EditedIn { replica: ReplicaId(region.replica()), cart: State::default(), log: Vec::new() };
        Self { regions: Both { east: of(Region::East), west: of(Region::West) }, rows: None }
    }
}

impl EditedIn {
    pub fn add(&mut self, offer: &str, quantity: u64) {
        let added = self.cart.add(self.replica, offer.to_owned(), quantity, snapshot(offer, PRICE));
        self.log("client", &done(added));
    }

    pub fn set(&mut self, offer: &str, quantity: u64) {
        let set = self.cart.set(self.replica, offer.to_owned(), quantity, snapshot(offer, PRICE));
        self.log("client", &done(set));
    }

    pub fn remove(&mut self, offer: &str) {
        let removed = self.cart.remove(self.replica, offer.to_owned());
        self.log("client", &done(removed));
    }

    /// Joins what the other region has, and drops what is spent of its own.
    fn hear(&mut self, other: &State) {
        self.cart.join(other);
        for delta in self.cart.retire(self.replica) {
            self.log("retired", &delta);
        }
    }

    fn log(&mut self, kind: &str, delta: &Cut) {
        let key = format!("{kind}:{}", self.log.len());
        self.log.push(logged(self.replica, &key, delta));
    }
}

impl EditedCart {
    pub fn east(&mut self, edit: impl FnOnce(&mut EditedIn)) {
        edit(&mut self.regions.east);
    }

    pub fn west(&mut self, edit: impl FnOnce(&mut EditedIn)) {
        edit(&mut self.regions.west);
    }

    /// Each hears of the other, and of what that one dropped then.
    pub fn talk(&mut self) {
        let Both { east, west } = &mut self.regions;
        for _ in 0..2 {
            east.hear(&west.cart);
            west.hear(&east.cart);
        }
        assert_eq!(east.cart, west.cart);
    }

    /// A line as it is stored now.
    pub fn line(&self, offer: &str) -> Vec<u8> {
        self.regions.east.cart.lines().find(|(name, _)| *name == offer).map(|(_, line)| encode_line(line)).unwrap()
    }

    /// Stores what both regions have.
    pub fn settle(&mut self) {
        self.rows = Some(stored(&self.regions.east.cart));
    }

    /// Changes the rows in both regions.
    pub fn tamper(&mut self, change: impl FnOnce(&mut StoredCart)) {
        change(self.rows.as_mut().unwrap());
    }

    /// East's log has forgotten its first operation.
    pub fn trim_first(&mut self) {
        self.regions.east.log.remove(0);
    }

    /// Puts it into both regions of the world.
    pub fn put(self, world: &mut World) {
        let id = CartId::from_uuid(Uuid::from_u128(8));
        let rows = self.rows.unwrap();
        for (carts, region) in [(&mut world.carts.east, self.regions.east), (&mut world.carts.west, self.regions.west)]
        {
            carts.carts.insert(id, rows.clone());
            carts.log.insert(id, region.log);
        }
    }
}
