//! The month's customers: who shops where, and what in which order.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ids::Region;

use super::names;
use super::plan::Month;
use crate::client::{Session, SessionKey};

/// A customer with orders of the month.
#[derive(Debug)]
pub struct Shopper {
    /// Signed in.
    pub session: Session,
    /// Where.
    pub region: Region,
    /// Whether it is a guest, who orders once.
    pub guest: bool,
    /// Positions in [`Month::orders`], by invoice number.
    pub orders: Vec<usize>,
}

/// Everyone, those with the most lines first: they take longest, and nobody should wait for them at the end.
pub fn list(month: &Month, key: &SessionKey, sessions_expire_at: DateTime<Utc>) -> Vec<Shopper> {
    let mut shoppers: Vec<Shopper> = Vec::new();
    let mut positions = HashMap::new();
    let mut lines: Vec<usize> = Vec::new();
    for (position, order) in month.orders.iter().enumerate() {
        let customer = names::customer_id(order);
        let shopper = *positions.entry(customer).or_insert_with(|| {
            shoppers.push(Shopper {
                session: key.mint(customer, sessions_expire_at),
                region: names::home_region(customer),
                guest: order.customer.is_none(),
                orders: Vec::new(),
            });
            lines.push(0);
            shoppers.len() - 1
        });
        shoppers[shopper].orders.push(position);
        lines[shopper] += order.lines.len();
    }
    let mut by_lines: Vec<(usize, Shopper)> = lines.into_iter().zip(shoppers).collect();
    by_lines.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
    by_lines.into_iter().map(|(_, shopper)| shopper).collect()
}
