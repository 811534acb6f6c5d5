//! What the inboxes remember: an event whose row is there had its effect.

use chrono::{DateTime, Utc};
use ids::{EventId, Region};
use uuid::Uuid;

use super::consumers::{CONSUMERS, Consumer};
use crate::audit::sources::Read;
use crate::audit::sources::database::snapshot;
use crate::platform::Layout;
use crate::platform::secrets::DATABASES;

/// An event that had its effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    /// The consumer group.
    pub consumer: String,
    pub event: EventId,
    /// When its transaction began.
    pub at: DateTime<Utc>,
}

/// What the region's consumers remember of these events. A database whose consumers are not among `asked` is not asked.
///
/// # Errors
/// [`crate::audit::sources::Unreadable`]: one of the databases.
pub async fn applied(
    layout: &Layout,
    region: Region,
    events: &[EventId],
    asked: impl Fn(&Consumer) -> bool,
) -> Read<Vec<Applied>> {
    let mut found = Vec::new();
    let ids: Vec<Uuid> = events.iter().map(|event| event.as_uuid()).collect();
    for database in DATABASES {
        let here = CONSUMERS.iter().filter(|consumer| consumer.database == database && asked(consumer));
        let groups: Vec<&str> = here.map(|consumer| consumer.group).collect();
        if groups.is_empty() || ids.is_empty() {
            continue;
        }
        let rows: Vec<(String, Uuid, DateTime<Utc>)> = snapshot(layout, region, database, async |conn| {
            // Both columns, since the primary key begins with the consumer.
            sqlx::query_as(
                "select consumer, event_id, received_at from inbox where consumer = any($1) and event_id = any($2)",
            )
            .bind(&groups)
            .bind(&ids)
            .fetch_all(conn)
            .await
        })
        .await?;
        let applied = |(consumer, event, at)| Applied { consumer, event: EventId::from_uuid(event), at };
        found.extend(rows.into_iter().map(applied));
    }
    Ok(found)
}
