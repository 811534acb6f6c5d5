//! `stock`, `reservation` and `rights_transfer_in/out`: `services/inventory/src/store`.

use std::collections::BTreeMap;

use ids::{OfferId, OrderId, TransferId};
use inventory::domain::{Digest, Event, Grant, Lines, Move, Refusal, State, Stored, Transition, react};

use crate::coverage::Seen;
use crate::sabotage::Sabotage;
use crate::world::{RegionId, World, date};
use crate::{Micros, SECOND};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub available: i64,
    pub reserved: i64,
    pub sold: i64,
}

pub struct Reservation {
    pub stored: Stored,
    pub expires_at: Micros,
    /// Empty in a tombstone.
    pub lines: Vec<(OfferId, i64)>,
}

pub struct TransferIn {
    pub order: OrderId,
    pub asked: Lines,
    pub granted: Vec<(OfferId, i64)>,
    pub is_pending: bool,
    pub ask_again_at: Micros,
}

#[derive(Default)]
pub struct Stock {
    pub received: BTreeMap<OfferId, i64>,
    pub levels: BTreeMap<OfferId, Level>,
    pub reservations: BTreeMap<OrderId, Reservation>,
    pub transfers_in: BTreeMap<TransferId, TransferIn>,
    pub transfers_out: BTreeMap<TransferId, Vec<(OfferId, i64)>>,
}

/// Offers there are.
pub const OFFERS: [&str; 3] = ["bowl", "cup", "jug"];

/// A reservation to be made: `store::Reservation`.
#[derive(Clone)]
pub struct Wanted {
    pub order: OrderId,
    pub lines: Lines,
    pub digest: Digest,
}

impl Stock {
    pub fn new(units: i64) -> Self {
        let offers = || OFFERS.iter().map(|offer| offer.parse::<OfferId>().expect("a literal"));
        Self {
            received: offers().map(|offer| (offer, units)).collect(),
            levels: offers().map(|offer| (offer, Level { available: units, ..Level::default() })).collect(),
            ..Self::default()
        }
    }

    pub fn available(&self) -> BTreeMap<OfferId, i64> {
        self.levels.iter().map(|(offer, level)| (offer.clone(), level.available)).collect()
    }

    /// The pending transfer of an order: `pending_for`.
    pub fn pending_for(&self, order: OrderId) -> Option<(TransferId, Lines)> {
        let pending = self.transfers_in.iter().find(|(_, transfer)| transfer.is_pending && transfer.order == order);
        pending.map(|(id, transfer)| (*id, transfer.asked.clone()))
    }

    fn level(&mut self, offer: &OfferId) -> &mut Level {
        self.levels.entry(offer.clone()).or_default()
    }
}

impl World {
    fn stock(&mut self, at: RegionId) -> &mut Stock {
        self.stock_touched = true;
        &mut self.regions[at].stock
    }

    /// `reserve`: every line or none, once per order.
    pub fn reserve(&mut self, at: RegionId, wanted: &Wanted) -> bool {
        let expires_at = self.now + self.plan.reservation_ttl;
        self.touch(at, wanted.order);
        let stock = self.stock(at);
        let is_short = wanted.lines.iter().any(|line| stock.level(&line.offer_id).available < line.units);
        if is_short || stock.reservations.contains_key(&wanted.order) {
            return false;
        }
        for line in wanted.lines.iter() {
            let level = stock.level(&line.offer_id);
            level.available -= line.units;
            level.reserved += line.units;
        }
        let digest = Some(wanted.digest.as_bytes().to_vec());
        let stored = Stored { state: State::Reserved, request_digest: digest, expires_at: date(expires_at) };
        let lines = wanted.lines.iter().map(|line| (line.offer_id.clone(), line.units)).collect();
        stock.reservations.insert(wanted.order, Reservation { stored, expires_at, lines });
        true
    }

    /// `transition::apply`: the table, on the order's reservation, for all its lines.
    pub fn apply_to_reservation(&mut self, at: RegionId, event: Event, order: OrderId) -> Result<Transition, Refusal> {
        self.touch(at, order);
        let now = self.now;
        let found = self.stock(at).reservations.get(&order).map(|reservation| reservation.stored.state);
        let transition = react(found, event)?;
        if found == Some(State::Reserved) && event == Event::OrderCancelled {
            self.saw(Seen::EarlyCancel);
        }
        if let Transition::To(state, way) = transition {
            if found.is_some() {
                self.move_units(at, order, state, way);
            } else if !self.removed(Sabotage::ReservationTombstone) {
                let stored = Stored { state, request_digest: None, expires_at: date(now) };
                self.saw(Seen::StockTombstone);
                let tombstone = Reservation { stored, expires_at: now, lines: Vec::new() };
                self.stock(at).reservations.insert(order, tombstone);
            }
        }
        Ok(transition)
    }

    fn move_units(&mut self, at: RegionId, order: OrderId, state: State, way: Move) {
        let stock = self.stock(at);
        let Some(reservation) = stock.reservations.get_mut(&order) else { return };
        reservation.stored.state = state;
        for (offer, units) in reservation.lines.clone() {
            let level = stock.level(&offer);
            level.available += units * way.available;
            level.reserved += units * way.reserved;
            level.sold += units * way.sold;
        }
    }

    /// `claim_expired`: the claim is the new time-out.
    pub fn claim_expired(&mut self, at: RegionId) -> Vec<OrderId> {
        let now = self.now;
        let open = self.stock(at).reservations.iter_mut();
        let due = open.filter(|(_, it)| it.stored.state == State::Reserved && it.expires_at <= now);
        due.map(|(order, reservation)| {
            reservation.expires_at = now + 5 * SECOND;
            *order
        })
        .collect()
    }

    /// `open`: false when the order has another question pending.
    pub fn open_transfer(&mut self, at: RegionId, order: OrderId, asked: &Lines) -> Option<TransferId> {
        let (id, ask_again_at) = (self.new_transfer_id(), self.now + 6 * SECOND);
        let stock = self.stock(at);
        if stock.pending_for(order).is_some() {
            return None;
        }
        let granted = Vec::new();
        stock
            .transfers_in
            .insert(id, TransferIn { order, asked: asked.clone(), granted, is_pending: true, ask_again_at });
        Some(id)
    }

    /// `claim_abandoned`.
    pub fn claim_abandoned(&mut self, at: RegionId) -> Vec<(TransferId, Lines)> {
        let now = self.now;
        let due = self.stock(at).transfers_in.iter_mut().filter(|(_, it)| it.is_pending && it.ask_again_at <= now);
        due.map(|(id, transfer)| {
            transfer.ask_again_at = now + 10 * SECOND;
            (*id, transfer.asked.clone())
        })
        .collect()
    }

    /// `grant`: takes what it can off this region's stock, once per transfer; a repeat gets the first outcome.
    pub fn grant(&mut self, at: RegionId, id: TransferId, asked: &Lines) -> Vec<(OfferId, i64)> {
        let stock = self.stock(at);
        if let Some(granted) = stock.transfers_out.get(&id).cloned() {
            self.saw(Seen::TransferAgain);
            return granted;
        }
        let mut granted = Vec::new();
        for line in asked.iter() {
            let level = stock.level(&line.offer_id);
            let units = level.available.min(line.units);
            level.available -= units;
            if units > 0 {
                granted.push((line.offer_id.clone(), units));
            }
        }
        stock.transfers_out.insert(id, granted.clone());
        granted
    }

    /// `settle`: credits the answer once and, in the same transaction, reserves the order it was for.
    pub fn credit_and_reserve(&mut self, at: RegionId, id: TransferId, grant: &Grant, wanted: Option<&Wanted>) -> bool {
        let is_unguarded = self.removed(Sabotage::CreditOnce);
        let stock = self.stock(at);
        let granted: Vec<(OfferId, i64)> = grant
            .offer_ids()
            .into_iter()
            .zip(grant.units())
            .map(|(offer, units)| (offer.parse().expect("an offer id"), units))
            .collect();
        let is_pending = stock.transfers_in.get(&id).is_some_and(|transfer| transfer.is_pending);
        if is_pending || is_unguarded {
            for (offer, units) in &granted {
                stock.level(offer).available += units;
            }
            if let Some(transfer) = stock.transfers_in.get_mut(&id) {
                transfer.is_pending = false;
                transfer.granted = granted;
            }
            self.saw(Seen::Transferred);
        }
        wanted.is_some_and(|wanted| self.reserve(at, wanted))
    }
}
