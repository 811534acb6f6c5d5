//! Many small carts, made in one region only.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use ids::{CartId, CustomerId, Region};

use super::goods;
use crate::client::api::LineRequest;
use crate::client::{Api, Deployment, Retries, SessionKey};

/// Carts being made at once are fewer.
const CONNECTIONS_MAX: usize = 64;
/// Longer than the two calls take.
const SESSIONS_LAST: Duration = Duration::from_secs(60 * 60);

/// Makes carts in the east, each of a customer of its own.
#[derive(Clone, Debug)]
pub struct Fresh {
    east: Arc<Api>,
    session_key: SessionKey,
}

impl Fresh {
    /// In the east of this deployment.
    pub fn in_the_east(deployment: &Deployment) -> Self {
        let east = Arc::new(Api::new(deployment.endpoint(Region::East), CONNECTIONS_MAX));
        Self { east, session_key: deployment.session_key.clone() }
    }

    /// Makes a cart with one line.
    ///
    /// # Errors
    /// The region refuses or stays unavailable.
    pub async fn make(&self) -> anyhow::Result<CartId> {
        let (retries, session) =
            (Retries::default(), self.session_key.mint(CustomerId::generate(), Utc::now() + SESSIONS_LAST));
        let cart = retries.run(|| self.east.create_cart(&session, "fresh")).await?.cart_id;
        let offer_id = goods::offer_id(0);
        let line = LineRequest { offer_id: &offer_id, quantity: 1 };
        retries.run(|| self.east.add_line(&session, cart, "line", &line)).await?;
        Ok(cart)
    }
}
