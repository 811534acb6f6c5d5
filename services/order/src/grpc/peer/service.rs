//! `order.v1.OrderPeerService`: what the other region tells us.

use chassis::status::Fields;
use contracts::order::v1 as wire;
use contracts::order::v1::order_peer_service_server::OrderPeerService;
use ids::{CustomerId, IdempotencyKey, OrderId, Region};
use tonic::{Request, Response, Status, async_trait};

use crate::domain::Fate;
use crate::grpc::error;
use crate::sagas::one_intention::OneIntention;

/// The service.
#[derive(Debug, Clone)]
pub struct PeerGrpc {
    intentions: OneIntention,
    here: Region,
}

impl PeerGrpc {
    /// `here`: the region that is told.
    pub const fn new(intentions: OneIntention, here: Region) -> Self {
        Self { intentions, here }
    }
}

#[async_trait]
impl OrderPeerService for PeerGrpc {
    async fn report_order(
        &self,
        request: Request<wire::ReportOrderRequest>,
    ) -> Result<Response<wire::ReportOrderResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let customer: Option<CustomerId> = fields.parse("customer_id", &request.customer_id);
        let key: Option<IdempotencyKey> = fields.parse("idempotency_key", &request.idempotency_key);
        let order: Option<OrderId> = fields.parse("order_id", &request.order_id);
        if order.is_some_and(|order| !order.is_foreign_to(self.here)) {
            fields.refuse("order_id", format!("must be an order of another region than {}", self.here));
        }
        let fate = fate_of(request.fate());
        if fate.is_none() {
            fields.refuse("fate", "must be known to who reports it");
        }
        let value = (|| Some((customer?, key?, order?, fate?)))();
        let (customer, key, order, fate) = fields.finish(value)?;
        let ours = self.intentions.told(customer, &key, (order, fate)).await.map_err(error::of_store)?;
        let fate = crate::grpc::wire::fate(ours.map(|(_, fate)| fate));
        let order_id = ours.map(|(order, _)| order.to_string()).unwrap_or_default();
        Ok(Response::new(wire::ReportOrderResponse { order_id, fate: fate.into() }))
    }
}

/// A fate that a region knows of its own order.
pub(super) const fn fate_of(wire: wire::OrderFate) -> Option<Fate> {
    match wire {
        wire::OrderFate::Unspecified | wire::OrderFate::Unknown => None,
        wire::OrderFate::Undecided => Some(Fate::Undecided),
        wire::OrderFate::Placed => Some(Fate::Placed),
        wire::OrderFate::Ended => Some(Fate::Ended),
    }
}
