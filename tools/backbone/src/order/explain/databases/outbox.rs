//! Events of the order that a service has decided and not yet published everywhere.

use chrono::{DateTime, Utc};
use ids::{EventId, Region};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::facts::Event;

/// An event in an outbox.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// `outbox`, for its own region's Kafka and then the other's, or `outbox_peer`, for the other's alone.
    pub table: &'static str,
    pub event: Event,
}

/// What waits in the outboxes of `service` about an order. They have no index on the order, and are short unless a broker is away.
///
/// # Errors
/// What the server said.
pub async fn read(conn: &mut PgConnection, service: &str, order: Uuid) -> Result<Vec<Waiting>, sqlx::Error> {
    type Row = (bool, Uuid, String, DateTime<Utc>, String, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "select false, id, type, created_at, home_region, traceparent from outbox where aggregateid = $1
         union all
         select true, id, type, created_at, home_region, traceparent from outbox_peer where aggregateid = $1",
    )
    .bind(order.to_string())
    .fetch_all(conn)
    .await?;
    let waiting = |(is_peer, id, topic, at, home, traceparent): Row| {
        let home = home.parse::<Region>().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let event = Event { id: EventId::from_uuid(id), topic, at, service: service.to_owned(), home, traceparent };
        Ok(Waiting { table: if is_peer { "outbox_peer" } else { "outbox" }, event })
    };
    rows.into_iter().map(waiting).collect()
}
