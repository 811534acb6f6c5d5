//! One request is one intention, also when both regions made an order of it while they could not talk.
//!
//! 1. A region that decides an order in its owner's absent home's stead tells the home as soon as it can, and again until both know what
//!    became of it ([`OneIntention::tell_home`]). The home remembers it and starts nothing under that key any more.
//! 2. If the home had made an order of the same request, both regions judge the two alike ([`judge`]): the later one is superseded, or the
//!    one that was refused.
//! 3. Its own region undoes it ([`OneIntention::undo`]): it is cancelled, or taken back whole once it has shipped. Key: the order.
//!
//! Each step is repeated until it is done and changes nothing when it is repeated. The order that stands is never touched, and answers
//! the request in both regions.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ids::{CustomerId, IdempotencyKey, OrderId};
use tokio::time::Instant;
use tonic::async_trait;

use super::patience::CALL_MAX;
use super::{CallError, Sagas};
use crate::domain::{Fate, Order, OrderState, ReturnLine, ReturnRequest, Verdict, judge};
use crate::store::{Cancelled, ReturnRefused, StoreError, Untold};

/// Between two looks at what is not decided yet, or at a home that does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// The home is told once more this long after it was first told: a request that it had begun to place when it was told may have
/// become an order since. Twice the longest that a request can take to its first row (a minute).
const TOLD_ONCE_MORE_AFTER: Duration = Duration::from_secs(120);

/// The owner's home region, as far as intentions are concerned.
#[async_trait]
pub trait Home: Send + Sync + 'static {
    /// Tells it of an order; the answer is its own order of the same request, if it has one.
    async fn report(&self, told: &Untold, within: Duration) -> Result<Option<(OrderId, Fate)>, CallError>;
}

/// Settles what two regions made of one request. Cheap to clone.
#[derive(Clone)]
pub struct OneIntention {
    sagas: Sagas,
    home: Option<Arc<dyn Home>>,
}

impl std::fmt::Debug for OneIntention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneIntention").finish_non_exhaustive()
    }
}

impl OneIntention {
    /// Over these sagas; `home` is the other region.
    pub const fn new(sagas: Sagas, home: Option<Arc<dyn Home>>) -> Self {
        Self { sagas, home }
    }

    /// What the home does when it is told of an order of one of its owners, which the other region made: remembers it, and makes it its
    /// duty to undo its own order if that is the later of two that stand. Returns its own.
    ///
    /// # Errors
    /// [`StoreError`]; the caller tells again.
    pub async fn told(
        &self,
        customer: CustomerId,
        key: &IdempotencyKey,
        (theirs, their_fate): (OrderId, Fate),
    ) -> Result<Option<(OrderId, Fate)>, StoreError> {
        let ours = self.sagas.store.note_decided_away(customer, key, theirs).await?;
        if let Some(ours) = ours
            && judge(ours, (theirs, their_fate)) == Verdict::Undo
        {
            self.sagas.store.supersede(ours.0, theirs).await?;
        }
        Ok(ours)
    }

    /// Tells the home of one order.
    ///
    /// # Errors
    /// [`StoreError`]; it is told again.
    pub async fn tell_home(&self, told: &Untold) -> Result<(), StoreError> {
        let store = &self.sagas.store;
        let Some(home) = &self.home else { return store.not_told_home(told.order, AGAIN).await };
        let theirs = match home.report(told, CALL_MAX).await {
            Ok(theirs) => theirs,
            Err(error) => {
                tracing::debug!(order_id = %told.order, error = &error as &dyn Error, "the owner's home is not told yet");
                return store.not_told_home(told.order, AGAIN).await;
            }
        };
        let verdict = theirs.map(|theirs| judge((told.order, told.fate), theirs));
        if let (Some(Verdict::Undo), Some((theirs, _))) = (verdict, theirs) {
            store.supersede(told.order, theirs).await?;
        }
        let is_undecided = told.fate == Fate::Undecided || verdict == Some(Verdict::Wait);
        let again = match told.told_home_at {
            _ if is_undecided => Some(AGAIN),
            // With an order there is nothing more to learn: there is one per request.
            _ if theirs.is_some() => None,
            Some(first) if store.clock().now() >= first + TOLD_ONCE_MORE_AFTER => None,
            _ => Some(TOLD_ONCE_MORE_AFTER),
        };
        store.told_home(told.order, again).await
    }

    /// Undoes a superseded order, or looks at it again later.
    ///
    /// # Errors
    /// [`StoreError`]; it is tried again.
    pub async fn undo(&self, id: OrderId, by: OrderId) -> Result<(), StoreError> {
        let store = &self.sagas.store;
        let corrupt = || StoreError::Corrupt { order: id.as_uuid(), detail: "superseded and gone".to_owned() };
        let order = store.order(id).await?.ok_or_else(corrupt)?;
        let is_undone = match &order.state {
            OrderState::Cancelled | OrderState::Rejected(_) => true,
            OrderState::Pending | OrderState::Compensating(_) => false,
            OrderState::Placed => {
                let cancelled = self.sagas.cancel.cancel(id, order.customer).await?;
                matches!(cancelled, Cancelled::Now | Cancelled::Before)
            }
            OrderState::Shipped => self.take_back_whole(&order, by).await?,
        };
        if !is_undone {
            return store.not_undone(id, AGAIN).await;
        }
        tracing::info!(order_id = %id, superseded_by = %by, "an order gave way to another one of its request");
        metrics::counter!("orders_superseded_total").increment(1);
        store.undone(id).await
    }

    /// Whether everything that was shipped is on its way back, and its money with it.
    async fn take_back_whole(&self, order: &Order, by: OrderId) -> Result<bool, StoreError> {
        let left = order.lines.iter().filter(|line| line.quantity() > line.returned_quantity);
        let lines: Vec<_> = left
            .map(|line| ReturnLine { offer: line.offer.clone(), quantity: line.quantity() - line.returned_quantity })
            .collect();
        if lines.is_empty() {
            return Ok(true);
        }
        let corrupt = |detail: String| StoreError::Corrupt { order: order.id.as_uuid(), detail };
        let key = format!("superseded-by:{by}").parse().map_err(|error| corrupt(format!("{error}")))?;
        let request = ReturnRequest { order: order.id, customer: order.customer, idempotency_key: key, lines };
        match self.sagas.give_back.take_back(&request, Instant::now() + CALL_MAX).await {
            Ok(_) => Ok(true),
            Err(ReturnRefused::Store(error)) => Err(error),
            // The shopper sends some of it back at this moment: what is then left is looked at again.
            Err(refused) => {
                tracing::warn!(order_id = %order.id, error = &refused as &dyn Error, "a superseded order is not taken back yet");
                Ok(false)
            }
        }
    }
}
