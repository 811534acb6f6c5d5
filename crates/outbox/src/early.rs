//! Events that leave before their transaction has committed: what a drill sees when [`Guard::PublishAfterCommit`] is removed.
//!
//! The rows are appended all the same and relayed after the commit, as repeats. What is new are the events of changes that a
//! crash or a rollback then undoes: consumers act on something that never happened.
//!
//! [`Guard::PublishAfterCommit`]: sabotage::Guard::PublishAfterCommit

use std::sync::OnceLock;

use chrono::Utc;
use ids::Region;
use uuid::Uuid;

use crate::error::SpineError;
use crate::event::NewEvent;
use crate::headers;
use crate::kafka::Publisher;
use crate::relay::OutboxRow;

/// Where the first relay of this process publishes. An append knows its transaction and no broker.
static HERE: OnceLock<Here> = OnceLock::new();

struct Here {
    publisher: Publisher,
    source: String,
}

/// Lets appends publish where this relay does.
pub(crate) fn register(brokers: &str, source: &str) -> Result<(), SpineError> {
    let publisher = Publisher::connect(brokers, "early")?;
    let _ = HERE.set(Here { publisher, source: source.to_owned() });
    Ok(())
}

/// Publishes the events in this region, before anybody knows whether they happened.
pub(crate) async fn publish(ids: &[Uuid], home_region: Region, events: &[NewEvent], traceparent: Option<&str>) {
    let Some(here) = HERE.get() else {
        tracing::warn!("no relay runs in this process: events are not published early");
        return;
    };
    let row = |(id, event): (&Uuid, &NewEvent)| OutboxRow {
        id: *id,
        aggregate_id: event.aggregate_id.clone(),
        event_type: event.event_type.to_owned(),
        payload: event.payload.clone(),
        home_region: home_region.name().to_owned(),
        traceparent: traceparent.map(str::to_owned),
        created_at: Utc::now(),
    };
    let records: Vec<_> = ids.iter().zip(events).map(|pair| headers::encode(row(pair), &here.source)).collect();
    // no crash point: only where a guard is removed
    if let Some(error) = here.publisher.publish(&records).await.failure {
        tracing::warn!(%error, "events not published early");
    }
}
