//! Lines of a cart.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use contracts::cart::v1 as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Missing;
use super::money::{Money, PricedUnits};
use crate::Bff;
use crate::caller::Customer;
use crate::extract::{Json, Key, Parameters, Segments};
use crate::problem::Problem;

/// A line of a cart. Each of its units has the price that was shown when it was added; a later change of the catalogue leaves it alone.
///
/// A line has one currency. Where the two regions were given units of an offer in two currencies while they could not talk, it has two
/// lines, until one is removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    offer_id: String,
    seller_id: String,
    title: String,
    /// Of several prices the dearest: times the quantity it is never less than what the line costs.
    unit_price: Money,
    quantity: i64,
    /// The units by price, dearest first.
    prices: Vec<PricedUnits>,
}

/// What to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLine {
    #[schema(example = "ALDER-MUG-01")]
    offer_id: String,
    /// Units, 1 to 10,000.
    #[schema(example = 2)]
    quantity: i64,
}

/// How many.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetQuantity {
    /// Units, 1 to 10,000. To remove a line, delete it.
    quantity: i64,
}

/// A line after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedLine {
    line: Line,
    /// The cart's version after the change.
    version: String,
}

/// A cart after a removal.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemovedLine {
    /// The cart's version after the removal.
    version: String,
}

impl TryFrom<wire::CartLine> for Line {
    type Error = Missing;

    fn try_from(wire: wire::CartLine) -> Result<Self, Missing> {
        let unit_price = wire.unit_price.ok_or(Missing("unit_price"))?.into();
        Ok(Self {
            offer_id: wire.offer_id,
            seller_id: wire.seller_id,
            title: wire.title,
            prices: PricedUnits::of(wire.prices, (&unit_price, wire.quantity))?,
            unit_price,
            quantity: wire.quantity,
        })
    }
}

impl ChangedLine {
    fn new(line: Option<wire::CartLine>, version: String) -> Result<Self, Missing> {
        Ok(Self { line: line.ok_or(Missing("line"))?.try_into()?, version })
    }
}

/// Adds units of an offer, each at the name and price of now. In another currency than that of the cart they are refused
/// (CART_CURRENCY_DIFFERS): order or remove what is there, or use another cart.
#[utoipa::path(post, path = "/v1/carts/{cart_id}/lines", tag = "carts", request_body = AddLine,
    params(
        ("cart_id" = String, Path, description = "The cart"),
        ("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request"),
    ),
    responses(
        (status = 200, description = "The line after the add", body = ChangedLine),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn add(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(cart_id): Segments<String>,
    Key(idempotency_key): Key,
    Json(line): Json<AddLine>,
) -> Result<Answer<ChangedLine>, Problem> {
    let AddLine { offer_id, quantity } = line;
    let request = wire::AddLineRequest { cart_id, owner_id: customer.id(), idempotency_key, offer_id, quantity };
    let answer = bff.backends.carts.add_line(request).await?;
    Ok(Answer(ChangedLine::new(answer.line, answer.version)?))
}

/// Makes a line have so many units: missing ones are added at the price of now, of too many the dearest go first.
#[utoipa::path(put, path = "/v1/carts/{cart_id}/lines/{offer_id}", tag = "carts", request_body = SetQuantity,
    params(
        ("cart_id" = String, Path, description = "The cart"),
        ("offer_id" = String, Path, description = "The line's offer"),
        ("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request"),
    ),
    responses(
        (status = 200, description = "The line after the change", body = ChangedLine),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn set_quantity(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments((cart_id, offer_id)): Segments<(String, String)>,
    Key(idempotency_key): Key,
    Json(SetQuantity { quantity }): Json<SetQuantity>,
) -> Result<Answer<ChangedLine>, Problem> {
    let owner_id = customer.id();
    let request = wire::SetLineQuantityRequest { cart_id, owner_id, idempotency_key, offer_id, quantity };
    let answer = bff.backends.carts.set_line_quantity(request).await?;
    Ok(Answer(ChangedLine::new(answer.line, answer.version)?))
}

/// Which units of a line to remove.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InCurrency {
    /// ISO 4217: only the units priced in it, of an offer that has a line in each of two currencies. All, if it is not given.
    #[serde(default)]
    currency: String,
}

/// Removes a line. Removing one that is not there is fine.
#[utoipa::path(delete, path = "/v1/carts/{cart_id}/lines/{offer_id}", tag = "carts",
    params(
        ("cart_id" = String, Path, description = "The cart"),
        ("offer_id" = String, Path, description = "The line's offer"),
        InCurrency,
        ("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request"),
    ),
    responses(
        (status = 200, description = "The line is gone", body = RemovedLine),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn remove(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments((cart_id, offer_id)): Segments<(String, String)>,
    Parameters(InCurrency { currency: currency_code }): Parameters<InCurrency>,
    Key(idempotency_key): Key,
) -> Result<Answer<RemovedLine>, Problem> {
    let owner_id = customer.id();
    let request = wire::RemoveLineRequest { cart_id, owner_id, idempotency_key, offer_id, currency_code };
    let answer = bff.backends.carts.remove_line(request).await?;
    Ok(Answer(RemovedLine { version: answer.version }))
}
