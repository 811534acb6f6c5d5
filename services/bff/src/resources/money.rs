//! Amounts.

use contracts::money::v1 as wire;
use serde::Serialize;
use utoipa::ToSchema;

use super::Missing;

/// An amount of money: whole minor units beside their currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// In the currency's minor units, such as pence.
    #[schema(example = 295)]
    minor_units: i64,
    /// ISO 4217.
    #[schema(example = "GBP")]
    currency: String,
}

/// Units that have one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PricedUnits {
    unit_price: Money,
    quantity: i64,
}

impl PricedUnits {
    /// A line's units by price. A service of before there were several prices says only the one.
    pub(super) fn of(
        wire: Vec<wire::PricedUnits>,
        (unit_price, quantity): (&Money, i64),
    ) -> Result<Vec<Self>, Missing> {
        if wire.is_empty() {
            return Ok(vec![Self { unit_price: unit_price.clone(), quantity }]);
        }
        let units = |wire: wire::PricedUnits| {
            let unit_price = wire.unit_price.ok_or(Missing("prices.unit_price"))?.into();
            Ok(Self { unit_price, quantity: wire.quantity })
        };
        wire.into_iter().map(units).collect()
    }
}

impl From<wire::Money> for Money {
    fn from(wire: wire::Money) -> Self {
        Self { minor_units: wire.minor_units, currency: wire.currency_code }
    }
}
