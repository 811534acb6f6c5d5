//! What one region's carts have seen, read often: the contexts alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use crdt::codec::decode_context;
use ids::{CartId, Region};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Past;
use crate::load::commits;
use crate::platform::{Layout, secrets};

/// A local server answers at once or not at all.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A look at the contexts of certain carts in one region, again and again.
pub struct Contexts {
    connection: PgConnection,
    ids: Vec<Uuid>,
    numbers: HashMap<Uuid, usize>,
}

impl Contexts {
    /// Connects to a region's cart database as superuser, to read.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn open(layout: &Layout, region: Region, carts: &[CartId]) -> anyhow::Result<Self> {
        let connection = commits::connect(&secrets::superuser_url(layout, region, "cart")?).await?;
        let ids: Vec<Uuid> = carts.iter().map(|cart| cart.as_uuid()).collect();
        let numbers = ids.iter().enumerate().map(|(number, id)| (*id, number)).collect();
        Ok(Self { connection, ids, numbers })
    }

    /// What these carts (by number) have seen, as of now; nothing for one that the region does not have.
    ///
    /// # Errors
    /// The database does not answer, or a context does not decode.
    pub async fn read(&mut self, wanted: &BTreeSet<usize>) -> anyhow::Result<BTreeMap<usize, Past>> {
        let ids: Vec<Uuid> = wanted.iter().filter_map(|number| self.ids.get(*number).copied()).collect();
        let rows = sqlx::query_as::<_, (Uuid, Vec<u8>)>("select cart_id, context from cart where cart_id = any($1)")
            .bind(ids)
            .fetch_all(&mut self.connection);
        let rows = tokio::time::timeout(READ_WITHIN, rows).await.context("a cart database does not answer")??;
        let numbered = |(id, context): (Uuid, Vec<u8>)| {
            Ok((*self.numbers.get(&id).context("a cart that was not asked for")?, Past::of(&decode_context(&context)?)))
        };
        rows.into_iter().map(numbered).collect()
    }
}
