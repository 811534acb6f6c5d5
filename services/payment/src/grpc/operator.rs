//! `payment.v1.PaymentOperatorService`: what people do about money that is stuck.

use chassis::status::reasons::IDEMPOTENCY_KEY_REUSED;
use chassis::status::{Fields, already_exists, failed_precondition, invalid_request, not_found};
use chrono::SecondsFormat;
use contracts::payment::v1 as wire;
use contracts::payment::v1::payment_operator_service_server::PaymentOperatorService;
use ids::IdempotencyKey;
use limits::{OPERATOR_CHARS_MAX, OPERATORS_PAGE_MAX, REASON_CHARS_MAX};
use tonic::{Request, Response, Status};

use super::status::of_store_plain;
use crate::store::{Decision, OpenDifference, Parked, SettleError, Store};

const RECEIPT_CHARS_MAX: usize = 128;
const PAGE_SIZE_MAX: i32 = OPERATORS_PAGE_MAX;
const PAGE_SIZE_DEFAULT: i64 = 100;

/// The service.
#[derive(Clone, Debug)]
pub struct OperatorGrpc(Store);

impl OperatorGrpc {
    /// The service over the store.
    pub const fn new(store: Store) -> Self {
        Self(store)
    }
}

#[tonic::async_trait]
impl PaymentOperatorService for OperatorGrpc {
    async fn list_parked_payments(
        &self,
        request: Request<wire::ListParkedPaymentsRequest>,
    ) -> Result<Response<wire::ListParkedPaymentsResponse>, Status> {
        let limit = page(request.into_inner().page_size)?;
        let (parked, total) = self.0.parked(None, limit).await.map_err(of_store_plain)?;
        let parked = parked.into_iter().map(wire::ParkedPayment::from).collect();
        Ok(Response::new(wire::ListParkedPaymentsResponse { parked, total }))
    }

    async fn retry_payment(
        &self,
        request: Request<wire::RetryPaymentRequest>,
    ) -> Result<Response<wire::RetryPaymentResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let order = fields.parse("order_id", &request.order_id);
        let decision = decision(&mut fields, request.operator, request.reason, &request.idempotency_key);
        let (order, decision) = fields.finish(order.zip(decision))?;
        self.0.retry(order, &decision).await.map_err(of_settle)?;
        let (parked, _) = self.0.parked(Some(order), PAGE_SIZE_DEFAULT).await.map_err(of_store_plain)?;
        let retried = parked.into_iter().map(wire::ParkedPayment::from).collect();
        Ok(Response::new(wire::RetryPaymentResponse { retried }))
    }

    async fn settle_payment(
        &self,
        request: Request<wire::SettlePaymentRequest>,
    ) -> Result<Response<wire::SettlePaymentResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let order = fields.parse("order_id", &request.order_id);
        let captured_minor =
            fields.check("captured_minor", u64::try_from(request.captured_minor).map_err(|_| "must not be below 0"));
        let decision = decision(&mut fields, request.operator, request.reason, &request.idempotency_key);
        let (order, decision) = fields.finish(order.zip(decision).filter(|_| captured_minor.is_some()))?;
        let state = self.0.settle_payment(order, request.captured_minor, &decision).await.map_err(of_settle)?;
        Ok(Response::new(wire::SettlePaymentResponse { state }))
    }

    async fn settle_refund(
        &self,
        request: Request<wire::SettleRefundRequest>,
    ) -> Result<Response<wire::SettleRefundResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let refund = fields.parse("refund_id", &request.refund_id);
        let receipt = fields.text("provider_refund_id", request.provider_refund_id, 0, RECEIPT_CHARS_MAX);
        let decision = decision(&mut fields, request.operator, request.reason, &request.idempotency_key);
        let (refund, (receipt, decision)) = fields.finish(refund.zip(receipt.zip(decision)))?;
        let receipt = (!receipt.is_empty()).then_some(receipt.as_str());
        let state = self.0.settle_refund(refund, receipt, &decision).await.map_err(of_settle)?;
        Ok(Response::new(wire::SettleRefundResponse { state }))
    }

    async fn list_differences(
        &self,
        request: Request<wire::ListDifferencesRequest>,
    ) -> Result<Response<wire::ListDifferencesResponse>, Status> {
        let limit = page(request.into_inner().page_size)?;
        let open = self.0.open_differences(limit).await.map_err(of_store_plain)?;
        let differences = open.into_iter().map(wire::Difference::from).collect();
        Ok(Response::new(wire::ListDifferencesResponse { differences }))
    }

    async fn settle_difference(
        &self,
        request: Request<wire::SettleDifferenceRequest>,
    ) -> Result<Response<wire::SettleDifferenceResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.parse::<uuid::Uuid>("difference_id", &request.difference_id);
        let operator = fields.text("operator", request.operator, 1, OPERATOR_CHARS_MAX);
        let reason = fields.text("reason", request.reason, 1, REASON_CHARS_MAX);
        let (id, (operator, reason)) = fields.finish(id.zip(operator.zip(reason)))?;
        if !self.0.settle_difference(id, &operator, &reason).await.map_err(of_store_plain)? {
            return Err(not_found("DIFFERENCE_NOT_FOUND", format!("no open difference {id}")));
        }
        tracing::info!(difference = %id, operator, reason, "a difference was accepted as it is");
        Ok(Response::new(wire::SettleDifferenceResponse {}))
    }
}

fn page(size: i32) -> Result<i64, Status> {
    match size {
        0 => Ok(PAGE_SIZE_DEFAULT),
        1..=PAGE_SIZE_MAX => Ok(size.into()),
        _ => Err(invalid_request(&[("page_size", format!("must be 0 to {PAGE_SIZE_MAX}"))])),
    }
}

fn decision(fields: &mut Fields, operator: String, reason: String, key: &str) -> Option<Decision> {
    let operator = fields.text("operator", operator, 1, OPERATOR_CHARS_MAX);
    let reason = fields.text("reason", reason, 1, REASON_CHARS_MAX);
    let key = fields.parse::<IdempotencyKey>("idempotency_key", key);
    Some(Decision { operator: operator?, reason: reason?, key: key?.to_string() })
}

fn of_settle(error: SettleError) -> Status {
    match error {
        SettleError::NotFound => not_found("PAYMENT_NOT_FOUND", error.to_string()),
        SettleError::NotParked => failed_precondition("PAYMENT_NOT_PARKED", error.to_string(), &[]),
        SettleError::CaptureImpossible { .. } => failed_precondition("CAPTURE_IMPOSSIBLE", error.to_string(), &[]),
        SettleError::KeyReused => already_exists(IDEMPOTENCY_KEY_REUSED, error.to_string()),
        SettleError::Store(error) => of_store_plain(error),
    }
}

impl From<Parked> for wire::ParkedPayment {
    fn from(parked: Parked) -> Self {
        Self {
            order_id: parked.order.to_string(),
            refund_id: parked.refund.map(|refund| refund.to_string()).unwrap_or_default(),
            state: parked.state,
            amount_minor: parked.amount_minor,
            currency_code: parked.currency,
            parked_reason: parked.reason,
            parked_at: parked.since.to_rfc3339_opts(SecondsFormat::Secs, true),
            attempts: parked.attempts,
        }
    }
}

impl From<OpenDifference> for wire::Difference {
    fn from(open: OpenDifference) -> Self {
        let difference = open.difference;
        Self {
            difference_id: open.id.to_string(),
            about: difference.about.name().to_owned(),
            kind: difference.kind.name().to_owned(),
            subject: difference.subject.into(),
            reference: difference.reference.into(),
            here: difference.here,
            there: difference.there,
            known_for_seconds: i64::try_from(open.age.as_secs()).unwrap_or(i64::MAX),
        }
    }
}
