//! The load's own goods, and carts of three of them, filled beforehand and unmeasured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt};
use ids::{CartId, CustomerId, Region};
use rand::Rng;
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::api::LineRequest;
use crate::client::{Api, CallError, Deployment, Goods, Retries, Session, SessionKey, Shelf};

/// Offers to choose from: enough that two orders rarely want the same rows at once, as in a shop with some breadth.
const OFFERS: usize = 1_000;
/// Units of each offer that each run brings to each region: more than any run sells.
const UNITS: i64 = 100_000;
/// Lines of a cart.
const LINES: usize = 3;
/// Carts filled at once.
const AT_ONCE: usize = 16;
/// Connections per region: more orders than this in flight means that the system has long fallen behind.
const CONNECTIONS_MAX: usize = 512;
/// Sessions outlive any run.
const SESSIONS_LAST: Duration = Duration::from_secs(6 * 60 * 60);

/// A cart ready to be ordered. Each has a customer of its own, as shoppers in a shop do.
#[derive(Clone, Debug)]
pub struct Cart {
    /// Where.
    pub region: Region,
    /// Whose.
    pub session: Session,
    /// Its id.
    pub cart_id: CartId,
    /// Its version after the last line.
    pub version: String,
    /// What it costs.
    pub pence: i64,
    /// Key of its one order.
    pub key: String,
}

/// Both regions, as shoppers reach them.
#[derive(Clone, Debug)]
pub struct Shops {
    east: Arc<Api>,
    west: Arc<Api>,
    session_key: SessionKey,
}

/// Position of an offer to its id and price.
fn offer(position: usize) -> (String, i64) {
    (format!("load_{position:04}"), 100 + position as i64)
}

impl Shops {
    /// Opens the shops: goods on sale in both regions, with stock for one run.
    ///
    /// # Errors
    /// A region refuses or stays unavailable.
    pub async fn open(deployment: &Deployment) -> anyhow::Result<Self> {
        let goods: Vec<Goods> = (0..OFFERS)
            .map(|position| {
                let (id, pence) = offer(position);
                Goods::split(id, format!("load-{}", position % 5), format!("Load {position}"), pence, 2 * UNITS)
            })
            .collect();
        // A run's receipt is its own: stock that earlier runs sold is not expected to be there.
        let receipt = Uuid::now_v7();
        for region in Region::ALL {
            let shelf = Shelf::of(deployment, region)?;
            shelf.upsert(&goods).await?;
            shelf.receive(&goods, |batch| Uuid::new_v5(&receipt, format!("{region}/{batch}").as_bytes())).await?;
        }
        let api = |region| Arc::new(Api::new(deployment.endpoint(region), CONNECTIONS_MAX));
        Ok(Self { east: api(Region::East), west: api(Region::West), session_key: deployment.session_key.clone() })
    }

    /// The shop of a region.
    pub fn api(&self, region: Region) -> &Arc<Api> {
        match region {
            Region::East => &self.east,
            Region::West => &self.west,
        }
    }

    /// Fills `count` carts, by turns in each region.
    ///
    /// # Errors
    /// A cart cannot be filled.
    pub async fn fill(&self, count: usize) -> anyhow::Result<Vec<Cart>> {
        let retries = Retries::default();
        let fill = |number| self.fill_one(Region::ALL[number % Region::ALL.len()], &retries);
        futures::stream::iter(0..count)
            .map(fill)
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .context("cannot fill the carts to be ordered")
    }

    async fn fill_one(&self, region: Region, retries: &Retries) -> anyhow::Result<Cart> {
        let api = self.api(region);
        let basket = Basket::new(region, &self.session_key);
        let cart_id = retries.run(|| api.create_cart(&basket.session, "cart")).await?.cart_id;
        let mut version = String::new();
        for (number, (offer_id, _)) in basket.offers.iter().enumerate() {
            let (line, key) = (LineRequest { offer_id, quantity: 1 }, format!("line/{number}"));
            version = retries.run(|| api.add_line(&basket.session, cart_id, &key, &line)).await?.version;
        }
        Ok(basket.cart(region, cart_id, version))
    }

    /// Fills one cart with no request sent twice. `seen` is told what each request was, when it began and what came of it.
    ///
    /// # Errors
    /// The first request that fails.
    pub async fn fill_once(
        &self,
        region: Region,
        seen: impl Fn(&str, Instant, Result<(), CallError>) -> Result<(), CallError>,
    ) -> Result<Cart, CallError> {
        let api = self.api(region);
        let basket = Basket::new(region, &self.session_key);
        let (mut cart_id, mut version, mut began) = (None, String::new(), Instant::now());
        let created = api.create_cart(&basket.session, "cart").await.map(|cart| cart_id = Some(cart.cart_id));
        seen("cart", began, created)?;
        let cart_id = cart_id.unwrap_or_else(CartId::generate);
        for (number, (offer_id, _)) in basket.offers.iter().enumerate() {
            let (line, key) = (LineRequest { offer_id, quantity: 1 }, format!("line/{number}"));
            began = Instant::now();
            let added =
                api.add_line(&basket.session, cart_id, &key, &line).await.map(|changed| version = changed.version);
            seen("line", began, added)?;
        }
        Ok(basket.cart(region, cart_id, version))
    }
}

/// What goes into one cart, and whose it is.
struct Basket {
    session: Session,
    /// Offers and prices.
    offers: [(String, i64); LINES],
}

impl Basket {
    fn new(region: Region, session_key: &SessionKey) -> Self {
        let first = rand::rng().random_range(0..OFFERS);
        Self {
            session: session_key.mint(CustomerId::generate_in(region), Utc::now() + SESSIONS_LAST),
            offers: std::array::from_fn(|number| offer((first + number * OFFERS / LINES) % OFFERS)),
        }
    }

    fn cart(self, region: Region, cart_id: CartId, version: String) -> Cart {
        let pence = self.offers.iter().map(|(_, price)| price).sum();
        Cart { region, session: self.session, cart_id, version, pence, key: format!("order/{cart_id}") }
    }
}
