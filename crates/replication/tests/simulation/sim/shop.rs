//! Shoppers: transactions that take a number, wait, lock a cart, write, and commit later or never.

use rand::Rng;

use super::disk::{Carried, Checkout, Delta, Payload, Stored};
use super::model::{Kind, OperationId};
use super::sabotage::Sabotage;
use super::site::{Settlement, Write};
use super::world::{Event, World};
use super::{CartId, MILLISECOND, SiteId};

impl World {
    pub fn shop(&mut self, site: SiteId) {
        if self.healed {
            return;
        }
        if self.sites[site].up {
            let transaction = self.sites[site].disk.begin();
            self.sites[site].running.insert(transaction, None);
            let early = if self.plan.early_numbers { self.rng.random_range(0..60 * MILLISECOND) } else { 0 };
            let life = self.sites[site].life;
            self.schedule(early, Event::Execute { site, life, transaction });
        }
        let pause = self.rng.random_range(0..2 * self.plan.shop_every);
        self.schedule(pause, Event::Shop { site });
    }

    /// Decides on what is committed, and keeps the cart locked until the end.
    pub fn execute(&mut self, site: SiteId, transaction: u64) {
        let write = if self.rng.random_bool(0.2) { self.settle(site) } else { self.edit(site) };
        // The cart is locked (an optimistic writer would find it changed), or the client went away: rolled back.
        let Some(mut write) = write.filter(|_| !self.rng.random_bool(0.05)) else {
            self.sites[site].running.remove(&transaction);
            return;
        };
        for (position, _) in &mut write.entries {
            *position = self.sites[site].disk.position(transaction);
        }
        if self.sabotage == Some(Sabotage::AcknowledgeBeforeCommit)
            && let Some((id, ..)) = &write.edit
            && write.begins.is_none()
        {
            self.acknowledged.insert(*id, site);
        }
        self.sites[site].running.insert(transaction, Some(write));
        let (life, delay) = (self.sites[site].life, self.rng.random_range(0..40 * MILLISECOND));
        self.schedule(delay, Event::Commit { site, life, transaction });
    }

    pub fn commit(&mut self, site: SiteId, transaction: u64) {
        let Some(Some(write)) = self.sites[site].running.remove(&transaction) else { return };
        self.check_placing(site, &write);
        let disk = &mut self.sites[site].disk;
        let held = disk.held(write.cart);
        disk.carts.insert(write.cart, write.stored);
        if let Some((operation, settlement)) = write.settles {
            disk.checkouts.remove(&operation);
            if settlement == Settlement::Placed {
                self.acknowledged.insert(operation, site);
            }
        }
        if let Some((id, kind, saw)) = write.edit {
            match write.begins {
                Some(checkout) => drop(disk.checkouts.insert(id, checkout)),
                None => drop(self.acknowledged.insert(id, site)),
            }
            self.model.acknowledge(id, disk.number, kind, saw, &held);
            self.report.edits += 1;
        }
        for (position, entry) in write.entries {
            self.append(site, position, entry);
        }
        self.check_view(site, write.cart);
        self.log_grew(site);
    }

    fn edit(&mut self, site: SiteId) -> Option<Write> {
        let cart = self.rng.random_range(0..self.plan.carts);
        if self.sites[site].is_locked(cart) {
            return None;
        }
        let mut stored = self.sites[site].disk.carts.get(&cart).cloned().unwrap_or_default();
        let own = crdt::ReplicaId(self.sites[site].disk.number.0);
        let item = self.rng.random_range(0..self.plan.items);
        let (units, price) = (self.rng.random_range(1..6), self.rng.random_range(1..4));
        let id = self.next_operation;
        self.next_operation += 1;
        let saw = stored.seen.clone();
        let mut begins = None;
        let shown = self.sites[site].disk.view(cart, &stored.state);
        // What a careless edit takes for shown: it takes what orders hold along with the rest.
        let taken = if self.sabotage == Some(Sabotage::EditWhatIsHeld) { stored.state.clone() } else { shown.clone() };
        let cut_of = if self.sabotage == Some(Sabotage::CutWhatIsHeld) { stored.state.clone() } else { shown };
        let (kind, delta) = match self.rng.random_range(0..10) {
            0..=4 => (Kind::Add(item, units), stored.state.add(own, item, units, price).ok()?),
            5..=6 => (Kind::Set(item, units), stored.state.set_shown(&taken, own, item, units, price).ok()?),
            7..=8 => (Kind::Remove(item), stored.state.remove_shown(&taken, own, item).ok()?),
            _ => {
                let (dot, cut) = cut_of.cut(own).ok()?;
                let tick = Delta::tick(dot);
                stored.state.join_delta(&tick);
                begins = Some(Checkout { cart, cut });
                (Kind::Checkout, tick)
            }
        };
        let mut tells = self.model.told_by(&delta, &saw);
        if begins.is_none() {
            stored.see(id);
            tells.push(id);
        }
        let entries = vec![unplaced(cart, &delta, tells, &stored)];
        Some(Write { cart, stored, entries, edit: Some((id, kind, saw)), begins, settles: None })
    }

    /// An order is placed, and its cut is joined; or it is not, and the cut is dropped.
    fn settle(&mut self, site: SiteId) -> Option<Write> {
        let here = &self.sites[site];
        let count = here.disk.checkouts.len();
        let nth = (count > 0).then(|| self.rng.random_range(0..count))?;
        let (id, Checkout { cart, cut }) = here.disk.checkouts.iter().nth(nth).map(|(id, it)| (*id, it.clone()))?;
        if here.is_locked(cart) {
            return None;
        }
        let stored = here.disk.carts.get(&cart).cloned().unwrap_or_default();
        let own = crdt::ReplicaId(here.disk.number.0);
        if self.rng.random_bool(0.5) {
            Some(place(id, cart, &cut, self.model.told_by_order(id, &cut), stored, own))
        } else {
            // What is shown changes, so the version moves on.
            let mut stored = stored;
            let tick = Delta::tick(stored.state.context().next_dot(own).ok()?);
            stored.state.join_delta(&tick);
            let entries = vec![unplaced(cart, &tick, Vec::new(), &stored)];
            let settles = Some((id, Settlement::Abandoned));
            Some(Write { cart, stored, entries, edit: None, begins: None, settles })
        }
    }
}

fn place(
    id: OperationId,
    cart: CartId,
    cut: &Delta,
    tells: Vec<OperationId>,
    mut stored: Stored,
    own: crdt::ReplicaId,
) -> Write {
    stored.state.join_delta(cut);
    stored.see(id);
    let mut entries = vec![unplaced(cart, cut, tells, &stored)];
    entries.extend(stored.state.retire(own).iter().map(|delta| unplaced(cart, delta, Vec::new(), &stored)));
    let settles = Some((id, Settlement::Placed));
    Write { cart, stored, entries, edit: None, begins: None, settles }
}

/// An entry whose position is handed out when it is written.
fn unplaced(cart: CartId, delta: &Delta, tells: Vec<OperationId>, author: &Stored) -> (replication::Position, Carried) {
    (replication::Position::START, (cart, Payload::delta(delta, tells, author)))
}
