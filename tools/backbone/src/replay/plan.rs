//! A month as orders, offers and refunds: the mapping of rows to what the marketplace does. Pure.

use std::collections::{BTreeMap, HashMap};

use super::refunds::{self, Refund};
use super::rows::{CountedRow, Kind, OfferKey, Skipped};

/// An offer of the month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it is.
    pub key: OfferKey,
    /// The first description the month gives it, or its stock code.
    pub title: String,
    /// Units the month's orders take: its stock at the start.
    pub units: i64,
}

/// One line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Position in [`Month::offers`].
    pub offer: usize,
    /// Units.
    pub units: i64,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its invoice's number.
    pub invoice: u64,
    /// `None` is a guest.
    pub customer: Option<Box<str>>,
    /// Where it goes.
    pub country: String,
    /// By offer, each once.
    pub lines: Vec<Line>,
    /// What it costs.
    pub pence: i64,
}

/// A month of the data set, ready to be replayed.
#[derive(Clone, Debug, Default)]
pub struct Month {
    /// Such as `2010-12`.
    pub name: String,
    /// In order of (stock code, pence).
    pub offers: Vec<Offer>,
    /// By invoice number.
    pub orders: Vec<Order>,
    /// Refunds that found their order, in the order they are to be made.
    pub refunds: Vec<Refund>,
    /// What the rows add up to besides.
    pub tally: Tally,
}

/// Counts of rows, and of what was not replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Every row of the file.
    pub rows: u64,
    /// Rows that are lines of orders.
    pub order_rows: u64,
    /// Rows of orders that do not count, by reason.
    pub skipped_rows: BTreeMap<String, u64>,
    /// Refund invoices.
    pub cancellations: u64,
    /// Lines of refunds (invoice and offer) that found no order.
    pub refund_lines_unmatched: u64,
    /// Their worth.
    pub unmatched_pence: i64,
}

/// The amounts of an invoice are absurd.
#[derive(Debug, thiserror::Error)]
#[error("a sum of invoice {invoice} does not fit 64 bits of pence")]
pub struct DoesNotFit {
    pub(super) invoice: u64,
}

/// Plans a month from its rows.
///
/// # Errors
/// [`DoesNotFit`].
pub fn plan(name: &str, rows: Vec<Kind>) -> Result<Month, DoesNotFit> {
    let mut month = Month { name: name.to_owned(), ..Month::default() };
    month.tally.rows = rows.len() as u64;
    let (mut ordered, mut returned, mut skipped) = (Vec::new(), Vec::new(), BTreeMap::<Skipped, u64>::new());
    for row in rows {
        match row {
            Kind::Order(row) => ordered.push(row),
            Kind::Refund(row) => returned.push(row),
            Kind::Skipped(reason) => *skipped.entry(reason).or_default() += 1,
            Kind::RefundWithoutGoods => {}
        }
    }
    month.tally.order_rows = ordered.len() as u64;
    month.tally.skipped_rows = skipped.into_iter().map(|(reason, rows)| (reason.to_string(), rows)).collect();
    let positions = list_offers(&mut month, &ordered);
    list_orders(&mut month, &positions, &ordered)?;
    refunds::match_to_orders(&mut month, &positions, &returned)?;
    Ok(month)
}

/// Fills `offers` and returns the position of each.
fn list_offers(month: &mut Month, rows: &[CountedRow]) -> HashMap<OfferKey, usize> {
    let mut titles: BTreeMap<&OfferKey, &str> = BTreeMap::new();
    for row in rows {
        let title = titles.entry(&row.offer).or_default();
        if title.is_empty() {
            *title = &row.description;
        }
    }
    month.offers = titles
        .into_iter()
        .map(|(key, title)| {
            let title = if title.is_empty() { key.stock_code.to_string() } else { title.to_owned() };
            Offer { key: key.clone(), title, units: 0 }
        })
        .collect();
    month.offers.iter().enumerate().map(|(position, offer)| (offer.key.clone(), position)).collect()
}

/// Fills `orders`, and the units of the offers.
fn list_orders(month: &mut Month, positions: &HashMap<OfferKey, usize>, rows: &[CountedRow]) -> Result<(), DoesNotFit> {
    let mut invoices: BTreeMap<u64, (&CountedRow, BTreeMap<usize, i64>)> = BTreeMap::new();
    for row in rows {
        let misfit = || DoesNotFit { invoice: row.invoice };
        let position = *positions.get(&row.offer).ok_or_else(misfit)?;
        let (_, lines) = invoices.entry(row.invoice).or_insert_with(|| (row, BTreeMap::new()));
        let units = lines.entry(position).or_default();
        *units = units.checked_add(row.units).ok_or_else(misfit)?;
        let offer = &mut month.offers[position];
        offer.units = offer.units.checked_add(row.units).ok_or_else(misfit)?;
    }
    for (invoice, (first, lines)) in invoices {
        let lines: Vec<Line> = lines.into_iter().map(|(offer, units)| Line { offer, units }).collect();
        let pence = lines
            .iter()
            .try_fold(0_i64, |sum, line| sum.checked_add(month.offers[line.offer].key.pence.checked_mul(line.units)?));
        month.orders.push(Order {
            invoice,
            customer: first.customer.clone(),
            country: first.country.clone(),
            lines,
            pence: pence.ok_or(DoesNotFit { invoice })?,
        });
    }
    Ok(())
}
