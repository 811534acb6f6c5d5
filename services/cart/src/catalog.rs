//! Snapshots of offers, from the catalogue.

use std::sync::Arc;
use std::time::Duration;

use chassis::client::Dependency;
use contracts::catalog::v1::GetOfferRequest;
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use ids::OfferId;
use moka::future::Cache;
use money::Money;
use tonic::Status;

use crate::domain::Snapshot;

/// How old a price may be when it is snapshotted. A shopper may get the price of ten seconds ago; the cart shows what it will
/// charge, so nobody is charged a price they did not see.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// Offers remembered. By the limits on an offer's fields each is some 400 bytes at most, so 4 MB.
const OFFERS_MAX: u64 = 10_000;
/// Longest look-up. The catalogue is in the same region.
const DEADLINE: Duration = Duration::from_secs(1);

/// The catalogue, seen through a small cache: look-ups of one offer at the same time become one call.
#[derive(Clone)]
pub struct Catalog {
    dependency: Dependency,
    offers: Cache<OfferId, Snapshot>,
}

impl Catalog {
    /// The catalogue behind `dependency`.
    pub fn new(dependency: Dependency) -> Self {
        let offers = Cache::builder().max_capacity(OFFERS_MAX).time_to_live(FRESH_FOR).build();
        Self { dependency, offers }
    }

    /// The offer as it is now, give or take [`FRESH_FOR`].
    ///
    /// # Errors
    /// NOT_FOUND (OFFER_NOT_FOUND), or why the catalogue did not answer. Failures are not remembered.
    pub async fn snapshot(&self, offer_id: &OfferId) -> Result<Snapshot, Status> {
        let fetched = self.offers.try_get_with_by_ref(offer_id, self.fetch(offer_id)).await;
        fetched.map_err(|status: Arc<Status>| (*status).clone())
    }

    async fn fetch(&self, offer_id: &OfferId) -> Result<Snapshot, Status> {
        let request = GetOfferRequest { offer_id: offer_id.to_string() };
        let get_offer = |channel| {
            let request = request.clone();
            async move { CatalogServiceClient::new(channel).get_offer(request).await }
        };
        let offer = self.dependency.call(DEADLINE, get_offer).await?.offer;
        let snapshot = offer.and_then(|offer| {
            let price = offer.unit_price?;
            Some(Snapshot {
                unit_price: Money::new(price.minor_units, price.currency_code.parse().ok()?),
                seller_id: offer.seller_id.parse().ok()?,
                title: offer.title,
            })
        });
        snapshot.ok_or_else(|| chassis::status::internal(&UnusableOffer(offer_id.clone())))
    }
}

/// The catalogue answered with an offer that its own rules forbid.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue's offer {0} lacks a seller or a price")]
struct UnusableOffer(OfferId);
