//! `order.v1.OrderOperatorService`: what people do to orders that cannot go on by themselves.

use chassis::status::{self, Fields};
use chrono::{DateTime, SecondsFormat, Utc};
use contracts::order::v1 as wire;
use contracts::order::v1::order_operator_service_server::OrderOperatorService;
use ids::IdempotencyKey;
use limits::{OPERATOR_CHARS_MAX, OPERATORS_PAGE_MAX, REASON_CHARS_MAX};
use prost::Message;
use tonic::{Request, Response, Status, async_trait};

use super::error;
use crate::domain::{Decision, Driving, OperatorAction, Standing};
use crate::sagas::Sagas;

const PAGE_SIZE_MAX: i32 = OPERATORS_PAGE_MAX;
const PAGE_SIZE_DEFAULT: usize = 100;

/// The service.
#[derive(Debug, Clone)]
pub struct OperatorGrpc(Sagas);

impl OperatorGrpc {
    /// The service over the sagas and their store.
    pub const fn new(sagas: Sagas) -> Self {
        Self(sagas)
    }

    async fn operate(&self, decision: Decision) -> Result<Option<wire::OrderStanding>, Status> {
        let standing = self.0.store.operate(&decision).await.map_err(error::of_operator)?;
        tracing::info!(
            order_id = %decision.order, action = decision.action.name(), operator = decision.operator, reason = decision.reason,
            "an operator acted"
        );
        self.0.wake.notify_one();
        Ok(Some(standing.into()))
    }
}

#[async_trait]
impl OrderOperatorService for OperatorGrpc {
    async fn list_parked_orders(
        &self,
        request: Request<wire::ListParkedOrdersRequest>,
    ) -> Result<Response<wire::ListParkedOrdersResponse>, Status> {
        let limit = match request.into_inner().page_size {
            0 => PAGE_SIZE_DEFAULT,
            size @ 1..=PAGE_SIZE_MAX => usize::try_from(size).unwrap_or(PAGE_SIZE_DEFAULT),
            _ => return Err(status::invalid_request(&[("page_size", format!("must be 0 to {PAGE_SIZE_MAX}"))])),
        };
        let (orders, total) = self.0.store.parked(limit).await.map_err(error::of_store)?;
        let mut orders: Vec<_> = orders.into_iter().map(wire::OrderStanding::from).collect();
        orders.truncate(limits::fitting(orders.iter().map(Message::encoded_len), limits::PAGE_BYTES_MAX));
        Ok(Response::new(wire::ListParkedOrdersResponse { orders, total }))
    }

    async fn park_order(
        &self,
        request: Request<wire::ParkOrderRequest>,
    ) -> Result<Response<wire::ParkOrderResponse>, Status> {
        let wire::ParkOrderRequest { order_id, operator, reason, idempotency_key } = request.into_inner();
        let decision = decision(OperatorAction::Park, &order_id, operator, reason, &idempotency_key)?;
        Ok(Response::new(wire::ParkOrderResponse { order: self.operate(decision).await? }))
    }

    async fn retry_order(
        &self,
        request: Request<wire::RetryOrderRequest>,
    ) -> Result<Response<wire::RetryOrderResponse>, Status> {
        let wire::RetryOrderRequest { order_id, operator, reason, idempotency_key } = request.into_inner();
        let decision = decision(OperatorAction::Retry, &order_id, operator, reason, &idempotency_key)?;
        Ok(Response::new(wire::RetryOrderResponse { order: self.operate(decision).await? }))
    }

    async fn compensate_order(
        &self,
        request: Request<wire::CompensateOrderRequest>,
    ) -> Result<Response<wire::CompensateOrderResponse>, Status> {
        let wire::CompensateOrderRequest { order_id, operator, reason, idempotency_key } = request.into_inner();
        let decision = decision(OperatorAction::Compensate, &order_id, operator, reason, &idempotency_key)?;
        Ok(Response::new(wire::CompensateOrderResponse { order: self.operate(decision).await? }))
    }

    async fn close_order(
        &self,
        request: Request<wire::CloseOrderRequest>,
    ) -> Result<Response<wire::CloseOrderResponse>, Status> {
        let wire::CloseOrderRequest { order_id, operator, reason, idempotency_key } = request.into_inner();
        let decision = decision(OperatorAction::Close, &order_id, operator, reason, &idempotency_key)?;
        Ok(Response::new(wire::CloseOrderResponse { order: self.operate(decision).await? }))
    }
}

fn decision(
    action: OperatorAction,
    order_id: &str,
    operator: String,
    reason: String,
    key: &str,
) -> Result<Decision, Status> {
    let mut fields = Fields::default();
    let order = fields.parse("order_id", order_id);
    let operator = fields.text("operator", operator, 1, OPERATOR_CHARS_MAX);
    let reason = fields.text("reason", reason, 1, REASON_CHARS_MAX);
    let key = fields.name::<IdempotencyKey>("idempotency_key", key).map(|key| key.to_string());
    let value =
        (|| Some(Decision { order: order?, action, operator: operator?, reason: reason?, idempotency_key: key? }))();
    fields.finish(value)
}

impl From<Standing> for wire::OrderStanding {
    fn from(standing: Standing) -> Self {
        let (parked_reason, parked_at) = parked(standing.driving);
        let refunds = standing.refunds.into_iter().map(|refund| {
            let (parked_reason, parked_at) = parked(refund.driving);
            let (attempts, fence) = (refund.attempts, refund.fence);
            wire::RefundStanding { return_id: refund.refund.to_string(), parked_reason, parked_at, attempts, fence }
        });
        Self {
            order_id: standing.order.to_string(),
            state: standing.state,
            parked_reason,
            parked_at,
            attempts: standing.attempts,
            fence: standing.fence,
            refunds: refunds.collect(),
        }
    }
}

fn parked(driving: Driving) -> (String, String) {
    let shown = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    match driving {
        Driving::Parked { reason, since } => (reason, shown(since)),
        Driving::Nothing | Driving::Driven => <_>::default(),
    }
}
