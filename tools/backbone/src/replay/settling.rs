//! Waiting until events have done their work: goods shipped and money captured, later refunds paid. Bounded by lack of progress.

use std::time::{Duration, Instant};

use futures::StreamExt;

use super::progress::Progress;
use super::run::Run;
use super::shoppers::Shopper;
use crate::client::view::{OrderState, OrderStatus};

/// Pause between two rounds of asking.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// When no order moved on for so long, the rest is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Waits until every placed order is shipped and its money captured; those that are not in time are noted as failures.
pub async fn until_captured(run: &Run) {
    let orders: Vec<usize> = (0..run.month.orders.len()).collect();
    until(run, "settling", orders, |_, order| order.state == OrderState::Shipped && order.captured).await;
}

/// Waits until each order has paid back what its refunds come to.
pub async fn until_refunded(run: &Run) {
    let mut due = vec![0_i64; run.month.orders.len()];
    for refund in &run.month.refunds {
        due[refund.order] += refund.pence;
    }
    let orders: Vec<usize> = (0..due.len()).filter(|&position| due[position] > 0).collect();
    until(run, "refunding", orders, |position, order| order.refunded_minor >= due[position]).await;
}

async fn until(run: &Run, phase: &'static str, orders: Vec<usize>, done: impl Fn(usize, &OrderStatus) -> bool) {
    let progress = Progress::start(phase, orders.len() as u64);
    let mut shoppers: Vec<Option<&Shopper>> = vec![None; run.month.orders.len()];
    for shopper in &run.shoppers {
        for &position in &shopper.orders {
            shoppers[position] = Some(shopper);
        }
    }
    // An order that was never placed failed already; it is not waited for.
    let mut waiting: Vec<_> = orders
        .into_iter()
        .filter_map(|position| Some((position, shoppers[position]?, run.order_id(position)?)))
        .collect();
    let mut last_progress = Instant::now();
    loop {
        let before = waiting.len();
        let ask = |(position, shopper, id): (usize, &'_ Shopper, _)| {
            let (session, region) = (shopper.session.clone(), shopper.region);
            async move { (position, run.retries.run(|| run.api(region).order_status(&session, id)).await) }
        };
        let answers: Vec<_> =
            futures::stream::iter(waiting.clone()).map(ask).buffer_unordered(run.concurrency).collect().await;
        let finished: std::collections::HashSet<usize> = answers
            .into_iter()
            .filter_map(|(position, answer)| answer.ok().filter(|order| done(position, order)).map(|_| position))
            .collect();
        waiting.retain(|(position, ..)| !finished.contains(position));
        (waiting.len()..before).for_each(|_| progress.order_done());
        if waiting.len() < before {
            last_progress = Instant::now();
        }
        if waiting.is_empty() || last_progress.elapsed() > GIVE_UP_AFTER {
            break;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    for (position, _, id) in waiting {
        run.fail(format!("{phase}: order {} ({id}) got no further", run.month.orders[position].invoice));
    }
}
