//! Into the outbox, in the transaction of the change.

use ids::{EventId, Region};
use sabotage::Guard;
use sqlx::PgConnection;

use crate::early;
use crate::event::NewEvent;

/// Appends events to the outbox inside the caller's transaction: they exist if, and only if, the change commits.
///
/// Append after writing the aggregate's own row. Writers of one aggregate then queue for that row, so positions are
/// handed out in the order of their commits, which is what keeps an aggregate's events in order.
///
/// `home_region`: the region whose consumers act on the events. The current trace context goes with them.
///
/// # Errors
/// Those of the insert, among them the check on [`crate::PAYLOAD_BYTES_MAX`]. The transaction is then aborted.
pub async fn append(conn: &mut PgConnection, home_region: Region, events: &[NewEvent]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = events.iter().map(|_| EventId::generate().as_uuid()).collect();
    let aggregate_types: Vec<_> = events.iter().map(|event| event.aggregate_type.to_owned()).collect();
    let aggregate_ids: Vec<_> = events.iter().map(|event| event.aggregate_id.clone()).collect();
    let types: Vec<_> = events.iter().map(|event| event.event_type.to_owned()).collect();
    let payloads: Vec<_> = events.iter().map(|event| event.payload.clone()).collect();
    let traceparent = chassis::trace_context::current_traceparent();
    // `order by` makes the identity column follow the order of the slice.
    sqlx::query!(
        "insert into outbox (id, aggregatetype, aggregateid, type, payload, home_region, traceparent)
         select id, aggregatetype, aggregateid, type, payload, $6, $7
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])
              with ordinality as event (id, aggregatetype, aggregateid, type, payload, place)
         order by place",
        &ids,
        &aggregate_types,
        &aggregate_ids,
        &types,
        &payloads,
        home_region.name(),
        traceparent.as_deref(),
    )
    .execute(conn)
    .await?;
    if sabotage::is_removed(Guard::PublishAfterCommit) {
        early::publish(&ids, home_region, events, traceparent.as_deref()).await;
    }
    // In the caller's transaction: what dies here leaves neither the change nor its events.
    sabotage::crash_point("outbox.append.before-commit").await;
    Ok(())
}
