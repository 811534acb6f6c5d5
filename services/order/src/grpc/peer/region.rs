//! The real other region, over the link.

use std::future::Future;
use std::time::Duration;

use chassis::client::{Dependency, DependencyChannel};
use chassis::status::{self, reasons};
use contracts::order::v1 as wire;
use contracts::order::v1::order_peer_service_client::OrderPeerServiceClient;
use contracts::order::v1::order_service_client::OrderServiceClient;
use ids::{OrderId, Region};
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status, async_trait};

use super::{HANDED_ON, PeerOrders, unanswered};
use crate::domain::{Fate, Link};
use crate::sagas::CallError;
use crate::sagas::one_intention::Home;
use crate::store::Untold;

/// The other region's order service.
#[derive(Debug, Clone)]
pub struct PeerRegion {
    orders: Dependency,
    here: Region,
    link: watch::Receiver<Link>,
}

impl PeerRegion {
    /// `orders`: its order service. `here`: who asks. `link`: as [`super::watch`] tells it.
    pub const fn new(orders: Dependency, here: Region, link: watch::Receiver<Link>) -> Self {
        Self { orders, here, link }
    }

    /// Asks, and gives up as soon as the link is known to be down: nothing will come any more.
    async fn ask<Attempt, Try, T>(&self, within: Duration, attempt: Attempt) -> Result<T, Status>
    where
        Attempt: FnMut(DependencyChannel) -> Try,
        Try: Future<Output = Result<Response<T>, Status>>,
    {
        let mut link = self.link.clone();
        tokio::select! {
            answer = self.orders.call(within, attempt) => answer.map_err(|status| self.answered(status)),
            _ = link.wait_for(|link| *link == Link::Down) => Err(unanswered(self.here.peer())),
        }
    }

    /// What the home said, or that it said nothing.
    fn answered(&self, status: Status) -> Status {
        let reason = status::reason(&status);
        let is_silence = match status.code() {
            Code::DeadlineExceeded => true,
            Code::Unavailable => reason.is_none_or(|reason| reason == reasons::DEPENDENCY_UNAVAILABLE),
            _ => false,
        };
        if is_silence { unanswered(self.here.peer()) } else { status }
    }

    fn handed_on<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(HANDED_ON, MetadataValue::from_static(self.here.name()));
        request
    }
}

macro_rules! hand_on {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        #[async_trait]
        impl PeerOrders for PeerRegion {
            fn region(&self) -> Region {
                self.here.peer()
            }

            fn link(&self) -> Link {
                *self.link.borrow()
            }

            $(
                async fn $method(&self, request: $request, within: Duration) -> Result<$response, Status> {
                    self.ask(within, |channel| {
                        let request = self.handed_on(request.clone());
                        async move { OrderServiceClient::new(channel).$method(request).await }
                    })
                    .await
                }
            )*
        }
    };
}

hand_on! {
    place_order(wire::PlaceOrderRequest) -> wire::PlaceOrderResponse;
    get_order(wire::GetOrderRequest) -> wire::GetOrderResponse;
    list_orders(wire::ListOrdersRequest) -> wire::ListOrdersResponse;
    cancel_order(wire::CancelOrderRequest) -> wire::CancelOrderResponse;
    return_order(wire::ReturnOrderRequest) -> wire::ReturnOrderResponse;
}

#[async_trait]
impl Home for PeerRegion {
    async fn report(&self, told: &Untold, within: Duration) -> Result<Option<(OrderId, Fate)>, CallError> {
        let unknown = |detail: String| CallError::Unknown { callee: "order", detail };
        let request = wire::ReportOrderRequest {
            customer_id: told.customer.to_string(),
            idempotency_key: told.key.to_string(),
            order_id: told.order.to_string(),
            fate: crate::grpc::wire::fate(Some(told.fate)).into(),
        };
        let answer = self
            .ask(within, |channel| {
                let request = request.clone();
                async move { OrderPeerServiceClient::new(channel).report_order(request).await }
            })
            .await
            .map_err(|status| unknown(format!("{:?}", status.code())))?;
        if answer.order_id.is_empty() {
            return Ok(None);
        }
        let order = answer.order_id.parse().map_err(|error| unknown(format!("{error}")))?;
        let fate =
            super::service::fate_of(answer.fate()).ok_or_else(|| unknown("an order without a fate".to_owned()))?;
        Ok(Some((order, fate)))
    }
}
