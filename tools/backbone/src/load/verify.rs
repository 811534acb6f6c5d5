//! Every answer a shopper got, held against what the system says afterwards.

use futures::StreamExt;
use ids::OrderId;
use serde::Serialize;

use super::carts::{Cart, Shops};
use super::open_loop::{self, Reply, Told};
use crate::client::Retries;
use crate::client::view::{OrderState, OrderStatus};

/// Questions asked at once.
const AT_ONCE: usize = 16;
/// Wrong answers described one by one; the rest are counted.
const DESCRIBED: usize = 20;

/// What verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verified {
    /// Answers checked.
    pub checked: usize,
    /// Orders whose shopper got no clear answer, which were found placed when asked again under the same key.
    pub placed_after_all: usize,
    /// Answers that were not true.
    pub wrong: usize,
    /// The first of them.
    pub described: Vec<String>,
}

/// Asks about every reply. An order that was placed must stand, at the price of its cart; one that was refused must stay so when
/// asked for again under its own key; one whose shopper got no clear answer must have one now.
pub async fn all(shops: &Shops, replies: &[Reply]) -> Verified {
    let retries = Retries::default();
    let mut verified = Verified { checked: replies.len(), ..Verified::default() };
    let mut findings =
        futures::stream::iter(replies).map(|reply| one(shops, reply, &retries)).buffer_unordered(AT_ONCE);
    while let Some(finding) = findings.next().await {
        match finding {
            Ok(placed_after_all) => verified.placed_after_all += usize::from(placed_after_all),
            Err(what) => {
                verified.wrong += 1;
                if verified.described.len() < DESCRIBED {
                    verified.described.push(what);
                }
            }
        }
    }
    verified
}

/// Returns whether the order was placed although its shopper was not told so.
async fn one(shops: &Shops, reply: &Reply, retries: &Retries) -> Result<bool, String> {
    let (cart, api) = (&reply.cart, shops.api(reply.cart.region));
    let placed_now = match &reply.told {
        Told::Placed { order, total } => {
            let found = look(shops, cart, *order, retries).await?;
            return match placed_at(&found) {
                Some(costs) if costs == cart.pence && *total == Some(costs) => Ok(false),
                _ => Err(format!("order {order}: told placed for {total:?}, found {found:?}")),
            };
        }
        Told::Pending { order } => look(shops, cart, *order, retries).await?,
        Told::Refused(_) | Told::Unclear(_) => match retries.run(|| open_loop::order(api, cart)).await {
            Ok(order) => look(shops, cart, order.order_id, retries).await?,
            Err(error) if error.is_refusal() => return Ok(false),
            Err(error) => return Err(format!("cart {}: {:#}", cart.cart_id, anyhow::Error::new(error))),
        },
    };
    let order = placed_now.order_id;
    match (placed_at(&placed_now), &reply.told) {
        (Some(_), Told::Refused(why)) => Err(format!("order {order}: told {why}, found placed")),
        (Some(costs), _) if costs == cart.pence => Ok(true),
        (None, _) if placed_now.state != OrderState::Pending => Ok(false),
        _ => Err(format!("order {order}: its cart costs {}, found {placed_now:?}", cart.pence)),
    }
}

async fn look(shops: &Shops, cart: &Cart, order: OrderId, retries: &Retries) -> Result<OrderStatus, String> {
    let found = retries.run(|| shops.api(cart.region).order_status(&cart.session, order)).await;
    found.map_err(|error| format!("order {order}: {:#}", anyhow::Error::new(error)))
}

/// What a standing order costs; `None` when it does not stand.
fn placed_at(order: &OrderStatus) -> Option<i64> {
    let stands = matches!(order.state, OrderState::Placed | OrderState::Shipped);
    order.total.as_ref().filter(|_| stands).map(|total| total.minor_units)
}
