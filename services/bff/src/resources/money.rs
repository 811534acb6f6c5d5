//! Amounts.

use contracts::money::v1 as wire;
use serde::Serialize;
use utoipa::ToSchema;

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

impl From<wire::Money> for Money {
    fn from(wire: wire::Money) -> Self {
        Self { minor_units: wire.minor_units, currency: wire.currency_code }
    }
}
