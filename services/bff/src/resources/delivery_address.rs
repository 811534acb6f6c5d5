//! Where the goods of a cart go.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use contracts::cart::v1 as wire;
use serde::Serialize;
use utoipa::ToSchema;

use super::orders::Delivery;
use crate::Bff;
use crate::caller::Customer;
use crate::extract::{Json, Key, Segments};
use crate::problem::Problem;

/// A cart after a change of its delivery address.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedAddress {
    /// The cart's version after the change.
    version: String,
}

impl From<wire::DeliveryAddress> for Delivery {
    fn from(wire: wire::DeliveryAddress) -> Self {
        let wire::DeliveryAddress { recipient, street, city, postal_code, country } = wire;
        Self { recipient, street, city, postal_code, country }
    }
}

impl From<Delivery> for wire::DeliveryAddress {
    fn from(delivery: Delivery) -> Self {
        let Delivery { recipient, street, city, postal_code, country } = delivery;
        Self { recipient, street, city, postal_code, country }
    }
}

/// Sets the delivery address. It replaces all that the cart shows.
#[utoipa::path(put, path = "/v1/carts/{cart_id}/delivery-address", tag = "carts", request_body = Delivery,
    params(
        ("cart_id" = String, Path, description = "The cart"),
        ("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request"),
    ),
    responses(
        (status = 200, description = "The address stands", body = ChangedAddress),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn set(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(cart_id): Segments<String>,
    Key(idempotency_key): Key,
    Json(delivery): Json<Delivery>,
) -> Result<Answer<ChangedAddress>, Problem> {
    let (owner_id, address) = (customer.id(), Some(delivery.into()));
    let request = wire::SetDeliveryAddressRequest { cart_id, owner_id, idempotency_key, address };
    let answer = bff.backends.carts.set_delivery_address(request).await;
    let answer = answer.map_err(|status| Problem::from(status).of_body("address"))?;
    Ok(Answer(ChangedAddress { version: answer.version }))
}

/// Takes back the delivery address. Taking back one that is not there is fine.
#[utoipa::path(delete, path = "/v1/carts/{cart_id}/delivery-address", tag = "carts",
    params(
        ("cart_id" = String, Path, description = "The cart"),
        ("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request"),
    ),
    responses(
        (status = 200, description = "The address is gone", body = ChangedAddress),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn clear(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(cart_id): Segments<String>,
    Key(idempotency_key): Key,
) -> Result<Answer<ChangedAddress>, Problem> {
    let request = wire::ClearDeliveryAddressRequest { cart_id, owner_id: customer.id(), idempotency_key };
    let answer = bff.backends.carts.clear_delivery_address(request).await?;
    Ok(Answer(ChangedAddress { version: answer.version }))
}
