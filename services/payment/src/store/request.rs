//! What others ask of a payment: capture it, void it.

use std::time::Duration;

use chassis::trace_context::current_traceparent;
use ids::OrderId;
use sabotage::crash_point;
use sqlx::PgConnection;

use super::payment::{Payment, PaymentRow};
use super::{LEASE, Store, StoreError, WAKE_CHANNEL, interval};
use crate::domain::{Event, State};

/// Who takes the step that a request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// The workers, woken at the commit.
    Workers,
    /// The caller, by [`Store::claim_payment`] right after the commit; a worker only if it has not after a lease.
    Caller,
}

/// Takes a request into a payment, inside the caller's transaction: the row is locked, the event applied. `None` when there is
/// no such payment.
///
/// # Errors
/// [`StoreError::Illegal`] when the payment cannot go there; [`StoreError::Database`].
pub(crate) async fn request(
    conn: &mut PgConnection,
    order: OrderId,
    event: Event,
    follow: Follow,
) -> Result<Option<Payment>, StoreError> {
    let row = sqlx::query_as!(
        PaymentRow,
        "select order_id, state, amount_minor, currency, terms_digest, intent_id, decline_code, refunded_minor
         from payment where order_id = $1 for no key update",
        order.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let payment = Payment::try_from(row)?;
    let next = payment.state.clone().after(event)?;
    if next != payment.state {
        store_request(conn, order, (&payment.state, &next), follow).await?;
    }
    Ok(Some(Payment { state: next, ..payment }))
}

async fn store_request(
    conn: &mut PgConnection,
    order: OrderId,
    (from, to): (&State, &State),
    follow: Follow,
) -> Result<(), StoreError> {
    // From one in-doubt state to the other the step stays the same call, so whoever drives it goes on, and what is known of
    // earlier tries still counts.
    let same_step = from.step() == to.step();
    let due_in = match follow {
        Follow::Workers => Duration::ZERO,
        Follow::Caller => LEASE,
    };
    sqlx::query!(
        "update payment set state = $2, traceparent = coalesce($3, traceparent), updated_at = now(),
             attempts = case when $4 then attempts else 0 end,
             due_at = case when $4 then due_at when $5 then now() + $6 end
         where order_id = $1",
        order.as_uuid(),
        to.name(),
        current_traceparent(),
        same_step,
        to.step().is_some(),
        interval(due_in)?,
    )
    .execute(&mut *conn)
    .await?;
    if !same_step && to.step().is_some() && follow == Follow::Workers {
        sqlx::query!("select pg_notify($1, '')", WAKE_CHANNEL).execute(conn).await?;
    }
    Ok(())
}

impl Store {
    /// Asks for a void. A payment that never was becomes a tombstone, so that an authorisation that comes later is refused:
    /// the caller who voids has given the order up, and messages overtake each other.
    ///
    /// Returns the payment after it; drive it on while it is in flight.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] when the money is taken or about to be; [`StoreError::Database`].
    pub async fn request_void(&self, order: OrderId) -> Result<Payment, StoreError> {
        let mut tx = chassis::database::begin(&self.pool).await?;
        let payment = match request(&mut tx, order, Event::VoidRequested, Follow::Caller).await? {
            Some(payment) => payment,
            None => match bury(&mut tx, order).await? {
                Some(tombstone) => tombstone,
                // An authorisation began between our look and our tombstone, which waited for its commit.
                None => {
                    request(&mut tx, order, Event::VoidRequested, Follow::Caller).await?.ok_or(StoreError::NotFound)?
                }
            },
        };
        crash_point("payment.request-void.before-commit").await;
        tx.commit().await?;
        crash_point("payment.request-void.after-commit").await;
        Ok(payment)
    }
}

async fn bury(conn: &mut PgConnection, order: OrderId) -> Result<Option<Payment>, StoreError> {
    let buried = sqlx::query!(
        "insert into payment (order_id, state) values ($1, 'voided') on conflict (order_id) do nothing",
        order.as_uuid(),
    )
    .execute(conn)
    .await?
    .rows_affected()
        > 0;
    let tombstone = Payment { order, state: State::Voided, amount: None, terms: None, refunded_minor: 0 };
    Ok(buried.then_some(tombstone))
}
