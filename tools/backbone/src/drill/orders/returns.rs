//! Orders that come back in part, and what the provider paid for them.

use std::collections::BTreeMap;
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
use crate::client::view::OrderState;
use crate::client::{CallError, Retries};
use crate::load::carts::Shops;
use crate::load::open_loop::Told;

/// Returns asked for at once.
const AT_ONCE: usize = 8;
/// An order ships two seconds after it was placed; only then can it come back.
const SHIPS_WITHIN: Duration = Duration::from_secs(30);
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

/// Returns one unit of the first line of each order that was placed.
pub async fn give_back<'a>(shops: &Shops, asked: impl Iterator<Item = &'a Asked>) -> Vec<GivenBack> {
    let placed = asked.filter_map(|asked| match asked.told {
        Told::Placed { order, .. } => Some((asked, order)),
        _ => None,
    });
    futures::stream::iter(placed)
        .map(async |(asked, order)| match one(shops, asked, order).await {
            Ok(refund_minor) => GivenBack::Accepted { order, refund_minor },
            Err(error) => GivenBack::Not(error.reason()),
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn one(shops: &Shops, asked: &Asked, order: OrderId) -> Result<i64, CallError> {
    let (api, session, retries) = (shops.api(asked.cart.region), &asked.cart.session, Retries::default());
    let give_up_at = Instant::now() + SHIPS_WITHIN;
    let shipped = loop {
        let found = retries.run(|| api.order(session, order)).await?;
        if found.state == OrderState::Shipped || Instant::now() >= give_up_at {
            break found;
        }
        sleep(LOOK_EVERY).await;
    };
    let lines: Vec<LineRequest<'_>> =
        shipped.lines.iter().take(1).map(|line| LineRequest { offer_id: &line.offer_id, quantity: 1 }).collect();
    let returned = retries.run(|| api.return_lines(session, order, "return", &lines)).await?;
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
