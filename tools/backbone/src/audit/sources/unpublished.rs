//! Events that are decided but not yet in Kafka.

use ids::EventId;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};

/// A row of `outbox` or `outbox_peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// Which Kafka it waits for.
    pub lane: Lane,
    pub event: EventId,
    /// Such as `order.placed.v1`.
    pub event_type: String,
    /// What it happened to; an order's id.
    pub aggregate_id: String,
}

/// Where an event has yet to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// To its own region's Kafka, and then to the other's.
    Outbox,
    /// To the other region's only.
    OutboxPeer,
}

impl Lane {
    /// The table's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::OutboxPeer => "outbox_peer",
        }
    }
}

impl FromRow<'_, PgRow> for Unpublished {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            lane: if row.try_get("is_peer")? { Lane::OutboxPeer } else { Lane::Outbox },
            event: EventId::from_uuid(row.try_get("id")?),
            event_type: row.try_get("type")?,
            aggregate_id: row.try_get("aggregateid")?,
        })
    }
}

/// All of a database, without their payloads.
///
/// # Errors
/// What the server said.
pub async fn read(conn: &mut PgConnection) -> Result<Vec<Unpublished>, sqlx::Error> {
    sqlx::query_as(
        "select false as is_peer, id, type, aggregateid from outbox
         union all
         select true, id, type, aggregateid from outbox_peer",
    )
    .fetch_all(conn)
    .await
}
