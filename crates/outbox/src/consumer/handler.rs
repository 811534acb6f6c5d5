//! What a service supplies: the effect of an event.

use std::future::Future;

use sqlx::PgConnection;

use crate::event::Received;

/// The effect of a consumer's events.
pub trait Handler: Send + Sync + 'static {
    /// The topics to subscribe to: event types, `order.placed.v1`.
    fn topics(&self) -> &'static [&'static str];

    /// Applies one event inside the transaction that also holds its inbox row; the caller commits. Everything the
    /// handler does must go through `conn`: a call to another service or a write elsewhere would not be undone by a
    /// rollback, nor be kept from happening twice. Such work is stored as a task here and done by a worker of the
    /// service.
    ///
    /// Events of one aggregate come in order within a topic. Between topics there is no order: `order.cancelled.v1` may
    /// come before the `order.placed.v1` of the same order, and a handler of both must end in the same state either
    /// way.
    ///
    /// The transaction is shared with other events of the batch. After any error it is rolled back and the events are
    /// applied one by one, so an error never leaves half an effect, and `conn` must not be used after it.
    ///
    /// Implementations may write `async fn handle`.
    ///
    /// # Errors
    /// See [`HandleError`] for what each kind leads to.
    fn handle(&self, conn: &mut PgConnection, event: &Received)
    -> impl Future<Output = Result<(), HandleError>> + Send;
}

/// Why an event had no effect. The texts end in logs and in the dead letter's headers: ids and reasons, never payload.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It never will: undecodable, unknown type, contradicts our state. Goes to the dead letters at once.
    #[error("poison: {0}")]
    Poison(String),
    /// It may, on another try. Tried a bounded number of times with backoff, then goes to the dead letters.
    #[error("failed: {0}")]
    Retry(String),
    /// Something it depends on is away. Waits for it as long as it takes, without counting tries.
    #[error("dependency unavailable: {0}")]
    Unavailable(String),
    /// Somebody else holds what it needs: a lock, a row that changed under it. It waits for as long as that takes, without counting
    /// tries, together with the later events of its key; those of other keys pass.
    #[error("blocked: {0}")]
    Blocked(String),
    /// The database's error, so that `?` does in handlers. A lost connection counts as [`Self::Unavailable`], waiting
    /// for a lock in vain, a deadlock and a failed serialisation as [`Self::Blocked`], the rest as [`Self::Retry`].
    #[error("database")]
    Database(#[from] sqlx::Error),
}
