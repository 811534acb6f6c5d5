//! What survives a crash: carts, log, positions.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crdt::codec::{encode_cart, encode_delta};
use replication::shipper::LogRead;
use replication::{Digest, Position, ReplicaId};

use super::model::{Item, OperationId};
use super::{CartId, SiteId};

pub type State = crdt::Cart<Item, u64>;
pub type Delta = crdt::Delta<Item, u64>;

/// A delta or a whole state as bytes, and beside it, for the model alone, what it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    pub bytes: Vec<u8>,
    pub operations: BTreeSet<OperationId>,
    /// The operations that its author had heard of.
    pub heard: BTreeSet<OperationId>,
}

pub type Carried = (CartId, Rc<Payload>);

impl Payload {
    /// `author`: the cart where the delta was made, after it.
    pub fn delta(delta: &Delta, tells: Vec<OperationId>, author: &Stored) -> Rc<Self> {
        let operations = tells.into_iter().collect();
        Rc::new(Self { bytes: encode_delta(delta), operations, heard: author.heard.clone() })
    }
}

#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub state: State,
    /// For the model: the operations joined here.
    pub seen: BTreeSet<OperationId>,
    /// These, and those that the authors of what was joined here had heard of. Deltas of several authors may come in an order that
    /// no shopper has seen, and then a cart rightly shows traces of operations that are still on their way: a replica that
    /// drops its spent entry tells of the remove that spent it. Histories say something exact only when both are equal.
    pub heard: BTreeSet<OperationId>,
}

impl Stored {
    pub fn see(&mut self, operation: OperationId) {
        self.seen.insert(operation);
        self.heard.insert(operation);
    }

    pub fn is_causally_closed(&self) -> bool {
        self.seen.len() == self.heard.len()
    }
}

#[derive(Clone, Debug)]
pub struct Checkout {
    pub cart: CartId,
    pub cut: Delta,
}

#[derive(Clone, Debug)]
pub struct Disk {
    pub number: ReplicaId,
    pub carts: BTreeMap<CartId, Stored>,
    pub log: BTreeMap<Position, Carried>,
    pub trimmed: Position,
    /// By log: everything through there is joined here.
    pub through: BTreeMap<ReplicaId, Position>,
    /// By region: what it has of this log, and the number it had when it said so.
    pub acked: BTreeMap<SiteId, (ReplicaId, Position)>,
    /// Undecided checkouts.
    pub checkouts: BTreeMap<OperationId, Checkout>,
    pub next_transaction: u64,
    pub next_sequence: u64,
}

impl Disk {
    pub fn new(number: ReplicaId) -> Self {
        Self {
            number,
            carts: BTreeMap::new(),
            log: BTreeMap::new(),
            trimmed: Position::START,
            through: BTreeMap::new(),
            acked: BTreeMap::new(),
            checkouts: BTreeMap::new(),
            next_transaction: 1,
            next_sequence: 1,
        }
    }

    /// The undecided checkouts of a cart.
    pub fn held(&self, cart: CartId) -> BTreeSet<OperationId> {
        self.checkouts.iter().filter(|(_, checkout)| checkout.cart == cart).map(|(id, _)| *id).collect()
    }

    /// What a shopper of `cart`, which is `state` here, is shown.
    pub fn view(&self, cart: CartId, state: &State) -> State {
        state.view(self.checkouts.values().filter(|checkout| checkout.cart == cart).map(|checkout| &checkout.cut))
    }

    pub fn begin(&mut self) -> u64 {
        self.next_transaction += 1;
        self.next_transaction - 1
    }

    pub fn position(&mut self, transaction: u64) -> Position {
        self.next_sequence += 1;
        Position { transaction, sequence: self.next_sequence - 1 }
    }

    pub fn through(&self, log: ReplicaId) -> Position {
        self.through.get(&log).copied().unwrap_or_default()
    }

    pub fn acked(&self, site: SiteId) -> Position {
        self.acked.get(&site).map_or(Position::START, |(_, position)| *position)
    }

    /// Reads the log below `stop`, the oldest transaction that still runs.
    pub fn read_log(
        &self,
        after: Position,
        entries_max: usize,
        bytes_max: usize,
        stop: u64,
    ) -> LogRead<CartId, Rc<Payload>> {
        let end = Position { transaction: self.next_transaction, sequence: 0 };
        let mut read = LogRead {
            after,
            through: after.min(end),
            trimmed: self.trimmed,
            more: false,
            bytes: 0,
            entries: Vec::new(),
        };
        let beyond = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        for (position, entry) in self.log.range(beyond).take_while(|(position, _)| position.transaction < stop) {
            let bytes = entry.1.bytes.len();
            let fits = read.entries.len() < entries_max && read.bytes + bytes <= bytes_max;
            if !fits && !read.entries.is_empty() {
                read.more = true;
                break;
            }
            read.through = *position;
            read.bytes += bytes;
            read.entries.push(entry.clone());
        }
        read
    }

    pub fn trim(&mut self, through: Position) {
        if through > self.trimmed {
            self.trimmed = through;
            self.log.retain(|position, _| *position > through);
        }
    }

    pub fn digests(&self, after: Option<CartId>, last: CartId, limit: usize) -> Vec<(CartId, Digest)> {
        let range = self.carts.range(after.map_or(0, |after| after + 1)..=last);
        range.take(limit).map(|(id, stored)| (*id, digest(*id, &stored.state))).collect()
    }

    pub fn states(&self, ids: &[CartId], bytes_max: usize) -> Vec<Carried> {
        let mut states: Vec<Carried> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            let Some(stored) = self.carts.get(id) else { continue };
            let payload = Payload {
                bytes: encode_cart(&stored.state),
                operations: stored.seen.clone(),
                heard: stored.heard.clone(),
            };
            bytes += payload.bytes.len();
            if bytes > bytes_max && !states.is_empty() {
                break;
            }
            states.push((*id, Rc::new(payload)));
        }
        states
    }
}

/// FNV-1a of 128 bits: nobody attacks a simulation.
fn digest(id: CartId, state: &State) -> Digest {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in id.to_le_bytes().into_iter().chain(encode_cart(state)) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    Digest(hash.to_le_bytes())
}
