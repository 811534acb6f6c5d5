//! What each region holds of each cart once everything is over.

use std::collections::BTreeMap;

use ids::CartId;
use serde_json::Value;

use crate::audit::both::Both;
use crate::shared_cart::Stored;

/// One cart in one region.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Its rows; `None` when the region does not have the cart.
    pub stored: Option<Stored>,
    /// What `GET /v1/carts/{id}` answers; null when it does not.
    pub shown: Value,
}

impl Held {
    /// Units by offer, as a shopper sees them.
    pub fn quantities(&self) -> BTreeMap<&str, u64> {
        let lines = self.shown["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(|line| Some((line["offer_id"].as_str()?, line["quantity"].as_u64()?))).collect()
    }
}

/// One cart in both regions.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Its id.
    pub id: CartId,
    /// What each region holds.
    pub held: Both<Held>,
}
