//! Returns: units of a shipped order sent back and refunded.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use contracts::order::v1 as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Missing;
use super::money::Money;
use super::orders::{Order, order};
use crate::Bff;
use crate::caller::Customer;
use crate::extract::{Json, Key, Segments};
use crate::problem::Problem;

/// What to return.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnOrder {
    /// Each offer once.
    lines: Vec<ReturnLine>,
}

/// Units of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnLine {
    offer_id: String,
    /// Units, at least 1.
    quantity: i64,
}

/// A return.
#[derive(Debug, Serialize, ToSchema)]
pub struct Return {
    return_id: String,
    /// What is paid back.
    refund: Money,
    /// Whether the payment provider has confirmed it; if not it is being driven to the end.
    refunded: bool,
    /// The order after it.
    order: Order,
}

/// Returns units of a shipped order and refunds them.
#[utoipa::path(post, path = "/v1/orders/{order_id}/returns", tag = "orders", request_body = ReturnOrder,
    params(
        ("order_id" = String, Path, description = "The order"),
        ("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request"),
    ),
    responses(
        (status = 201, description = "Paid back", body = Return),
        (status = 202, description = "Being paid back", body = Return),
        (status = 503, description = "Its home alone can answer and is cut off (`HOME_REGION_UNREACHABLE`): repeat after `Retry-After`, in any region",
            body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(order_id): Segments<String>,
    Key(idempotency_key): Key,
    Json(body): Json<ReturnOrder>,
) -> Result<(StatusCode, Answer<Return>), Problem> {
    let lines = body.lines.into_iter();
    let lines = lines.map(|ReturnLine { offer_id, quantity }| wire::ReturnLine { offer_id, quantity }).collect();
    let request = wire::ReturnOrderRequest { order_id, customer_id: customer.id(), idempotency_key, lines };
    let answer = bff.backends.orders.return_order(request).await?;
    let status = if answer.refunded { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let returned = Return {
        return_id: answer.return_id,
        refund: answer.refund.ok_or(Missing("refund"))?.into(),
        refunded: answer.refunded,
        order: order(answer.order)?,
    };
    Ok((status, Answer(returned)))
}
