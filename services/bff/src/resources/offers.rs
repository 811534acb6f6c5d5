//! Offers: what is for sale. Needs no session.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use contracts::catalog::v1 as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Missing;
use super::money::Money;
use crate::Bff;
use crate::caller::Anyone;
use crate::extract::{Parameters, Segments};
use crate::problem::Problem;

/// Something a seller sells at a price.
#[derive(Debug, Serialize, ToSchema)]
pub struct Offer {
    offer_id: String,
    seller_id: String,
    title: String,
    /// What one unit costs.
    unit_price: Money,
    /// Such as colour or material.
    attributes: HashMap<String, String>,
}

/// An offer and its stock.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferInStock {
    #[serde(flatten)]
    offer: Offer,
    /// Units this region can sell at once, without asking the other.
    available_here: i64,
}

/// A page of offers.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferPage {
    offers: Vec<Offer>,
    /// Give it back as `page_token` for the next page; empty on the last.
    next_page_token: String,
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// How many; 0 leaves it to us.
    pub page_size: i32,
    /// The `next_page_token` of the page before; empty for the first.
    pub page_token: String,
}

impl TryFrom<wire::Offer> for Offer {
    type Error = Missing;

    fn try_from(wire: wire::Offer) -> Result<Self, Missing> {
        Ok(Self {
            offer_id: wire.offer_id,
            seller_id: wire.seller_id,
            title: wire.title,
            unit_price: wire.unit_price.ok_or(Missing("unit_price"))?.into(),
            attributes: wire.attributes,
        })
    }
}

/// Lists offers by id.
#[utoipa::path(get, path = "/v1/offers", tag = "offers", security(()), params(Page), responses(
    (status = 200, description = "At most page_size offers", body = OfferPage),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(bff): State<Arc<Bff>>,
    _: Anyone,
    Parameters(page): Parameters<Page>,
) -> Result<Json<OfferPage>, Problem> {
    let request = wire::ListOffersRequest { page_size: page.page_size, page_token: page.page_token };
    let answer = bff.backends.catalog.list_offers(request).await?;
    let offers = answer.offers.into_iter().map(Offer::try_from).collect::<Result<_, _>>()?;
    Ok(Json(OfferPage { offers, next_page_token: answer.next_page_token }))
}

/// Reads one offer and how many units this region can sell at once.
#[utoipa::path(get, path = "/v1/offers/{offer_id}", tag = "offers", security(()),
    params(("offer_id" = String, Path, description = "The offer")),
    responses(
        (status = 200, description = "The offer", body = OfferInStock),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read(
    State(bff): State<Arc<Bff>>,
    _: Anyone,
    Segments(offer_id): Segments<String>,
) -> Result<Json<OfferInStock>, Problem> {
    let answer = bff.backends.catalog.get_offer(wire::GetOfferRequest { offer_id }).await?;
    let offer = answer.offer.ok_or(Missing("offer"))?.try_into()?;
    Ok(Json(OfferInStock { offer, available_here: answer.available_here }))
}
