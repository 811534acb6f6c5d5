//! What the system itself says happened, added up the way `expected.json` was.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use super::names;
use super::run::Run;
use super::shoppers::Shopper;
use crate::client::CallError;
use crate::client::view::{Order, OrderLine, OrderState};

/// Pages of one customer's orders that are read; ten orders each.
const PAGES_MAX: usize = 10_000;

/// Sums over the orders read back.
#[derive(Debug, Default)]
pub struct Sums {
    orders: i64,
    /// Orders that are shipped and whose money came in.
    pub shipped_and_captured: i64,
    /// Orders whose lines' prices come to the order's total.
    pub lines_sum_to_total: i64,
    guest_orders: i64,
    customers: i64,
    order_lines: i64,
    most_lines: i64,
    units: i64,
    revenue: i64,
    revenue_by_country: BTreeMap<String, i64>,
    largest: i64,
    refunded: i64,
    refund_units: i64,
    orders_refunded: i64,
    offers: BTreeSet<String>,
}

impl Sums {
    /// Adds an order of the month.
    fn add(&mut self, order: &Order, guest: bool) {
        let total = order.total.as_ref().map_or(0, |total| total.minor_units);
        let worth: i64 = order.lines.iter().map(OrderLine::worth_minor).sum();
        self.orders += 1;
        self.shipped_and_captured += i64::from(order.state == OrderState::Shipped && order.captured);
        self.lines_sum_to_total += i64::from(worth == total);
        self.guest_orders += i64::from(guest);
        self.order_lines += order.lines.len() as i64;
        self.most_lines = self.most_lines.max(order.lines.len() as i64);
        self.units += order.lines.iter().map(|line| line.quantity).sum::<i64>();
        self.revenue += total;
        let country = order.delivery.as_ref().map_or("(none)", |delivery| delivery.country.as_str());
        *self.revenue_by_country.entry(country.to_owned()).or_default() += total;
        self.largest = self.largest.max(total);
        self.refunded += order.refunded_minor;
        self.refund_units += order.lines.iter().map(|line| line.returned_quantity).sum::<i64>();
        self.orders_refunded += i64::from(order.refunded_minor > 0);
        self.offers.extend(order.lines.iter().map(|line| line.offer_id.clone()));
    }

    /// By the names of `expected.json`, in the order of the report.
    pub fn figures(&self) -> Vec<(String, i64)> {
        let mut figures: Vec<(String, i64)> = [
            ("orders", self.orders),
            ("guest_orders", self.guest_orders),
            ("customers", self.customers),
            ("offers", self.offers.len() as i64),
            ("order_lines", self.order_lines),
            ("most_lines_in_an_order", self.most_lines),
            ("units", self.units),
            ("largest_order_pence", self.largest),
            ("refund_units", self.refund_units),
            ("refunded_pence", self.refunded),
            ("orders_refunded_in_part_or_whole", self.orders_refunded),
            ("revenue_pence", self.revenue),
        ]
        .map(|(name, figure)| (name.to_owned(), figure))
        .into();
        let countries = self.revenue_by_country.iter();
        figures.extend(countries.map(|(country, pence)| (format!("revenue_pence.{country}"), *pence)));
        figures
    }
}

/// Reads every shopper's list of orders back through the API and adds up those of this month, told by their offers. What was
/// ordered twice, or by a request that seemed to fail, is in these lists too.
pub async fn read_back(run: &Run) -> Sums {
    let prefix = names::offer_prefix(&run.month.name);
    let read = |shopper| orders_of(run, shopper, &prefix);
    let mut lists = futures::stream::iter(&run.shoppers).map(read).buffer_unordered(run.concurrency);
    let mut sums = Sums::default();
    while let Some(list) = lists.next().await {
        match list {
            Ok((shopper, orders)) => {
                sums.customers += i64::from(!shopper.guest && !orders.is_empty());
                orders.iter().for_each(|order| sums.add(order, shopper.guest));
            }
            Err(error) => run.fail(format!("reading orders back: {:#}", anyhow::Error::new(error))),
        }
    }
    sums
}

/// A rejected order sold nothing; it is not one of the month's.
fn is_of_month(order: &Order, prefix: &str) -> bool {
    let sold = !matches!(order.state, OrderState::Rejected | OrderState::Cancelled);
    sold && order.lines.iter().any(|line| line.offer_id.starts_with(prefix))
}

async fn orders_of<'a>(run: &Run, shopper: &'a Shopper, prefix: &str) -> Result<(&'a Shopper, Vec<Order>), CallError> {
    let api = run.api(shopper.region);
    let (mut orders, mut token) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let page = run.retries.run(|| api.orders(&shopper.session, &token)).await?;
        orders.extend(page.orders.into_iter().filter(|order| is_of_month(order, prefix)));
        token = page.next_page_token.unwrap_or_default();
        if token.is_empty() {
            break;
        }
    }
    Ok((shopper, orders))
}
