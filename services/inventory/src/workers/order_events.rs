//! Turns reservations into sales when orders are placed, and gives units back when they are cancelled.
//!
//! Either event may come first (they are on two topics); [`crate::domain::react`] makes both orders end the same. Repeats are
//! skipped by the inbox, and would change nothing if they were not.
//!
//! # A placed order whose units are not held
//! It must not happen: the saga reserves before it places, and expiry asks for the order's fate before it lets go. If it does
//! happen, stock was promised that we may have sold to someone else, and no code can know whether to sell short or to cancel.
//! So it is loud (`inventory_lost_reservations_total`, an error log) and the event is refused: retried, in case the cause was
//! passing, and then in the dead-letter topic, where the audit finds it and a person decides.

use std::time::Duration;

use chassis::telemetry::causes;
use contracts::order::v1::{OrderCancelled, OrderPlaced};
use ids::OrderId;
use outbox::{HandleError, Handler, Received};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};

use crate::domain::{Event, Refusal};
use crate::store::{self, StoreError};

const PLACED: &str = "order.placed.v1";
const CANCELLED: &str = "order.cancelled.v1";

/// How long the consumer waits for a lock before it yields; see [`consumer_pool`]. Other holders keep theirs for one
/// statement and one commit, a few milliseconds.
const LOCK_TIMEOUT_MS: u64 = 25;
/// The consumer uses one connection at a time; the second is for the moment in which the first is being returned.
const CONNECTIONS_MAX: u32 = 2;

/// The consumer's effect on stock.
#[derive(Debug, Clone, Copy)]
pub struct OrderEvents;

/// A pool for the consumer alone, on the database of `pool`.
///
/// The consumer applies several events in one transaction, so it locks the stock of one order after that of another, against
/// the order that every other transaction keeps to: it and a reserve can come to wait for each other. With a lock time-out
/// on its connections it is always the consumer, never the shopper, that gives way; the batch is then applied event by
/// event, where the order holds.
pub fn consumer_pool(pool: &PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone().options([("lock_timeout", format!("{LOCK_TIMEOUT_MS}ms"))]);
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(Duration::from_secs(2));
    chassis::database::of_writers(pool).connect_lazy_with(options)
}

impl Handler for OrderEvents {
    fn topics(&self) -> &'static [&'static str] {
        &[PLACED, CANCELLED]
    }

    async fn handle(&self, conn: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let (order_id, happened) = match event.event_type.as_str() {
            PLACED => (event.decode::<OrderPlaced>()?.order_id, Event::OrderPlaced),
            CANCELLED => (event.decode::<OrderCancelled>()?.order_id, Event::OrderCancelled),
            other => return Err(HandleError::Poison(format!("unknown event type {other}"))),
        };
        let order_id: OrderId = order_id
            .parse()
            .map_err(|error| HandleError::Poison(format!("order_id of event {}: {error}", event.id)))?;
        let outcome = store::apply(conn, happened, order_id).await.map_err(handle_error)?;
        outcome.map_err(|refusal| refused(order_id, refusal))?;
        Ok(())
    }
}

fn refused(order_id: OrderId, refusal: Refusal) -> HandleError {
    metrics::counter!("inventory_lost_reservations_total").increment(1);
    tracing::error!(%order_id, %refusal, "an order stands without its stock");
    HandleError::Retry(format!("order {order_id}: {refusal}"))
}

fn handle_error(error: StoreError) -> HandleError {
    match error {
        // Passes by itself, so it must not use up the tries that lead to the dead letters.
        StoreError::Conflict(_) => HandleError::Blocked(causes(&error).to_string()),
        StoreError::Database(error) => HandleError::Database(error),
        StoreError::BelowZero { .. } | StoreError::UnknownValue { .. } => {
            HandleError::Retry(causes(&error).to_string())
        }
    }
}
