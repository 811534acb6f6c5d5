//! Asking the region that can answer: the owner's home to place an order, the order's own for all else.

use std::sync::Arc;
use std::time::Duration;

use chassis::status::{self, reasons::ORDER_HOME_ELSEWHERE};
use contracts::order::v1 as wire;
use ids::{OrderId, Region};
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use super::error;
use super::peer::{HANDED_ON, PeerOrders, is_unreachable, unanswered, unreachable};
use super::service::answer_by;
use crate::domain::{Decider, Link, Page, PageToken, PlaceRequest, Placement, merge};
use crate::store::Store;

/// A list waits no longer for the other region's half of it: several round trips of any link worth having.
const LIST_WAIT_MAX: Duration = Duration::from_millis(1_500);

/// Whether another region handed this request on: then it is answered here.
pub(super) fn is_handed_on<T>(request: &Request<T>) -> bool {
    request.metadata().contains_key(HANDED_ON)
}

/// The regions that orders may belong to, as the one that was asked sees them.
#[derive(Clone)]
pub(super) struct Homes {
    here: Region,
    /// None in a deployment of one region.
    peer: Option<Arc<dyn PeerOrders>>,
}

impl Homes {
    pub(super) const fn new(here: Region, peer: Option<Arc<dyn PeerOrders>>) -> Self {
        Self { here, peer }
    }

    /// Hands a request to place an order to whoever decides it, and returns what they said; `None` when that is this region.
    pub(super) async fn place(
        &self,
        store: &Store,
        request: &PlaceRequest,
        wire: &wire::PlaceOrderRequest,
    ) -> Result<Option<wire::PlaceOrderResponse>, Status> {
        let owner_home = request.customer.home();
        let Some(peer) = self.peer.as_ref().filter(|_| owner_home != self.here) else { return Ok(None) };
        let (customer, key) = (request.customer, &request.idempotency_key);
        let seen = store.seen(customer, key).await.map_err(error::of_store)?;
        let placement = Placement {
            here: self.here,
            owner_home,
            is_handed_on: false,
            is_known_here: seen.is_known,
            was_handed_on: seen.was_handed_on,
            link: peer.link(),
        };
        match placement.decider() {
            Decider::Here => return Ok(None),
            // What was handed on once may have been done.
            Decider::Unreachable if seen.was_handed_on => return Err(unanswered(owner_home)),
            Decider::Unreachable => return Err(unreachable(owner_home)),
            Decider::Home => {}
        }
        store.note_handed_on(customer, key, owner_home).await.map_err(error::of_store)?;
        match peer.place_order(wire.clone(), left()).await {
            // The cut was made here, by a process that died before it stored the order: it is ours to go on with.
            Err(status) if status::reason(&status).as_deref() == Some(ORDER_HOME_ELSEWHERE) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Hands on a request of ours whose order turned out to be the other region's.
    pub(super) async fn place_there(&self, wire: wire::PlaceOrderRequest) -> Result<wire::PlaceOrderResponse, Status> {
        let Some(peer) = &self.peer else { return Err(unreachable(self.here.peer())) };
        if peer.link() == Link::Down {
            return Err(unanswered(peer.region()));
        }
        peer.place_order(wire, left()).await
    }

    /// Whom to ask about an order that this region does not have; `None` when nobody else can know of it.
    ///
    /// # Errors
    /// HOME_REGION_UNREACHABLE.
    pub(super) fn home_of(&self, id: OrderId, is_handed_on: bool) -> Result<Option<&dyn PeerOrders>, Status> {
        if is_handed_on || id.home() == Some(self.here) {
            return Ok(None);
        }
        match &self.peer {
            Some(peer) if peer.link() == Link::Up => Ok(Some(peer.as_ref())),
            Some(peer) => Err(unreachable(peer.region())),
            // An id that names no region may well be nobody's.
            None if id.home().is_none() => Ok(None),
            None => Err(unreachable(self.here.peer())),
        }
    }

    /// Both regions' orders as one page. A region that cannot be asked is named.
    pub(super) async fn list(
        &self,
        customer: ids::CustomerId,
        size: usize,
        request: wire::ListOrdersRequest,
        ours: impl Future<Output = Result<wire::ListOrdersResponse, Status>>,
    ) -> Result<wire::ListOrdersResponse, Status> {
        let Some(peer) = &self.peer else { return ours.await };
        let theirs = async {
            match peer.link() {
                Link::Up => peer.list_orders(request, left().min(LIST_WAIT_MAX)).await,
                Link::Down => Err(unreachable(peer.region())),
            }
        };
        let (ours, theirs) = tokio::join!(ours, theirs);
        let ours = ours?;
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(status) if is_unreachable(&status) || status.code() == Code::Unavailable => {
                return Ok(wire::ListOrdersResponse { unreachable_regions: vec![peer.region().to_string()], ..ours });
            }
            Err(status) => return Err(status),
        };
        let page =
            |list: wire::ListOrdersResponse| Page { has_more: !list.next_page_token.is_empty(), orders: list.orders };
        let merged = merge([page(ours), page(theirs)], size, place_and_bytes);
        let last = merged.orders.last().filter(|_| merged.has_more).and_then(|order| order.order_id.parse().ok());
        let next_page_token = last.map(|last| PageToken { customer, last }.encode()).unwrap_or_default();
        Ok(wire::ListOrdersResponse { orders: merged.orders, next_page_token, unreachable_regions: Vec::new() })
    }
}

impl std::fmt::Debug for Homes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Homes").field("here", &self.here).finish_non_exhaustive()
    }
}

/// An order's place in time, and its bytes on the wire. Ids sort by time.
fn place_and_bytes(order: &wire::Order) -> (uuid::Uuid, usize) {
    (uuid::Uuid::try_parse(&order.order_id).unwrap_or_default(), order.encoded_len())
}

/// What is left of the request's time for the other region.
pub(super) fn left() -> Duration {
    answer_by().saturating_duration_since(Instant::now())
}
