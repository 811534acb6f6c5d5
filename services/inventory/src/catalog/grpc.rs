//! `catalog.v1` on the wire.

use contracts::catalog::v1 as wire;
use contracts::catalog::v1::catalog_service_server::CatalogService;
use ids::{ChosenName as _, IdempotencyKey};
use limits::PAGE_BYTES_MAX;
use prost::Message;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use super::store::Upserted;
use super::{convert, page_token, store};
use crate::grpc::reasons;

/// Offers of a page when the request does not say.
const PAGE_SIZE_DEFAULT: i32 = 50;
/// Most offers of a page. It ends sooner when its bytes are a page's.
const PAGE_SIZE_MAX: i32 = 200;

/// The catalogue as a gRPC service.
#[derive(Debug, Clone)]
pub struct CatalogGrpc {
    pool: PgPool,
}

impl CatalogGrpc {
    /// A service over the inventory database.
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[tonic::async_trait]
impl CatalogService for CatalogGrpc {
    async fn get_offer(
        &self,
        request: Request<wire::GetOfferRequest>,
    ) -> Result<Response<wire::GetOfferResponse>, Status> {
        let offer_id = convert::offer_id(&request.into_inner().offer_id)?;
        let (offer, available_here) = store::get(&self.pool, &offer_id)
            .await?
            .ok_or_else(|| chassis::status::not_found(reasons::OFFER_NOT_FOUND, format!("no offer {offer_id}")))?;
        Ok(Response::new(wire::GetOfferResponse { offer: Some(offer.into()), available_here }))
    }

    async fn batch_get_offers(
        &self,
        request: Request<wire::BatchGetOffersRequest>,
    ) -> Result<Response<wire::BatchGetOffersResponse>, Status> {
        let asked = convert::offer_ids(&request.into_inner().offer_ids)
            .map_err(|bad| chassis::status::invalid_request(&bad))?;
        let found = store::find(&self.pool, &asked).await?;
        let mut response = wire::BatchGetOffersResponse::default();
        let mut room = PAGE_BYTES_MAX;
        for offer_id in asked {
            let Some(offer) = found.get(&offer_id) else {
                response.missing_offer_ids.push(offer_id.to_string());
                continue;
            };
            let offer = wire::Offer::from(offer.clone());
            // Once one does not fit none after it is taken: those left out are the end of what was asked.
            match room.checked_sub(offer.encoded_len()).filter(|_| response.left_out_offer_ids.is_empty()) {
                Some(left) => {
                    room = left;
                    response.offers.push(offer);
                }
                None => response.left_out_offer_ids.push(offer_id.to_string()),
            }
        }
        Ok(Response::new(response))
    }

    async fn list_offers(
        &self,
        request: Request<wire::ListOffersRequest>,
    ) -> Result<Response<wire::ListOffersResponse>, Status> {
        let request = request.into_inner();
        let page_size = match request.page_size {
            0 => PAGE_SIZE_DEFAULT,
            size @ 1..=PAGE_SIZE_MAX => size,
            size => {
                let description = format!("must be 0 to {PAGE_SIZE_MAX}, is {size}");
                return Err(chassis::status::invalid_request(&[("page_size", description)]));
            }
        };
        let after = page_token::decode(&request.page_token)
            .map_err(|error| chassis::status::invalid_request(&[("page_token", error.to_string())]))?;
        // One more than the page tells whether there is a next one.
        let offers = store::list(&self.pool, after.as_ref(), i64::from(page_size) + 1).await?;
        let mut offers: Vec<wire::Offer> = offers.into_iter().map(Into::into).collect();
        let page_len = usize::try_from(page_size).unwrap_or(usize::MAX);
        let fitting = limits::fitting(offers.iter().take(page_len).map(Message::encoded_len), PAGE_BYTES_MAX);
        let more = offers.len() > fitting;
        offers.truncate(fitting);
        let last = offers.last().filter(|_| more);
        let next_page_token = last.map(|offer| page_token::encode(&offer.offer_id)).unwrap_or_default();
        Ok(Response::new(wire::ListOffersResponse { offers, next_page_token }))
    }

    async fn upsert_offers(
        &self,
        request: Request<wire::UpsertOffersRequest>,
    ) -> Result<Response<wire::UpsertOffersResponse>, Status> {
        let request = request.into_inner();
        let key = match request.idempotency_key.as_str() {
            "" => None,
            key => Some(
                IdempotencyKey::chosen(key)
                    .map_err(|error| chassis::status::invalid_request(&[("idempotency_key", error.to_string())]))?,
            ),
        };
        let offers = convert::offers(request.offers).map_err(|bad| chassis::status::invalid_request(&bad))?;
        let offers_written = match store::upsert(&self.pool, &offers, key.as_ref()).await? {
            Upserted::Written(offers) | Upserted::Before(offers) => offers,
            Upserted::KeyReused => return Err(crate::grpc::key_reused("idempotency_key")),
        };
        Ok(Response::new(wire::UpsertOffersResponse { offers_written }))
    }
}
