//! Snapshots of offers, from the catalogue.

use std::time::Duration;

use chassis::client::Dependency;
use contracts::catalog::v1::GetOfferRequest;
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use ids::OfferId;
use money::Money;
use tonic::Status;

use crate::domain::Snapshot;

/// Longest look-up. The catalogue is in the same region.
const DEADLINE: Duration = Duration::from_secs(1);

/// The catalogue of this region.
///
/// Each add asks it. A price that is remembered, however shortly, is not the one that the shopper is shown beside it once it has changed.
#[derive(Clone)]
pub struct Catalog {
    dependency: Dependency,
}

impl Catalog {
    /// The catalogue behind `dependency`.
    pub const fn new(dependency: Dependency) -> Self {
        Self { dependency }
    }

    /// The offer as it is now.
    ///
    /// # Errors
    /// NOT_FOUND (OFFER_NOT_FOUND), or why the catalogue did not answer.
    pub async fn snapshot(&self, offer_id: &OfferId) -> Result<Snapshot, Status> {
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
