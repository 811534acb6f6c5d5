//! The orders: a cart each, a call per line, a checkout. Customers at once, the orders of one in sequence.

use std::time::{Duration, Instant};

use futures::StreamExt;

use super::names;
use super::progress::Progress;
use super::run::Run;
use super::shoppers::Shopper;
use crate::client::api::{DeliveryRequest, LineRequest, OrderRequest};
use crate::client::view::{OrderState, OrderStatus};
use crate::client::{Api, CallError, Session};

/// Most units one add may carry, by contract; a line of more takes several adds.
const UNITS_PER_ADD_MAX: i64 = 10_000;
/// The provider's test token of a good card.
pub const CARD_TOKEN: &str = "tok_visa";
/// A pending order is asked about this often …
const ASK_EVERY: Duration = Duration::from_millis(100);
/// … for this long.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

/// Why an order was not placed.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("{step}")]
    Call { step: &'static str, source: CallError },
    #[error("it is {state:?}: {reason}")]
    NotPlaced { state: OrderState, reason: String },
    #[error("it costs {actual:?}, not {expected} pence")]
    WrongTotal { expected: i64, actual: Option<i64> },
}

/// Places every order of the month; failures are noted in `run`.
pub async fn place_all(run: &Run) {
    let progress = Progress::start("ordering", run.month.orders.len() as u64);
    let shop = |shopper| shop(run, shopper, &progress);
    futures::stream::iter(&run.shoppers).for_each_concurrent(run.concurrency, shop).await;
}

async fn shop(run: &Run, shopper: &Shopper, progress: &Progress) {
    for &position in &shopper.orders {
        if let Err(error) = place(run, shopper, position, progress).await {
            let invoice = run.month.orders[position].invoice;
            run.fail(format!("order {invoice}: {:#}", anyhow::Error::new(error)));
        }
        progress.order_done();
    }
}

async fn place(run: &Run, shopper: &Shopper, position: usize, progress: &Progress) -> Result<(), OrderError> {
    let (order, month) = (&run.month.orders[position], &run.month.name);
    let (api, session) = (run.api(shopper.region), &shopper.session);
    let failed = |step| move |source| OrderError::Call { step, source };

    let key = names::key(month, order.invoice, "cart");
    let cart = run.retries.run(|| api.create_cart(session, &key)).await.map_err(failed("making the cart"))?;
    let mut version = String::new();
    for (number, line) in order.lines.iter().enumerate() {
        for (part, quantity) in adds_of(line.units).enumerate() {
            let key = names::key(month, order.invoice, format_args!("line/{number}/{part}"));
            let request = LineRequest { offer_id: &run.offer_ids[line.offer], quantity };
            let start = Instant::now();
            let add = || api.add_line(session, cart.cart_id, &key, &request);
            version = run.retries.run(add).await.map_err(failed("adding a line"))?.version;
            run.adds.record(start.elapsed());
        }
        progress.line_done();
    }

    let key = names::key(month, order.invoice, "order");
    let request = OrderRequest {
        cart_id: cart.cart_id,
        cart_version: &version,
        card_token: CARD_TOKEN,
        delivery: DeliveryRequest { country: &order.country },
    };
    let start = Instant::now();
    let placed = run.retries.run(|| api.place_order(session, &key, &request)).await.map_err(failed("ordering"))?;
    let placed = decided(run, api, session, placed).await.map_err(failed("asking for the order"))?;
    run.checkouts.record(start.elapsed());
    if !matches!(placed.state, OrderState::Placed | OrderState::Shipped) {
        let reason = placed.rejection_reason.unwrap_or_default();
        return Err(OrderError::NotPlaced { state: placed.state, reason });
    }
    run.placed(position, placed.order_id);
    let actual = placed.total.map(|total| total.minor_units);
    if actual != Some(order.pence) {
        return Err(OrderError::WrongTotal { expected: order.pence, actual });
    }
    Ok(())
}

/// Splits a line's units into adds.
fn adds_of(units: i64) -> impl Iterator<Item = i64> {
    let whole = usize::try_from(units / UNITS_PER_ADD_MAX).unwrap_or_default();
    let rest = units % UNITS_PER_ADD_MAX;
    std::iter::repeat_n(UNITS_PER_ADD_MAX, whole).chain((rest > 0).then_some(rest))
}

/// Waits until an order is no longer pending, within bounds; what it then is, is for the caller to judge.
async fn decided(run: &Run, api: &Api, session: &Session, mut order: OrderStatus) -> Result<OrderStatus, CallError> {
    let start = Instant::now();
    while order.state == OrderState::Pending && start.elapsed() < DECIDED_WITHIN {
        tokio::time::sleep(ASK_EVERY).await;
        order = run.retries.run(|| api.order_status(session, order.order_id)).await?;
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_many_units_takes_several_adds() {
        assert_eq!(adds_of(1).collect::<Vec<_>>(), [1]);
        assert_eq!(adds_of(10_000).collect::<Vec<_>>(), [10_000]);
        assert_eq!(adds_of(10_001).collect::<Vec<_>>(), [10_000, 1]);
        assert_eq!(adds_of(74_215).sum::<i64>(), 74_215);
        assert_eq!(adds_of(74_215).count(), 8);
    }
}
