//! A region: a disk, and what a crash takes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use replication::{Position, Receiver, Shipper};

use super::disk::{Carried, Checkout, Disk, Payload, Stored};
use super::model::{Kind, OperationId};
use super::{CartId, Micros};

pub struct Site {
    pub disk: Disk,
    pub backup: Option<Disk>,
    pub up: bool,
    /// Counts starts. What was under way in an earlier life is void.
    pub life: u32,
    /// Transactions that have a number and are not committed.
    pub running: BTreeMap<u64, Option<Write>>,
    /// By the site shipped to and received from; none when down, and for itself.
    pub shippers: Vec<Option<ShipperEnd>>,
    pub receivers: Vec<Option<ReceiverEnd>>,
    /// The positions on the disk say more than the carts hold.
    pub positions_lie: bool,
    pub restored: bool,
    clock: (Micros, u64),
}

/// What a transaction will have done once it commits. Its cart is locked.
pub struct Write {
    pub cart: CartId,
    pub stored: Stored,
    pub entries: Vec<(Position, Carried)>,
    /// The edit to acknowledge: with what its author had seen.
    pub edit: Option<(OperationId, Kind, BTreeSet<OperationId>)>,
    pub begins: Option<Checkout>,
    pub settles: Option<(OperationId, Settlement)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    Placed,
    Abandoned,
}

pub struct ShipperEnd {
    pub machine: Shipper<CartId>,
    pub generation: u32,
    /// The tick that is scheduled.
    pub wake: Option<Micros>,
}

pub struct ReceiverEnd {
    pub machine: Receiver<CartId, Rc<Payload>>,
    pub generation: u32,
}

impl Site {
    pub fn new(disk: Disk, sites: usize, clock: (Micros, u64)) -> Self {
        Self {
            disk,
            backup: None,
            up: true,
            life: 0,
            running: BTreeMap::new(),
            shippers: (0..sites).map(|_| None).collect(),
            receivers: (0..sites).map(|_| None).collect(),
            positions_lie: false,
            restored: false,
            clock,
        }
    }

    /// What this site's clock shows.
    pub fn local(&self, now: Micros) -> Duration {
        let (offset, rate) = self.clock;
        Duration::from_micros(offset + now * rate / 1_000)
    }

    /// When its clock will show `local`.
    pub fn global(&self, local: Duration) -> Micros {
        let (offset, rate) = self.clock;
        let local = u64::try_from(local.as_micros()).expect("centuries of simulation");
        (local.saturating_sub(offset) * 1_000).div_ceil(rate)
    }

    pub fn is_locked(&self, cart: CartId) -> bool {
        self.running.values().flatten().any(|write| write.cart == cart)
    }

    pub fn oldest_running(&self) -> u64 {
        self.running.keys().next().copied().unwrap_or(self.disk.next_transaction)
    }

    pub fn power_off(&mut self) {
        self.up = false;
        self.life += 1;
        self.running.clear();
        self.shippers.iter_mut().for_each(|end| *end = None);
        self.receivers.iter_mut().for_each(|end| *end = None);
    }
}
