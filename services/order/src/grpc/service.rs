//! `order.v1.OrderService`: each method checks its request, asks one saga or the store, and answers.

use std::sync::Arc;
use std::time::Duration;

use contracts::order::v1 as wire;
use contracts::order::v1::order_service_server::OrderService;
use ids::{CustomerId, OrderId};
use limits::PAGE_BYTES_MAX;
use money::Money;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use super::home::{Homes, is_handed_on, left};
use super::peer::PeerOrders;
use super::validate::PageRequest;
use super::{error, validate};
use crate::domain::{Order, PageToken, ReturnState};
use crate::sagas::Sagas;
use crate::sagas::place_order::{Arriving, PlaceError};
use crate::store::Cancelled;

/// Time kept back from the request's deadline for the answer to travel in.
const ANSWER_MARGIN: Duration = Duration::from_millis(100);
/// How long a request without a deadline may take; the server sets one, so this is for callers in tests.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// The service.
#[derive(Debug, Clone)]
pub struct OrderGrpc {
    sagas: Sagas,
    homes: Homes,
}

impl OrderGrpc {
    /// The service over the sagas and their store, of the only region there is.
    pub fn new(sagas: Sagas) -> Self {
        let homes = Homes::new(sagas.store.region(), None);
        Self { sagas, homes }
    }

    /// Asks `peer` for what belongs to its region.
    #[must_use]
    pub fn with_peer(self, peer: Arc<dyn PeerOrders>) -> Self {
        let homes = Homes::new(self.sagas.store.region(), Some(peer));
        Self { homes, ..self }
    }

    async fn order_of(&self, id: OrderId, customer: CustomerId) -> Result<Order, Status> {
        let order = self.sagas.store.order_of(id, customer).await.map_err(error::of_store)?;
        order.ok_or_else(error::order_not_found)
    }

    /// Whom to ask about an order: nobody when it is ours, or cannot be anybody else's.
    async fn asked_elsewhere(&self, id: OrderId, is_handed_on: bool) -> Result<Option<&dyn PeerOrders>, Status> {
        // An id that names no region: ours if we have it.
        if id.home().is_none() && self.sagas.store.state(id).await.map_err(error::of_store)?.is_some() {
            return Ok(None);
        }
        self.homes.home_of(id, is_handed_on)
    }

    async fn orders_here(&self, page: &PageRequest) -> Result<wire::ListOrdersResponse, Status> {
        let (orders, has_more) =
            self.sagas.store.orders_of(page.customer, page.before, page.size).await.map_err(error::of_store)?;
        let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
        let mut orders: Vec<wire::Order> = orders.into_iter().map(wire::Order::from).collect();
        let fitting = limits::fitting(orders.iter().map(Message::encoded_len), PAGE_BYTES_MAX);
        let has_more = has_more || fitting < orders.len();
        orders.truncate(fitting);
        let last = ids.get(..fitting).and_then(<[_]>::last).filter(|_| has_more);
        let next = last.map(|last| PageToken { customer: page.customer, last: *last }.encode());
        let next_page_token = next.unwrap_or_default();
        Ok(wire::ListOrdersResponse { orders, next_page_token, unreachable_regions: Vec::new() })
    }
}

#[async_trait]
impl OrderService for OrderGrpc {
    async fn place_order(
        &self,
        request: Request<wire::PlaceOrderRequest>,
    ) -> Result<Response<wire::PlaceOrderResponse>, Status> {
        let is_handed_on = is_handed_on(&request);
        let asked = request.into_inner();
        let request = validate::place_order(asked.clone())?;
        if !is_handed_on && let Some(answer) = self.homes.place(&self.sagas.store, &request, &asked).await? {
            return Ok(Response::new(answer));
        }
        let patience = if is_handed_on { Arriving::Awaited } else { Arriving::Told };
        match self.sagas.place.place_when(&request, patience, answer_by()).await {
            Ok(order) => Ok(Response::new(wire::PlaceOrderResponse { order: Some(order.into()) })),
            Err(PlaceError::Elsewhere(_)) if !is_handed_on => self.homes.place_there(asked).await.map(Response::new),
            Err(error) => Err(error::of_place(error)),
        }
    }

    async fn get_order(
        &self,
        request: Request<wire::GetOrderRequest>,
    ) -> Result<Response<wire::GetOrderResponse>, Status> {
        let is_handed_on = is_handed_on(&request);
        let request = request.into_inner();
        let (id, customer) = validate::order_and_customer(&request.order_id, &request.customer_id)?;
        if let Some(home) = self.asked_elsewhere(id, is_handed_on).await? {
            return home.get_order(request, left()).await.map(Response::new);
        }
        let order = self.order_of(id, customer).await?;
        Ok(Response::new(wire::GetOrderResponse { order: Some(order.into()) }))
    }

    async fn list_orders(
        &self,
        request: Request<wire::ListOrdersRequest>,
    ) -> Result<Response<wire::ListOrdersResponse>, Status> {
        let is_handed_on = is_handed_on(&request);
        let request = request.into_inner();
        let page = validate::list_orders(&request)?;
        let ours = self.orders_here(&page);
        let list = match is_handed_on {
            true => ours.await,
            false => self.homes.list(page.customer, page.size, request, ours).await,
        };
        list.map(Response::new)
    }

    async fn cancel_order(
        &self,
        request: Request<wire::CancelOrderRequest>,
    ) -> Result<Response<wire::CancelOrderResponse>, Status> {
        let is_handed_on = is_handed_on(&request);
        let request = request.into_inner();
        let (id, customer) = validate::order_and_customer(&request.order_id, &request.customer_id)?;
        if let Some(home) = self.asked_elsewhere(id, is_handed_on).await? {
            return home.cancel_order(request, left()).await.map(Response::new);
        }
        match self.sagas.cancel.cancel(id, customer).await.map_err(error::of_store)? {
            Cancelled::Now | Cancelled::Before => {}
            Cancelled::Refused(state, why) => return Err(error::not_cancellable(&state, &why)),
            Cancelled::NotFound => return Err(error::order_not_found()),
        }
        let order = self.order_of(id, customer).await?;
        Ok(Response::new(wire::CancelOrderResponse { order: Some(order.into()) }))
    }

    async fn return_order(
        &self,
        request: Request<wire::ReturnOrderRequest>,
    ) -> Result<Response<wire::ReturnOrderResponse>, Status> {
        let is_handed_on = is_handed_on(&request);
        let asked = request.into_inner();
        let request = validate::return_order(asked.clone())?;
        if let Some(home) = self.asked_elsewhere(request.order, is_handed_on).await? {
            return home.return_order(asked, left()).await.map(Response::new);
        }
        let returned = self.sagas.give_back.take_back(&request, answer_by()).await.map_err(error::of_return)?;
        let order = self.order_of(request.order, request.customer).await?;
        let refund = Money::new(returned.amount_minor, order.total.currency());
        Ok(Response::new(wire::ReturnOrderResponse {
            return_id: returned.id.to_string(),
            refund: Some(super::wire::money(refund)),
            refunded: returned.state == ReturnState::Refunded,
            order: Some(order.into()),
        }))
    }

    async fn get_order_fate(
        &self,
        request: Request<wire::GetOrderFateRequest>,
    ) -> Result<Response<wire::GetOrderFateResponse>, Status> {
        let id = validate::order(&request.into_inner().order_id)?;
        let state = self.sagas.store.state(id).await.map_err(error::of_store)?;
        let fate = super::wire::fate(state.map(|state| state.fate()));
        Ok(Response::new(wire::GetOrderFateResponse { fate: fate.into() }))
    }
}

/// When to stop waiting and answer with what is known.
pub(super) fn answer_by() -> Instant {
    let deadline = chassis::deadline::current().unwrap_or_else(|| Instant::now() + REQUEST_MAX);
    deadline.checked_sub(ANSWER_MARGIN).unwrap_or(deadline)
}
