//! The carts and the calls that write them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _};
use ids::{CartId, CustomerId, Region};
use serde_json::Value;

use super::goods;
use super::{Kind, LineId, Past};
use crate::audit::both::Both;
use crate::client::api::LineRequest;
use crate::client::{Api, CallError, Deployment, Retries, Session};

/// Carts filled, and read at the end, at once.
const AT_ONCE: usize = 16;
/// Connections per region: a writer whose calls hang for their whole 30 s at 50 a second would need 1,500, which is more than a
/// stalled region deserves; beyond this calls wait, and the wait counts as latency.
const CONNECTIONS_MAX: usize = 512;
/// Sessions outlive any run.
const SESSIONS_LAST: Duration = Duration::from_secs(24 * 60 * 60);
/// Units of each line at first.
const UNITS_FIRST: u64 = 3;

/// Both regions' front doors and the carts.
#[derive(Clone, Debug)]
pub struct Carts {
    apis: Both<Arc<Api>>,
    carts: Arc<Vec<Cart>>,
}

/// An add that filled a cart, in the east.
#[derive(Clone, Debug)]
pub struct Filled {
    /// What it changed.
    pub line: LineId,
    /// How.
    pub kind: Kind,
    /// What the east had seen then, itself included.
    pub past: Past,
}

#[derive(Clone, Debug)]
struct Cart {
    id: CartId,
    session: Session,
}

impl Carts {
    /// Creates `count` carts, each known to both regions, and fills each with the first `lines` offers in the east. Returns the adds, too, with the version
    /// after each.
    ///
    /// The same creation is sent to both regions, as a shopper does who is seen in both: it makes one cart.
    ///
    /// # Errors
    /// A region refuses or stays unavailable, or makes another cart of the same request.
    pub async fn fill(deployment: &Deployment, count: usize, lines: usize) -> anyhow::Result<(Self, Vec<Filled>)> {
        let api = |region| Arc::new(Api::new(deployment.endpoint(region), CONNECTIONS_MAX));
        let apis = Both { east: api(Region::East), west: api(Region::West) };
        let session = |_| deployment.session_key.mint(CustomerId::generate(), Utc::now() + SESSIONS_LAST);
        let sessions: Vec<Session> = (0..count).map(session).collect();
        let carts = futures::stream::iter(sessions).map(|session| create(apis.clone(), session)).buffered(AT_ONCE);
        let carts: Vec<Cart> = carts.try_collect().await.context("cannot create the carts")?;
        let carts = Self { apis, carts: Arc::new(carts) };
        let filled = futures::stream::iter(0..count).map(|cart| carts.fill_one(cart, lines)).buffered(AT_ONCE);
        let adds: Vec<Vec<Filled>> = filled.try_collect().await.context("cannot fill the carts")?;
        Ok((carts, adds.concat()))
    }

    async fn fill_one(&self, cart: usize, lines: usize) -> anyhow::Result<Vec<Filled>> {
        let (retries, kind) = (Retries::default(), Kind::Add(UNITS_FIRST));
        let mut adds = Vec::with_capacity(lines);
        for offer in 0..lines {
            let (line, key) = (LineId { cart, offer }, format!("fill/{offer}"));
            let version = retries.run(|| self.change(Region::East, line, kind, &key)).await?;
            let past = Past::of_version(&version)?;
            adds.push(Filled { line, kind, past });
        }
        Ok(adds)
    }

    /// Their ids, by number.
    pub fn ids(&self) -> Vec<CartId> {
        self.carts.iter().map(|cart| cart.id).collect()
    }

    /// Changes a line. Returns the version after it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn change(&self, region: Region, line: LineId, kind: Kind, key: &str) -> Result<String, CallError> {
        let (api, Cart { id, session }) = (self.apis.of(region), &self.carts[line.cart]);
        let offer_id = goods::offer_id(line.offer);
        let units = |units| i64::try_from(units).unwrap_or(i64::MAX);
        let changed = match kind {
            Kind::Add(added) => {
                let request = LineRequest { offer_id: &offer_id, quantity: units(added) };
                api.add_line(session, *id, key, &request).await?
            }
            Kind::Set(quantity) => api.set_line(session, *id, key, &offer_id, units(quantity)).await?,
            Kind::Remove => api.remove_line(session, *id, key, &offer_id).await?,
        };
        Ok(changed.version)
    }

    /// What each region shows of each cart, by number; null where it does not.
    pub async fn shown(&self) -> Vec<Both<Value>> {
        let retries = Retries::default();
        let show = async |region, cart: &Cart| {
            let call = || self.apis.of(region).cart(&cart.session, cart.id);
            retries.run(call).await.unwrap_or(Value::Null)
        };
        let both = async |cart| {
            let (east, west) = tokio::join!(show(Region::East, cart), show(Region::West, cart));
            Both { east, west }
        };
        futures::stream::iter(self.carts.iter()).map(both).buffered(AT_ONCE).collect().await
    }
}

async fn create(apis: Both<Arc<Api>>, session: Session) -> anyhow::Result<Cart> {
    let retries = Retries::default();
    let east = retries.run(|| apis.east.create_cart(&session, "shared")).await?.cart_id;
    let west = retries.run(|| apis.west.create_cart(&session, "shared")).await?.cart_id;
    anyhow::ensure!(east == west, "the same request made cart {east} in the east and {west} in the west");
    Ok(Cart { id: east, session })
}
