//! `catalog.v1` on the wire.

use chassis::status::Fields;
use contracts::catalog::v1 as wire;
use contracts::catalog::v1::catalog_service_server::CatalogService;
use ids::OfferId;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use super::{convert, page_token, store};
use crate::grpc::reasons;

/// Offers of a page when the request does not say.
const PAGE_SIZE_DEFAULT: i32 = 50;
/// Most offers of a page: 200 offers of 32 attributes of 400 characters are 2.5 MB of ASCII, below the message limit.
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
        let mut fields = Fields::default();
        let offer_id = fields.name::<OfferId>("offer_id", &request.into_inner().offer_id);
        let offer_id = fields.finish(offer_id)?;
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
        for offer_id in asked {
            match found.get(&offer_id) {
                Some(offer) => response.offers.push(offer.clone().into()),
                None => response.missing_offer_ids.push(offer_id.to_string()),
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
        let mut offers = store::list(&self.pool, after.as_ref(), i64::from(page_size) + 1).await?;
        let page_len = usize::try_from(page_size).unwrap_or(usize::MAX);
        let more = offers.len() > page_len;
        offers.truncate(page_len);
        let last = offers.last().filter(|_| more);
        let next_page_token = last.map(|offer| page_token::encode(offer.offer_id())).unwrap_or_default();
        let offers = offers.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListOffersResponse { offers, next_page_token }))
    }

    async fn upsert_offers(
        &self,
        request: Request<wire::UpsertOffersRequest>,
    ) -> Result<Response<wire::UpsertOffersResponse>, Status> {
        let offers =
            convert::offers(request.into_inner().offers).map_err(|bad| chassis::status::invalid_request(&bad))?;
        let written = store::upsert(&self.pool, &offers).await?;
        // At most 1,500.
        let offers_written = i32::try_from(written).unwrap_or(i32::MAX);
        Ok(Response::new(wire::UpsertOffersResponse { offers_written }))
    }
}
