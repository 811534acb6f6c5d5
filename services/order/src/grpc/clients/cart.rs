//! `cart.v1` as the sagas see it.

use std::time::Duration;

use chassis::client::Dependency;
use contracts::cart::v1 as wire;
use contracts::cart::v1::cart_service_client::CartServiceClient;
use ids::{CartId, OrderId};
use money::{Currency, Money};
use tonic::async_trait;

use super::{call_error, nonsense};
use crate::domain::{CutLine, PlaceRequest};
use crate::sagas::{CallError, Cart, Cut};

const CALLEE: &str = "cart";

/// The cart service of this region.
#[derive(Debug, Clone)]
pub struct CartClient(Dependency);

impl CartClient {
    /// A client over a connection.
    pub const fn new(dependency: Dependency) -> Self {
        Self(dependency)
    }
}

#[async_trait]
impl Cart for CartClient {
    async fn begin_checkout(
        &self,
        request: &PlaceRequest,
        new_order: OrderId,
        within: Duration,
    ) -> Result<Cut, CallError> {
        let request = wire::BeginCheckoutRequest {
            cart_id: request.cart.to_string(),
            owner_id: request.customer.to_string(),
            idempotency_key: request.idempotency_key.to_string(),
            cart_version: request.cart_version.clone(),
            order_id: new_order.to_string(),
            expected_total: None,
        };
        let response = self
            .0
            .call(within, |channel| {
                let request = request.clone();
                async move { CartServiceClient::new(channel).begin_checkout(request).await }
            })
            .await
            // ABORTED is CART_VERSION_STALE: the version will never be current again.
            .map_err(|status| call_error(CALLEE, &status, true))?;
        let order = response.order_id.parse().map_err(|error| nonsense(CALLEE, error))?;
        let lines = response.lines.into_iter().map(cut_line).collect::<Result<_, _>>()?;
        Ok(Cut { order, lines })
    }

    async fn abandon_checkout(&self, cart: CartId, order: OrderId, within: Duration) -> Result<(), CallError> {
        let request = wire::AbandonCheckoutRequest { cart_id: cart.to_string(), order_id: order.to_string() };
        self.0
            .call(within, |channel| {
                let request = request.clone();
                async move { CartServiceClient::new(channel).abandon_checkout(request).await }
            })
            .await
            .map(drop)
            .map_err(|status| call_error(CALLEE, &status, false))
    }
}

/// A line that can be ordered: money is checked on our side of the boundary too.
fn cut_line(line: wire::CartLine) -> Result<CutLine, CallError> {
    let price = line.unit_price.ok_or_else(|| nonsense(CALLEE, "a line without a price"))?;
    let currency: Currency = price.currency_code.parse().map_err(|error| nonsense(CALLEE, error))?;
    if price.minor_units < 1 || line.quantity < 1 {
        return Err(nonsense(CALLEE, "a line that costs nothing"));
    }
    Ok(CutLine {
        offer: line.offer_id.parse().map_err(|error| nonsense(CALLEE, error))?,
        seller: line.seller_id.parse().map_err(|error| nonsense(CALLEE, error))?,
        title: line.title,
        unit_price: Money::new(price.minor_units, currency),
        quantity: line.quantity,
    })
}
