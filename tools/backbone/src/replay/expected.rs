//! What a correct replay must end with, and comparing it with anything that claims to be it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::plan::Month;

/// A month's entry of `expected.json`; money in pence. Computed independently of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Expected {
    /// Rows of the file.
    pub rows: u64,
    /// Rows that count as lines of orders.
    pub order_rows: u64,
    /// Rows of orders that do not count, by reason.
    pub skipped_rows: BTreeMap<String, u64>,
    /// Distinct (stock code, price).
    pub offers: u64,
    /// Customers who are not guests.
    pub customers: u64,
    /// Orders.
    pub orders: u64,
    /// Orders of guests.
    pub guest_orders: u64,
    /// Lines of orders.
    pub order_lines: u64,
    /// Lines of the longest order.
    pub most_lines_in_an_order: u64,
    /// Units sold.
    pub units: i64,
    /// What the orders cost.
    pub revenue_pence: i64,
    /// … by country of delivery.
    pub revenue_pence_by_country: BTreeMap<String, i64>,
    /// What the dearest order costs.
    pub largest_order_pence: i64,
    /// Refund invoices.
    pub cancellations: u64,
    /// Lines of refunds that found their order.
    pub refund_lines_matched: u64,
    /// Lines of refunds that did not.
    pub refund_lines_unmatched: u64,
    /// Units of the matched lines.
    pub refund_units: i64,
    /// Paid back.
    pub refunded_pence: i64,
    /// Worth of the unmatched lines.
    pub unmatched_pence: i64,
    /// Orders with a refund.
    pub orders_refunded_in_part_or_whole: u64,
}

impl Expected {
    /// What this program's own plan of the month comes to.
    pub fn of(month: &Month) -> Self {
        let customers: BTreeSet<_> = month.orders.iter().filter_map(|order| order.customer.as_deref()).collect();
        let mut by_country = BTreeMap::new();
        for order in &month.orders {
            *by_country.entry(order.country.clone()).or_default() += order.pence;
        }
        let refund_lines = || month.refunds.iter().flat_map(|refund| &refund.lines);
        let refunded_orders: BTreeSet<_> = month.refunds.iter().map(|refund| refund.order).collect();
        let line_counts = || month.orders.iter().map(|order| order.lines.len() as u64);
        Self {
            rows: month.tally.rows,
            order_rows: month.tally.order_rows,
            skipped_rows: month.tally.skipped_rows.clone(),
            offers: month.offers.len() as u64,
            customers: customers.len() as u64,
            orders: month.orders.len() as u64,
            guest_orders: month.orders.iter().filter(|order| order.customer.is_none()).count() as u64,
            order_lines: line_counts().sum(),
            most_lines_in_an_order: line_counts().max().unwrap_or_default(),
            units: month.offers.iter().map(|offer| offer.units).sum(),
            revenue_pence: month.orders.iter().map(|order| order.pence).sum(),
            revenue_pence_by_country: by_country,
            largest_order_pence: month.orders.iter().map(|order| order.pence).max().unwrap_or_default(),
            cancellations: month.tally.cancellations,
            refund_lines_matched: refund_lines().count() as u64,
            refund_lines_unmatched: month.tally.refund_lines_unmatched,
            refund_units: refund_lines().map(|line| line.units).sum(),
            refunded_pence: month.refunds.iter().map(|refund| refund.pence).sum(),
            unmatched_pence: month.tally.unmatched_pence,
            orders_refunded_in_part_or_whole: refunded_orders.len() as u64,
        }
    }

    /// The figures by name, in the order of a report.
    pub fn figures(&self) -> Vec<(String, i64)> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut figures =
            vec![("rows".to_owned(), whole(self.rows)), ("order_rows".to_owned(), whole(self.order_rows))];
        figures.extend(self.skipped_rows.iter().map(|(reason, rows)| (format!("skipped_rows.{reason}"), whole(*rows))));
        figures.extend(
            [
                ("offers", whole(self.offers)),
                ("customers", whole(self.customers)),
                ("orders", whole(self.orders)),
                ("guest_orders", whole(self.guest_orders)),
                ("order_lines", whole(self.order_lines)),
                ("most_lines_in_an_order", whole(self.most_lines_in_an_order)),
                ("units", self.units),
                ("largest_order_pence", self.largest_order_pence),
                ("cancellations", whole(self.cancellations)),
                ("refund_lines_matched", whole(self.refund_lines_matched)),
                ("refund_lines_unmatched", whole(self.refund_lines_unmatched)),
                ("refund_units", self.refund_units),
                ("refunded_pence", self.refunded_pence),
                ("unmatched_pence", self.unmatched_pence),
                ("orders_refunded_in_part_or_whole", whole(self.orders_refunded_in_part_or_whole)),
                ("revenue_pence", self.revenue_pence),
            ]
            .map(|(name, figure)| (name.to_owned(), figure)),
        );
        let countries = self.revenue_pence_by_country.iter();
        figures.extend(countries.map(|(country, pence)| (format!("revenue_pence.{country}"), *pence)));
        figures
    }
}

/// One figure of a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is.
    pub name: String,
    /// What it must be; `None` when nothing should be there.
    pub expected: Option<i64>,
    /// What it is; `None` when nothing is there.
    pub actual: Option<i64>,
}

impl Check {
    /// Whether they agree.
    pub fn is_ok(&self) -> bool {
        self.expected == self.actual
    }
}

/// Sets two lists of figures side by side, by name; a figure on one side only is a difference.
pub fn compare(expected: &[(String, i64)], actual: &[(String, i64)]) -> Vec<Check> {
    let find = |figures: &[(String, i64)], name: &str| figures.iter().find(|(n, _)| n == name).map(|(_, f)| *f);
    let mut checks: Vec<Check> = expected
        .iter()
        .map(|(name, figure)| Check { name: name.clone(), expected: Some(*figure), actual: find(actual, name) })
        .collect();
    let unexpected = actual.iter().filter(|(name, _)| find(expected, name).is_none());
    checks.extend(unexpected.map(|(name, figure)| Check { name: name.clone(), expected: None, actual: Some(*figure) }));
    checks
}
