//! How a request becomes an order, or finds the one it made before.

use std::time::Duration;

use chassis::retry::Backoff;
use chassis::trace_context::current_traceparent;
use ids::OrderId;
use sabotage::crash_point;
use tokio::time::Instant;

use super::drive::Turn;
use super::{Arriving, PlaceError, PlaceOrder, Placing};
use crate::domain::{Order, OrderState, PlaceRequest, Refusal, RefusalKind};
use crate::sagas::patience::call_deadline;
use crate::sagas::{CallError, Cut};
use crate::store::{Claimed, Duty, KnownRequest, Lease, NewOrder};

/// How long a request that was handed on waits for edits that its shopper made in the other region. They usually overtake it; this is
/// many times what they take over a link that works.
const ARRIVAL_MAX: Duration = Duration::from_secs(2);
/// Between two looks at an order that somebody else drives. Most are decided within 50 ms.
const BETWEEN_LOOKS: Backoff = Backoff::new(Duration::from_millis(40), Duration::from_millis(400));

impl PlaceOrder {
    /// Places an order, or finds the one that this request made before. Answers when it is decided, or at `until` with the order
    /// as it stands; it is then driven on without the caller.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn place(&self, request: &PlaceRequest, until: Instant) -> Result<Order, PlaceError> {
        self.place_when(request, Arriving::Told, until).await
    }

    /// The same, for a cart whose version may still be on its way here.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub async fn place_when(
        &self,
        request: &PlaceRequest,
        arriving: Arriving,
        until: Instant,
    ) -> Result<Order, PlaceError> {
        if let Some(known) = self.store.known_request(request.customer, &request.idempotency_key).await? {
            return self.repeat(&known, request, until).await;
        }
        let cut = self.cut_arriving(request, arriving, until).await?;
        // The cart replicates: this may be the cut of a request that the other region has, or had, in hand.
        if self.is_elsewhere(cut.order, request) {
            return Err(PlaceError::Elsewhere(cut.order));
        }
        let (id, parties) = (cut.order, (request.customer, request.cart));
        let now = self.store.clock().now();
        let pending = Order::pending(id, self.store.region(), parties, cut.lines, request.delivery.clone(), now);
        let order = match pending {
            Ok(order) => order,
            Err(unorderable) => return Err(self.turn_away(request, id, unorderable.into(), until).await),
        };
        let new = NewOrder {
            order: &order,
            request,
            lease: self.settings.lease,
            not_after: order.placement_deadline(self.settings.placement_limit),
            traceparent: current_traceparent(),
        };
        if let Some(lease) = self.store.insert_pending(new).await? {
            return self.drive_new(order, request, lease, until).await;
        }
        match self.store.known_request(request.customer, &request.idempotency_key).await? {
            // A request with the same key ran beside this one and was first.
            Some(known) => self.repeat(&known, request, until).await,
            None => Err(self.turn_away(request, id, cut_expired(), until).await),
        }
    }

    /// The first step, once what the shopper saw has arrived here.
    async fn cut_arriving(
        &self,
        request: &PlaceRequest,
        arriving: Arriving,
        until: Instant,
    ) -> Result<Cut, PlaceError> {
        let until_arrived = until.min(Instant::now() + ARRIVAL_MAX);
        let mut looks = 0;
        loop {
            match self.cut_cart(request, until).await {
                Err(error) if arriving == Arriving::Awaited && error.is_version_ahead() => {
                    looks += 1;
                    let next = Instant::now() + BETWEEN_LOOKS.delay_now(looks);
                    if next >= until_arrived {
                        return Err(error);
                    }
                    tokio::time::sleep_until(next).await;
                }
                cut => return cut,
            }
        }
    }

    /// The first step. Key: the request's own, so that a repeat of a request that died before its row was stored gets the same
    /// cut and the same order id.
    async fn cut_cart(&self, request: &PlaceRequest, until: Instant) -> Result<Cut, PlaceError> {
        let within = call_deadline(until.saturating_duration_since(Instant::now()), 1);
        crash_point("order.cut-cart.before-call").await;
        let id = OrderId::generate_at(self.store.region(), self.store.clock().since_epoch());
        let cut = self.callees.cart.begin_checkout(request, id, within).await;
        crash_point("order.cut-cart.after-call").await;
        cut.map_err(|error| match error {
            CallError::Refused(refusal) => PlaceError::Refused(refusal),
            CallError::Unknown { callee, detail } => {
                tracing::warn!(callee, detail, "cart not cut");
                PlaceError::Unavailable { callee }
            }
        })
    }

    async fn drive_new(
        &self,
        order: Order,
        request: &PlaceRequest,
        mut lease: Lease,
        until: Instant,
    ) -> Result<Order, PlaceError> {
        let placing = Placing::forward(order.clone(), request.card_token.clone());
        match self.turn(placing, &mut lease, until).await? {
            Turn::Placed => Ok(Order { state: OrderState::Placed, ..order }),
            Turn::Rejected(refusal) => Err(PlaceError::Refused(refusal)),
            Turn::Undecided | Turn::Parked => Ok(order),
            Turn::Superseded => self.settle(order.id, until).await,
        }
    }

    /// Puts back a cut that cannot become an order. It has no row: the refusal follows from the cut alone, which every repeat of
    /// the request gets again. If we die here, the cart asks for the fate of the order, which is unknown, and puts it back itself.
    async fn turn_away(&self, request: &PlaceRequest, id: OrderId, refusal: Refusal, until: Instant) -> PlaceError {
        let within = call_deadline(until.saturating_duration_since(Instant::now()), 1);
        crash_point("order.turn-away.before-call").await;
        let abandoned = self.callees.cart.abandon_checkout(request.cart, id, within).await;
        crash_point("order.turn-away.after-call").await;
        match abandoned {
            Ok(()) => PlaceError::Refused(refusal),
            Err(error) => {
                tracing::warn!(order_id = %id, error = &error as &dyn std::error::Error, "cut not put back");
                PlaceError::Unavailable { callee: "cart" }
            }
        }
    }

    /// Whether an order belongs to the other region. An id that names no region is of before ids did; its owner's home decides.
    fn is_elsewhere(&self, id: OrderId, request: &PlaceRequest) -> bool {
        id.home().unwrap_or_else(|| request.customer.home()) != self.store.region()
    }

    async fn repeat(&self, known: &KnownRequest, request: &PlaceRequest, until: Instant) -> Result<Order, PlaceError> {
        if known.is_elsewhere() {
            return Err(PlaceError::Elsewhere(known.order));
        }
        if !known.is_of(&request.digest()) {
            return Err(PlaceError::KeyReused);
        }
        self.settle(known.order, until).await
    }

    /// Waits until an order is decided or the time is up, and drives it if nobody else does.
    async fn settle(&self, id: OrderId, until: Instant) -> Result<Order, PlaceError> {
        let mut looks = 0;
        loop {
            let corrupt =
                || crate::store::StoreError::Corrupt { order: id.as_uuid(), detail: "it vanished".to_owned() };
            let order = self.store.order(id).await?.ok_or_else(corrupt)?;
            // One request has one answer: that of the order that stands, wherever it is.
            if let Some(stands) = order.superseded_by {
                return Err(PlaceError::Elsewhere(stands));
            }
            match &order.state {
                OrderState::Rejected(refusal) => return Err(PlaceError::Refused(refusal.clone())),
                OrderState::Pending | OrderState::Compensating(_) if Instant::now() < until => {}
                _ => return Ok(order),
            }
            let claimed = self.store.claim_order(id, self.settings.lease).await?;
            if let Some(Claimed { duty: Duty::Place(placing), mut lease, .. }) = claimed {
                self.turn(*placing, &mut lease, until).await?;
                continue;
            }
            looks += 1;
            let pause = BETWEEN_LOOKS.delay_now(looks);
            tokio::time::sleep_until(until.min(Instant::now() + pause)).await;
        }
    }
}

/// The request is a late repeat of one that died between the cut and the row. Meanwhile the cart may have asked for the order,
/// learnt that it is unknown and put the lines back; so this cut must not become an order any more.
fn cut_expired() -> Refusal {
    let message = "this checkout began too long ago and its lines are back in the cart; order again with a new key";
    Refusal::new(RefusalKind::FailedPrecondition, "CHECKOUT_EXPIRED", message)
}
