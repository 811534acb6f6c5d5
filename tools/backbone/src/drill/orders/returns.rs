//! Orders that come back in part, and what the provider paid for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use ids::OrderId;
use tokio::time::{Instant, sleep};

use super::load::Asked;
use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::orders::{Orders, ReturnState};
use crate::audit::sources::provider::Provider;
use crate::client::api::LineRequest;
use crate::client::view::Order;
use crate::client::{CallError, Retries};
use crate::load::carts::Shops;
use crate::load::open_loop::Told;
use crate::platform::Layout;

/// Returns asked for at once.
const AT_ONCE: usize = 8;
/// An order ships two seconds after it was placed, and is then paid for; the provider may be asked a few times. For all of them together.
const CAPTURED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What came of a return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenBack {
    /// So much is paid back for it.
    Accepted {
        /// Of this order.
        order: OrderId,
        /// Minor units.
        refund_minor: i64,
    },
    /// Nothing clear, or no; why.
    Not(String),
}

/// Waits until each order that was placed has shipped and its money came in, and returns one unit of its first line. An order of which the
/// provider took less than it was told to stays: what it owes is for a person to decide, and its refund would be parked.
///
/// # Errors
/// The provider's ledger cannot be read.
pub async fn give_back(layout: &Layout, shops: &Shops, asked: &[&Asked]) -> anyhow::Result<Vec<GivenBack>> {
    let placed = asked.iter().filter_map(|asked| match asked.told {
        Told::Placed { order, .. } => Some((*asked, order)),
        _ => None,
    });
    let give_up_at = Instant::now() + CAPTURED_WITHIN;
    let captured: Vec<_> = futures::stream::iter(placed)
        .map(|(asked, order)| captured(shops, asked, order, give_up_at))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let provider = Provider::read(layout).await?;
    let full: BTreeSet<&str> = provider
        .intents
        .values()
        .filter(|intent| intent.captures == [intent.amount_minor])
        .map(|intent| intent.reference.as_str())
        .collect();
    let ours = captured.iter().flatten().filter(|(_, order)| full.contains(order.order_id.to_string().as_str()));
    let given_back = futures::stream::iter(ours).map(async |(asked, order)| match one(shops, asked, order).await {
        Ok(refund_minor) => GivenBack::Accepted { order: order.order_id, refund_minor },
        Err(error) => GivenBack::Not(error.reason()),
    });
    Ok(given_back.buffer_unordered(AT_ONCE).collect().await)
}

/// The order once its money came in; `None` when it does not in time.
async fn captured<'a>(shops: &Shops, asked: &'a Asked, id: OrderId, give_up_at: Instant) -> Option<(&'a Asked, Order)> {
    let (api, session, retries) = (shops.api(asked.cart.region), &asked.cart.session, Retries::default());
    loop {
        match retries.run(|| api.order(session, id)).await {
            Ok(order) if order.captured => return Some((asked, order)),
            Ok(_) if Instant::now() < give_up_at => sleep(LOOK_EVERY).await,
            Ok(_) | Err(_) => return None,
        }
    }
}

async fn one(shops: &Shops, asked: &Asked, order: &Order) -> Result<i64, CallError> {
    let (api, session, retries) = (shops.api(asked.cart.region), &asked.cart.session, Retries::default());
    let lines: Vec<LineRequest<'_>> =
        order.lines.iter().take(1).map(|line| LineRequest { offer_id: &line.offer_id, quantity: 1 }).collect();
    let returned = retries.run(|| api.return_lines(session, order.order_id, "return", &lines)).await?;
    Ok(returned.refund.minor_units)
}

/// REFUNDED ONCE, by the provider's own ledger: each accepted return was paid back once, in full.
pub fn refunded_once(given_back: &[GivenBack], orders: Both<&Orders>, provider: &Provider) -> Examined {
    let mut paid = BTreeMap::<&str, Vec<i64>>::new();
    for refund in &provider.refunds {
        paid.entry(&refund.reference).or_default().push(refund.amount_minor);
    }
    let mut examined = Examined::default();
    for given in given_back {
        let GivenBack::Accepted { order, refund_minor } = given else { continue };
        let returns: Vec<_> = orders
            .each()
            .into_iter()
            .flat_map(|(_, orders)| orders.returns.iter().filter(|(_, one)| one.order == *order))
            .collect();
        examined.count(1, "returns accepted");
        let [(id, stored)] = returns.as_slice() else {
            examined.require(false, || format!("order {order} has {} returns, not one", returns.len()));
            continue;
        };
        let reference = id.to_string();
        let paid = paid.get(reference.as_str()).map(Vec::as_slice).unwrap_or_default();
        examined.count(paid.len(), "refunds paid");
        examined.require(stored.state == ReturnState::Refunded && paid == [*refund_minor], || {
            format!(
                "return {id} of order {order} is {:?}, {refund_minor} was promised, paid was {paid:?}",
                stored.state
            )
        });
    }
    examined
}
