//! The refunds: the goods go back through the API, per customer in order of invoice number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;

use super::names;
use super::progress::Progress;
use super::refunds::Refund;
use super::run::Run;
use super::shoppers::Shopper;
use crate::client::api::LineRequest;

/// Makes every refund of the month; returns how many lines of refunds were accepted. Failures are noted in `run`.
pub async fn return_all(run: &Run) -> u64 {
    let progress = Progress::start("returning", run.month.refunds.len() as u64);
    let accepted = AtomicU64::new(0);
    let mut refunds: HashMap<usize, Vec<&Refund>> = HashMap::new();
    for refund in &run.month.refunds {
        refunds.entry(refund.order).or_default().push(refund);
    }
    let give_back = |shopper: &'_ Shopper| {
        // Refunds of one customer in order of invoice number, whichever orders they are of.
        let mut due: Vec<&Refund> =
            shopper.orders.iter().filter_map(|order| refunds.get(order)).flatten().copied().collect();
        due.sort_by_key(|refund| refund.invoice);
        let (session, region) = (shopper.session.clone(), shopper.region);
        let (accepted, progress) = (&accepted, &progress);
        async move {
            for refund in due {
                match return_one(run, run.api(region), &session, refund).await {
                    Ok(lines) => accepted.fetch_add(lines, Ordering::Relaxed),
                    Err(error) => {
                        run.fail(format!("refund C{}: {error:#}", refund.invoice));
                        0
                    }
                };
                progress.order_done();
            }
        }
    };
    futures::stream::iter(&run.shoppers).for_each_concurrent(run.concurrency, give_back).await;
    accepted.into_inner()
}

async fn return_one(
    run: &Run,
    api: &crate::client::Api,
    session: &crate::client::Session,
    refund: &Refund,
) -> anyhow::Result<u64> {
    let order = &run.month.orders[refund.order];
    let id = run.order_id(refund.order).ok_or_else(|| anyhow::anyhow!("order {} was not placed", order.invoice))?;
    // One refund invoice can take back of several orders, so the order is part of the key.
    let key = names::key(&run.month.name, format_args!("C{}", refund.invoice), order.invoice);
    let lines: Vec<LineRequest<'_>> = refund
        .lines
        .iter()
        .map(|line| LineRequest { offer_id: &run.offer_ids[line.offer], quantity: line.units })
        .collect();
    let returned = run.retries.run(|| api.return_lines(session, id, &key, &lines)).await?;
    let paid = returned.refund.minor_units;
    anyhow::ensure!(paid == refund.pence, "{paid} pence are paid back, not {}", refund.pence);
    Ok(lines.len() as u64)
}
