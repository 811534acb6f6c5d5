//! What became of each order, found out by asking: the shopper's own question, under the shopper's own key.

use futures::StreamExt as _;
use ids::OrderId;

use super::load::Asked;
use crate::client::Retries;
use crate::client::view::{OrderState, OrderStatus};
use crate::load::carts::Shops;
use crate::load::open_loop::{self, Told};

/// Questions asked at once.
const AT_ONCE: usize = 16;

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stands.
    Stands(OrderId),
    /// It does not and never will; why.
    Refused(String),
    /// It is still not decided, or nobody could be asked.
    Unknown(String),
}

impl Fate {
    /// The order, when it stands.
    pub const fn order(&self) -> Option<OrderId> {
        match self {
            Self::Stands(order) => Some(*order),
            Self::Refused(_) | Self::Unknown(_) => None,
        }
    }
}

/// Asks about all of them, in their order.
pub async fn learn(shops: &Shops, asked: &[Asked]) -> Vec<Fate> {
    futures::stream::iter(asked).map(|asked| one(shops, asked)).buffered(AT_ONCE).collect().await
}

/// Asks by the order's id when the shopper was told one, and else by sending the order again: the key makes it the same.
async fn one(shops: &Shops, asked: &Asked) -> Fate {
    let (api, cart, retries) = (shops.api(asked.cart.region), &asked.cart, Retries::default());
    let found = match &asked.told {
        Told::Placed { order, .. } | Told::Pending { order } => {
            retries.run(|| api.order_status(&cart.session, *order)).await
        }
        Told::Refused(_) | Told::Unclear(_) => retries.run(|| open_loop::order(api, cart)).await,
    };
    match found {
        Ok(order) => of(&order),
        Err(error) if error.is_refusal() => Fate::Refused(error.reason()),
        Err(error) => Fate::Unknown(error.reason()),
    }
}

fn of(order: &OrderStatus) -> Fate {
    match order.state {
        OrderState::Placed | OrderState::Shipped => Fate::Stands(order.order_id),
        OrderState::Rejected | OrderState::Cancelled => {
            Fate::Refused(order.rejection_reason.clone().unwrap_or_else(|| format!("{:?}", order.state)))
        }
        OrderState::Pending => Fate::Unknown("still pending".to_owned()),
    }
}
