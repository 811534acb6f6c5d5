//! What is read, and from where: every database and the Kafka of both regions, the provider's own ledger, and whether the link
//! between the regions is cut.
//!
//! Each file holds the rows of one store as the checks see them, and beside them the statements that fetch them. A database is read
//! in one snapshot. The memory it takes grows with the rows; of events only ids are kept.

pub mod carts;
pub mod database;
pub mod events;
pub mod inventory;
pub mod link;
pub mod orders;
pub mod payments;
pub mod provider;
pub mod unpublished;

use ids::Region;

use super::both::Both;
use crate::platform::Layout;
use carts::Carts;
use database::snapshot;
use events::Events;
use inventory::Inventory;
use link::Link;
use orders::Orders;
use payments::Payments;
use provider::Provider;

/// A store that could not be read. What depends on it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {store}: {why}")]
pub struct Unreadable {
    store: String,
    why: String,
}

impl Unreadable {
    /// `store`: which, such as "east order database".
    pub fn new(store: impl Into<String>, why: impl ToString) -> Self {
        Self { store: store.into(), why: why.to_string() }
    }
}

/// A store, or why it could not be read.
pub type Read<T> = Result<T, Unreadable>;

/// Everything that was read.
#[derive(Debug)]
pub struct Stores {
    pub orders: Both<Read<Orders>>,
    pub payments: Both<Read<Payments>>,
    pub inventory: Both<Read<Inventory>>,
    pub carts: Both<Read<Carts>>,
    pub events: Both<Read<Events>>,
    pub provider: Read<Provider>,
    pub link: Link,
}

/// Reads all stores side by side.
pub async fn read(layout: &Layout) -> Stores {
    let (orders, payments, inventory, carts, events, provider, link) = tokio::join!(
        both(async |region| snapshot(layout, region, "order", Orders::read).await),
        both(async |region| snapshot(layout, region, "payment", Payments::read).await),
        both(async |region| snapshot(layout, region, "inventory", Inventory::read).await),
        both(async |region| { snapshot(layout, region, "cart", async |conn| Carts::read(conn, region).await).await }),
        both(async |region| Events::read(layout, region).await),
        Provider::read(layout),
        Link::read(layout),
    );
    Stores { orders, payments, inventory, carts, events, provider, link }
}

async fn both<T>(read: impl AsyncFn(Region) -> T) -> Both<T> {
    let (east, west) = tokio::join!(read(Region::East), read(Region::West));
    Both { east, west }
}
