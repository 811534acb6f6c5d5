//! Checkouts, as far as orders need them: `services/cart/src/store` (`begin`, `consume`, `abandon`, `overdue`). What carts hold, and how
//! cuts are joined, is simulated in `crates/replication`.

use std::collections::BTreeMap;

use ids::OrderId;

use crate::Micros;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutState {
    Undecided,
    Ordered,
    Abandoned,
}

#[derive(Clone, Copy, Debug)]
pub struct Checkout {
    pub state: CheckoutState,
    pub begun_at: Micros,
}

#[derive(Default)]
pub struct Carts {
    pub checkouts: BTreeMap<OrderId, Checkout>,
    by_request: BTreeMap<u64, OrderId>,
}

impl Carts {
    /// `begin`: a repeat gets the first cut and the order it was made for, whatever became of it.
    pub fn begin(&mut self, request: u64, new_order: OrderId, now: Micros) -> OrderId {
        let order = *self.by_request.entry(request).or_insert(new_order);
        let fresh = Checkout { state: CheckoutState::Undecided, begun_at: now };
        self.checkouts.entry(order).or_insert(fresh);
        order
    }

    /// `consume`: the order was placed. An abandoned cut is consumed all the same.
    pub fn consume(&mut self, order: OrderId) -> Result<(), String> {
        let checkout = self.checkouts.get_mut(&order).ok_or("no such checkout")?;
        checkout.state = CheckoutState::Ordered;
        Ok(())
    }

    /// `abandon`: the lines go back, once; what was ordered stays so.
    pub fn abandon(&mut self, order: OrderId) {
        if let Some(checkout) = self.checkouts.get_mut(&order)
            && checkout.state == CheckoutState::Undecided
        {
            checkout.state = CheckoutState::Abandoned;
        }
    }

    /// `overdue`: begun before `before` and undecided.
    pub fn overdue(&self, before: Micros) -> Vec<OrderId> {
        let overdue = self
            .checkouts
            .iter()
            .filter(|(_, checkout)| checkout.state == CheckoutState::Undecided && checkout.begun_at < before);
        overdue.map(|(order, _)| *order).collect()
    }
}
