//! Gives back what was reserved for orders that came to nothing.
//!
//! A time-out alone never takes stock from an order: the order may have been placed a moment ago, with its event still on the
//! way. So the order service is asked first, and only an order that has ended, or that it never heard of, lets go.

use std::future::Future;
use std::time::Duration;

use chassis::client::Dependency;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{GetOrderFateRequest, OrderFate};
use ids::OrderId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::tick::pause;
use crate::domain::Event;
use crate::store::{self, StoreError};

/// How often to look. Late release is harmless, it only keeps units from being sold that long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one question may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reservation is extended while its order is not known to have ended; also how long a claim lasts, so it is
/// longer than a batch of [`BATCH`] questions of [`CALL_TIMEOUT`], each with a wait for a lock ([`store::give_way`]).
const EXTENSION: Duration = Duration::from_secs(60);
/// Reservations per claim.
const BATCH: i64 = 32;

/// What became of an order, as far as its reservation is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Rejected, or never an order: let go.
    Ended,
    /// Placed, or still being decided: hold on. (Its event is on its way and sells the units, and another, if it was cancelled, frees
    /// them.)
    Stands,
    /// It could not be told, of this order: hold on, and ask about the others.
    Unclear,
}

/// Who knows what became of orders.
pub trait Orders: Send + Sync + 'static {
    /// The order's fate; `None` when nobody answers, so nothing may be concluded, of this order or others.
    fn fate(&self, order_id: OrderId) -> impl Future<Output = Option<Fate>> + Send;
}

/// The order service of this region, over gRPC.
impl Orders for Dependency {
    async fn fate(&self, order_id: OrderId) -> Option<Fate> {
        let request = GetOrderFateRequest { order_id: order_id.to_string() };
        let answer = self
            .call(CALL_TIMEOUT, |channel| {
                let request = request.clone();
                async move { OrderServiceClient::new(channel).get_order_fate(request).await }
            })
            .await;
        match answer {
            Ok(answer) => match answer.fate() {
                OrderFate::Unknown | OrderFate::Ended => Some(Fate::Ended),
                OrderFate::Undecided | OrderFate::Placed => Some(Fate::Stands),
                OrderFate::Unspecified => {
                    tracing::error!(%order_id, fate = answer.fate, "order service gave a fate that is none");
                    Some(Fate::Unclear)
                }
            },
            Err(error) => {
                tracing::warn!(%order_id, code = ?error.code(), "could not ask for the order's fate");
                // An order that cannot be told of must not hold up those behind it.
                let is_outage = matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled);
                (!is_outage).then_some(Fate::Unclear)
            }
        }
    }
}

/// Runs until `token` is cancelled.
///
/// # Errors
/// [`StoreError`], for the supervisor to start it again with backoff.
pub async fn run<O: Orders>(pool: &PgPool, orders: &O, token: &CancellationToken) -> Result<(), StoreError> {
    while pause(token, LOOK_EVERY).await {
        release_ended(pool, orders, token).await?;
    }
    Ok(())
}

/// Asks about expired reservations, a batch at a time, and releases those whose order ended; the others stay as extended by
/// their claim, and so does one whose stock somebody holds. Returns how many were let go; stops early when the order service does not
/// answer.
///
/// # Errors
/// [`StoreError`] of the database as a whole.
pub async fn release_ended<O: Orders>(
    pool: &PgPool,
    orders: &O,
    token: &CancellationToken,
) -> Result<usize, StoreError> {
    let mut released = 0;
    loop {
        let due = store::claim_expired(pool, EXTENSION, BATCH).await?;
        let is_last = due.len() < usize::try_from(BATCH).unwrap_or(usize::MAX);
        for order_id in due {
            if token.is_cancelled() {
                return Ok(released);
            }
            match orders.fate(order_id).await {
                Some(Fate::Ended) => match let_go(pool, order_id).await {
                    Ok(()) => released += 1,
                    Err(error) => pass_over(order_id, error)?,
                },
                Some(Fate::Stands | Fate::Unclear) => {}
                None => return Ok(released),
            }
        }
        if is_last {
            return Ok(released);
        }
    }
}

/// What is in the way of one must not hold up those behind it: it is looked at again after [`EXTENSION`].
fn pass_over(order_id: OrderId, error: StoreError) -> Result<(), StoreError> {
    if error.is_outage() {
        return Err(error);
    }
    let cause: &dyn std::error::Error = &error;
    if matches!(error, StoreError::Conflict(_)) {
        tracing::warn!(%order_id, error = cause, "somebody holds the stock of an expired reservation; it waits");
    } else {
        tracing::error!(%order_id, error = cause, "an expired reservation could not be let go of");
    }
    Ok(())
}

/// A transaction for each, as two in one would lock the stock of one after that of the other.
async fn let_go(pool: &PgPool, order_id: OrderId) -> Result<(), StoreError> {
    let mut transaction = chassis::database::begin(pool).await?;
    store::give_way(&mut transaction).await?;
    let outcome = store::apply(&mut transaction, Event::FateEnded, order_id).await?;
    sabotage::crash_point("inventory.expire.before-commit").await;
    transaction.commit().await?;
    sabotage::crash_point("inventory.expire.after-commit").await;
    metrics::counter!("inventory_reservations_expired_total").increment(1);
    tracing::info!(%order_id, ?outcome, "let go of an expired reservation");
    Ok(())
}
