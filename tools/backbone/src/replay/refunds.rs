//! Which order a refund belongs to: the same customer's newest earlier one that still has the units. Pure.

use std::collections::{BTreeMap, HashMap};

use super::plan::{DoesNotFit, Line, Month};
use super::rows::{CountedRow, OfferKey};

/// What one refund invoice takes back of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Digits of the refund's invoice number.
    pub invoice: u64,
    /// Position in [`Month::orders`].
    pub order: usize,
    /// By offer, each once.
    pub lines: Vec<Line>,
    /// What is paid back.
    pub pence: i64,
}

/// Fills `refunds` and the unmatched part of the tally.
///
/// Refunds are taken in order of invoice number, offers in order of (stock code, pence): both maps below are sorted.
pub(super) fn match_to_orders(
    month: &mut Month,
    positions: &HashMap<OfferKey, usize>,
    rows: &[CountedRow],
) -> Result<(), DoesNotFit> {
    let mut invoices: BTreeMap<u64, (Option<&str>, BTreeMap<&OfferKey, i64>)> = BTreeMap::new();
    for row in rows {
        let misfit = || DoesNotFit { invoice: row.invoice };
        let (_, offers) = invoices.entry(row.invoice).or_insert_with(|| (row.customer.as_deref(), BTreeMap::new()));
        let units = offers.entry(&row.offer).or_default();
        *units = units.checked_add(row.units).ok_or_else(misfit)?;
    }
    month.tally.cancellations = invoices.len() as u64;
    let mut left = Unrefunded::new(month);
    for (invoice, (customer, offers)) in invoices {
        let misfit = || DoesNotFit { invoice };
        let mut by_order: BTreeMap<usize, Refund> = BTreeMap::new();
        for (offer, units) in offers {
            let pence = offer.pence.checked_mul(units).ok_or_else(misfit)?;
            let found = customer.zip(positions.get(offer)).and_then(|(customer, &position)| {
                left.take(customer, position, units, invoice).map(|order| (order, position))
            });
            let Some((order, position)) = found else {
                month.tally.refund_lines_unmatched += 1;
                month.tally.unmatched_pence = month.tally.unmatched_pence.checked_add(pence).ok_or_else(misfit)?;
                continue;
            };
            let refund =
                by_order.entry(order).or_insert_with(|| Refund { invoice, order, lines: Vec::new(), pence: 0 });
            refund.lines.push(Line { offer: position, units });
            refund.pence = refund.pence.checked_add(pence).ok_or_else(misfit)?;
        }
        month.refunds.extend(by_order.into_values());
    }
    Ok(())
}

/// Units not yet refunded, by customer and offer.
struct Unrefunded {
    /// Each list is in order of invoice number.
    bought: HashMap<(Box<str>, usize), Vec<Bought>>,
}

struct Bought {
    invoice: u64,
    order: usize,
    units: i64,
}

impl Unrefunded {
    fn new(month: &Month) -> Self {
        let mut bought: HashMap<(Box<str>, usize), Vec<Bought>> = HashMap::new();
        for (position, order) in month.orders.iter().enumerate() {
            // A guest cannot be told from another, so nobody's purchase is given back to one.
            let Some(customer) = &order.customer else { continue };
            for line in &order.lines {
                let list = bought.entry((customer.clone(), line.offer)).or_default();
                list.push(Bought { invoice: order.invoice, order: position, units: line.units });
            }
        }
        Self { bought }
    }

    /// Takes `units` from the newest order below `invoice` that has them all.
    fn take(&mut self, customer: &str, offer: usize, units: i64, invoice: u64) -> Option<usize> {
        let list = self.bought.get_mut(&(customer.into(), offer))?;
        let newest = list.iter_mut().rev().find(|bought| bought.invoice < invoice && bought.units >= units)?;
        newest.units -= units;
        Some(newest.order)
    }
}
