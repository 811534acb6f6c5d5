//! The carts as both regions' databases hold them, read by their bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use crdt::codec::decode_context;
use ids::{CartId, Region};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Past;
use crate::audit::both::Both;
use crate::load::commits;
use crate::platform::{Layout, secrets};

/// Between two looks of those who wait. A look reads some hundred rows from each database, in a few milliseconds.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A local server answers at once or not at all; a few hundred carts are a few milliseconds.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A cart's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The encoded causal context.
    pub context: Vec<u8>,
    /// The encoded delivery address.
    pub address: Vec<u8>,
    /// The encoded lines, by offer.
    pub lines: BTreeMap<String, Vec<u8>>,
}

impl Stored {
    /// The operations that it has seen; `None` when the context does not decode.
    pub fn past(&self) -> Option<Past> {
        decode_context(&self.context).ok().map(|context| Past::of(&context))
    }
}

/// Carts that a region has.
pub type StoredCarts = BTreeMap<CartId, Stored>;

type Row = (Uuid, Vec<u8>, Vec<u8>, Vec<String>, Vec<Vec<u8>>);

/// A look at certain carts in both regions, again and again.
pub struct Stores {
    connections: Both<PgConnection>,
    carts: Vec<CartId>,
    ids: Vec<Uuid>,
}

impl Stores {
    /// Connects to both regions' cart databases as superuser; of the tables nothing is changed.
    ///
    /// # Errors
    /// A database cannot be reached.
    pub async fn open(layout: &Layout, carts: &[CartId]) -> anyhow::Result<Self> {
        let url = |region| secrets::superuser_url(layout, region, "cart");
        let (east, west) = (url(Region::East)?, url(Region::West)?);
        let (east, west) = tokio::try_join!(commits::connect(&east), commits::connect(&west))?;
        let ids = carts.iter().map(|cart| cart.as_uuid()).collect();
        Ok(Self { connections: Both { east, west }, carts: carts.to_vec(), ids })
    }

    /// Reads the carts of both regions, each region in one snapshot, both at nearly the same moment.
    ///
    /// # Errors
    /// A database does not answer.
    pub async fn read(&mut self) -> anyhow::Result<Both<StoredCarts>> {
        let Both { east, west } = &mut self.connections;
        let (east, west) = tokio::try_join!(read(east, &self.ids), read(west, &self.ids))?;
        Ok(Both { east, west })
    }

    /// Waits until all carts are identical in both regions at once, and returns when they were. `None` when they are not within
    /// `within`.
    ///
    /// # Errors
    /// A database does not answer.
    pub async fn await_identical(&mut self, within: Duration) -> anyhow::Result<Option<Instant>> {
        let begin = Instant::now();
        loop {
            let carts = self.read().await?;
            let now = Instant::now();
            if differing(&self.carts, &carts).is_empty() {
                return Ok(Some(now));
            }
            if now > begin + within {
                return Ok(None);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<StoredCarts> {
    let rows = sqlx::query_as::<_, Row>(
        "select c.cart_id, c.context, c.address,
                array(select l.offer_id from cart_line l where l.cart_id = c.cart_id order by l.offer_id),
                array(select l.line from cart_line l where l.cart_id = c.cart_id order by l.offer_id)
         from cart c
         where c.cart_id = any($1)",
    )
    .bind(ids)
    .fetch_all(connection);
    let rows = tokio::time::timeout(READ_WITHIN, rows).await.context("a cart database does not answer")??;
    let stored = |(id, context, address, offers, lines): Row| {
        (CartId::from_uuid(id), Stored { context, address, lines: offers.into_iter().zip(lines).collect() })
    };
    Ok(rows.into_iter().map(stored).collect())
}

/// The carts that are not byte for byte the same in both.
pub fn differing<'a>(ids: &'a [CartId], carts: &Both<StoredCarts>) -> Vec<&'a CartId> {
    ids.iter().filter(|id| !carts.east.contains_key(id) || carts.east.get(id) != carts.west.get(id)).collect()
}
