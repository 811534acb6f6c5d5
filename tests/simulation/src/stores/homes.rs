//! Whose a request is: `services/order/src/store/homes.rs`.

use ids::OrderId;
use order::domain::Fate;

use crate::coverage::Seen;
use crate::stores::orders::Superseded;
use crate::world::{RegionId, World};
use crate::{Micros, SECOND};

/// `store::homes::TAKEN_FOR`.
const TAKEN_FOR: Micros = 10 * SECOND;

/// An order that the home of its owner is to be told of.
#[derive(Clone, Copy, Debug)]
pub struct Untold {
    pub order: OrderId,
    pub request: u64,
    pub fate: Fate,
    pub told_home_at: Option<Micros>,
}

impl World {
    /// `take_untold`.
    pub fn take_untold(&mut self, at: RegionId) -> Vec<Untold> {
        let now = self.now;
        let rows = self.regions[at].orders.rows.iter_mut();
        let due = rows.filter(|(_, row)| row.tell_home_after.is_some_and(|after| after <= now));
        let untold = due.map(|(order, row)| {
            row.tell_home_after = Some(now + TAKEN_FOR);
            let (fate, told_home_at) = (row.order.state.fate(), row.told_home_at);
            Untold { order: *order, request: row.request, fate, told_home_at }
        });
        untold.collect()
    }

    /// `told_home`.
    pub fn told_home(&mut self, at: RegionId, order: OrderId, again: Option<Micros>) {
        let now = self.now;
        let row = self.orders(at).row(order);
        row.told_home_at.get_or_insert(now);
        row.tell_home_after = again.map(|again| now + again);
    }

    /// `not_told_home`.
    pub fn not_told_home(&mut self, at: RegionId, order: OrderId, again: Micros) {
        self.orders(at).row(order).tell_home_after = Some(self.now + again);
    }

    /// `note_decided_away`: the order that this region made of the same request.
    pub fn note_decided_away(&mut self, at: RegionId, request: u64, order: OrderId) -> Option<(OrderId, Fate)> {
        self.saw(Seen::HomeTold);
        let orders = self.orders(at);
        orders.decided_away.entry(request).or_insert(order);
        let ours = *orders.by_request.get(&request)?;
        Some((ours, orders.fate(ours)?))
    }

    /// `supersede`.
    pub fn supersede(&mut self, at: RegionId, order: OrderId, by: OrderId) {
        let (now, request) = (self.now, self.number());
        let orders = self.orders(at);
        orders.superseded.entry(order).or_insert(Superseded { request, next_look: Some(now) });
        orders.row(order).order.superseded_by.get_or_insert(by);
    }

    /// `take_superseded`, with the key of each.
    pub fn take_superseded(&mut self, at: RegionId) -> Vec<(OrderId, u64)> {
        let now = self.now;
        let all = self.regions[at].orders.superseded.iter_mut();
        let due = all.filter(|(_, it)| it.next_look.is_some_and(|next| next <= now));
        let taken = due.map(|(order, it)| {
            it.next_look = Some(now + TAKEN_FOR);
            (*order, it.request)
        });
        taken.collect()
    }

    /// `undone`, or `not_undone`: looked at again after `again`.
    pub fn looked_at_superseded(&mut self, at: RegionId, order: OrderId, again: Option<Micros>) {
        let now = self.now;
        if let Some(it) = self.orders(at).superseded.get_mut(&order).filter(|it| it.next_look.is_some()) {
            it.next_look = again.map(|again| now + again);
        }
    }
}
