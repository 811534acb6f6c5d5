//! The judges: pure functions of what shoppers were told, what became of their orders, and what every store holds.

use std::collections::{BTreeMap, BTreeSet};

use ids::{CartId, OrderId};

use super::counters::{Consumer, Counts};
use super::fates::Fate;
use super::load::Asked;
use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::inventory::{Inventory, ReservationState};
use crate::audit::sources::orders::Orders;
use crate::audit::sources::provider::Provider;
use crate::load::open_loop::Told;

/// Orders with what became of them.
#[derive(Clone, Copy)]
pub struct Outcomes<'a> {
    asked: &'a [Asked],
    fates: &'a [Fate],
}

impl<'a> Outcomes<'a> {
    /// Of these orders, in the same order.
    pub const fn new(asked: &'a [Asked], fates: &'a [Fate]) -> Self {
        Self { asked, fates }
    }

    fn each(self) -> impl Iterator<Item = (&'a Asked, &'a Fate)> {
        self.asked.iter().zip(self.fates)
    }

    /// Those that stand.
    pub fn accepted(self) -> impl Iterator<Item = (&'a Asked, OrderId)> {
        self.each().filter_map(|(asked, fate)| Some((asked, fate.order()?)))
    }
}

/// ACKNOWLEDGED: what a shopper was told is so. A placed order stands, at the price of its cart; a refused one does not; and of every
/// order it can be told by now which of the two it is.
pub fn acknowledged(outcomes: Outcomes<'_>) -> Examined {
    let mut examined = Examined::default();
    for (asked, fate) in outcomes.each() {
        let cart = asked.cart.cart_id;
        let fault = match (&asked.told, fate) {
            (_, Fate::Unknown(why)) => Some(format!("nobody can tell what became of it: {why}")),
            (Told::Placed { order, .. }, fate) if fate.order() != Some(*order) => {
                Some(format!("its shopper was told that order {order} is placed; now it is {fate:?}"))
            }
            (Told::Placed { total, .. }, _) if *total != Some(asked.cart.pence) => {
                Some(format!("it costs {}, its shopper was told {total:?}", asked.cart.pence))
            }
            (Told::Refused(why), Fate::Stands(order)) => {
                Some(format!("its shopper was told no ({why}), and order {order} stands"))
            }
            _ => None,
        };
        match &asked.told {
            Told::Placed { .. } => examined.count(1, "orders acknowledged"),
            Told::Refused(_) => examined.count(1, "refused"),
            Told::Pending { .. } | Told::Unclear(_) => examined.count(1, "without a clear answer at first"),
        }
        examined.require(fault.is_none(), || format!("cart {cart}: {}", fault.unwrap_or_default()));
    }
    examined
}

/// PLACED ONCE: each cart that was ordered made one standing order, and no other cart of ours made any.
pub fn placed_once(outcomes: Outcomes<'_>, orders: Both<&Orders>) -> Examined {
    let mut standing = BTreeMap::<CartId, BTreeSet<OrderId>>::new();
    for (_, orders) in orders.each() {
        for (id, order) in orders.orders.iter().filter(|(_, order)| order.state.was_placed()) {
            standing.entry(order.cart).or_default().insert(*id);
        }
    }
    let mut examined = Examined::default();
    for (asked, fate) in outcomes.each() {
        let found = standing.get(&asked.cart.cart_id).cloned().unwrap_or_default();
        let expected: BTreeSet<OrderId> = fate.order().into_iter().collect();
        examined.count(found.len(), "orders placed");
        examined.require(found == expected, || {
            format!("cart {}: the stores have orders {found:?}, its shopper has {expected:?}", asked.cart.cart_id)
        });
    }
    examined
}

/// CHARGED ONCE, by the provider's own ledger: each order that stands was authorised once and charged once: in full, or, if the provider is
/// known to take less than it is told to (`short_allowed`), never more.
pub fn charged_once(outcomes: Outcomes<'_>, provider: &Provider, short_allowed: bool) -> Examined {
    let mut charges = BTreeMap::<&str, Vec<i64>>::new();
    let mut holds = BTreeMap::<&str, usize>::new();
    for intent in provider.intents.values() {
        charges.entry(&intent.reference).or_default().extend(&intent.captures);
        *holds.entry(&intent.reference).or_default() += intent.authorisations;
    }
    let mut examined = Examined::default();
    for (asked, order) in outcomes.accepted() {
        let reference = order.to_string();
        let captured = charges.get(reference.as_str()).map(Vec::as_slice).unwrap_or_default();
        let full = captured == [asked.cart.pence];
        let short = matches!(captured, [part] if (1..asked.cart.pence).contains(part));
        examined.count(captured.len().min(1), "distinct charges");
        examined.count(usize::from(short), "of less than was asked for");
        examined.require(full || (short && short_allowed), || {
            format!("order {order} costs {}, and the provider took {captured:?}", asked.cart.pence)
        });
        let held = holds.get(reference.as_str()).copied().unwrap_or_default();
        examined.require(held == 1, || format!("order {order} was authorised {held} times"));
    }
    examined
}

/// STOCK: each order that stands holds its units as one sale, and the goods of the drill are fewer by exactly what was sold.
/// `sold_before`: units sold of each offer when the drill began, over both regions.
pub fn stock_once(
    outcomes: Outcomes<'_>,
    orders: Both<&Orders>,
    inventory: Both<&Inventory>,
    sold_before: &BTreeMap<String, i64>,
) -> Examined {
    let mut examined = Examined::default();
    let mut ordered = BTreeMap::<&str, i64>::new();
    for (asked, id) in outcomes.accepted() {
        let region = asked.cart.region;
        let reservation = inventory.of(region).reservations.get(&id);
        examined.require(reservation.is_some_and(|held| held.state == ReservationState::Committed), || {
            format!("order {id} stands, and its reservation is {:?}", reservation.map(|held| held.state))
        });
        for line in orders.of(region).orders.get(&id).map(|order| order.lines.as_slice()).unwrap_or_default() {
            *ordered.entry(&line.offer).or_default() += line.quantity;
            examined.count(usize::try_from(line.quantity).unwrap_or_default(), "units sold");
        }
    }
    let sold_now = sold(inventory);
    for (offer, before) in sold_before {
        let sold = sold_now.get(offer).copied().unwrap_or_default() - before;
        let ordered = ordered.get(offer.as_str()).copied().unwrap_or_default();
        examined.require(sold == ordered, || format!("{offer}: {ordered} units were ordered, {sold} left the stock"));
    }
    examined
}

/// Units sold of each offer, over both regions.
pub fn sold(inventory: Both<&Inventory>) -> BTreeMap<String, i64> {
    let mut sold = BTreeMap::new();
    for (_, inventory) in inventory.each() {
        for (offer, level) in &inventory.levels {
            *sold.entry(offer.clone()).or_default() += level.sold;
        }
    }
    sold
}

/// What the consumers counted beside the distinct events that they remember since the drill began.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    /// By consumer: what was counted, and the distinct events.
    pub consumers: BTreeMap<Consumer, (Counts, u64)>,
}

impl Deliveries {
    /// `before`, `after`: what each consumer remembered when the drill began, and at its end.
    pub fn new(
        counted: BTreeMap<Consumer, Counts>,
        before: &BTreeMap<Consumer, u64>,
        after: &BTreeMap<Consumer, u64>,
    ) -> Self {
        let consumers = after.iter().map(|(consumer, after)| {
            let before = before.get(consumer).copied().unwrap_or_default();
            (consumer.clone(), (counted.get(consumer).copied().unwrap_or_default(), after - before))
        });
        Self { consumers: consumers.collect() }
    }

    /// Deliveries beyond the first of each event, as far as they were counted.
    pub fn redelivered(&self) -> u64 {
        let extra = |(counts, distinct): &(Counts, u64)| (counts.handled + counts.duplicates).saturating_sub(*distinct);
        self.consumers.values().map(extra).sum::<u64>().max(self.consumers.values().map(|(it, _)| it.duplicates).sum())
    }
}

/// APPLIED ONCE: no consumer acted on more events than there were.
pub fn applied_once(deliveries: &Deliveries) -> Examined {
    let mut examined = Examined::default();
    for ((region, consumer), (counts, distinct)) in &deliveries.consumers {
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        examined.count(number(*distinct), "events");
        examined.count(number(counts.duplicates), "recognised and skipped");
        examined.require(counts.handled <= *distinct, || {
            format!("{consumer} in {region} acted {} times on {distinct} events", counts.handled)
        });
        examined.require(counts.dead == 0, || format!("{consumer} in {region} gave up {} events", counts.dead));
    }
    examined
}

/// REDELIVERED: the fault made the brokers deliver events again. Without that, "once" was not put to the test.
pub fn redelivered(deliveries: &Deliveries) -> Examined {
    let mut examined = Examined::default();
    let redelivered = deliveries.redelivered();
    examined.count(usize::try_from(redelivered).unwrap_or(usize::MAX), "redeliveries seen");
    if redelivered == 0 {
        examined.cannot_tell("no event was seen delivered again");
    }
    examined
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
