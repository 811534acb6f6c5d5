//! `cart.v1` as the sagas see it.

use std::time::Duration;

use chassis::client::Dependency;
use contracts::cart::v1 as wire;
use contracts::cart::v1::cart_service_client::CartServiceClient;
use contracts::money::v1::PricedUnits;
use ids::{CartId, OrderId};
use money::Currency;
use tonic::async_trait;

use super::{call_error, nonsense};
use crate::domain::{CutLine, PlaceRequest, Prices};
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
            expected_total: request.expected_total.map(|total| contracts::money::v1::Money {
                minor_units: total.minor_units(),
                currency_code: total.currency().to_string(),
            }),
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
    let dearest = line.unit_price.ok_or_else(|| nonsense(CALLEE, "a line without a price"))?;
    let currency: Currency = dearest.currency_code.parse().map_err(|error| nonsense(CALLEE, error))?;
    let of_one_price = vec![PricedUnits { unit_price: Some(dearest), quantity: line.quantity }];
    // A cart service of before there were several prices names none.
    let units = if line.prices.is_empty() { of_one_price } else { line.prices };
    let pair = |units: PricedUnits| match units.unit_price {
        Some(price) if price.currency_code == currency.code() => Ok((price.minor_units, units.quantity)),
        _ => Err(nonsense(CALLEE, "units without a price in the line's currency")),
    };
    let pairs = units.into_iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let prices = Prices::new(pairs).map_err(|error| nonsense(CALLEE, error))?;
    if prices.quantity() != line.quantity {
        return Err(nonsense(CALLEE, "prices of another number of units"));
    }
    Ok(CutLine {
        offer: line.offer_id.parse().map_err(|error| nonsense(CALLEE, error))?,
        seller: line.seller_id.parse().map_err(|error| nonsense(CALLEE, error))?,
        title: line.title,
        currency,
        prices,
    })
}

#[cfg(test)]
mod tests {
    use contracts::money::v1::Money;

    use super::*;

    fn priced(minor_units: i64, currency: &str, quantity: i64) -> PricedUnits {
        PricedUnits { unit_price: Some(Money { minor_units, currency_code: currency.to_owned() }), quantity }
    }

    fn line(quantity: i64, prices: Vec<PricedUnits>) -> wire::CartLine {
        wire::CartLine {
            offer_id: "mug".to_owned(),
            seller_id: "potter".to_owned(),
            title: "Mug".to_owned(),
            unit_price: priced(2_500, "EUR", 0).unit_price,
            quantity,
            prices,
        }
    }

    #[test]
    fn a_cut_line_has_the_price_of_each_unit_or_is_nonsense() {
        let cut = |quantity, prices| cut_line(line(quantity, prices)).map(|line| line.prices);
        assert_eq!(cut(3, vec![]).unwrap(), Prices::new([(2_500, 3)]).unwrap(), "of a cart of before");
        let both = cut(3, vec![priced(2_500, "EUR", 2), priced(1_000, "EUR", 1)]).unwrap();
        assert_eq!(both, Prices::new([(2_500, 2), (1_000, 1)]).unwrap());
        for nonsense in [
            (3, vec![priced(2_500, "EUR", 2)]),
            (3, vec![priced(2_500, "EUR", 2), priced(1_000, "JPY", 1)]),
            (3, vec![priced(2_500, "EUR", 4), priced(1_000, "EUR", -1)]),
            (0, vec![]),
        ] {
            assert!(cut(nonsense.0, nonsense.1.clone()).is_err(), "{nonsense:?}");
        }
    }
}
