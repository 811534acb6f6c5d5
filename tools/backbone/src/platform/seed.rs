//! The seed catalogue: offers that we made up (`deploy/local/catalogue.csv`), loaded through the services' own contracts.

use std::time::Duration;

use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::{Offer, UpsertOffersRequest};
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use contracts::inventory::v1::{ReceiveStockRequest, StockLine};
use contracts::money::v1::Money;
use ids::Region;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::{PartName, Zone};
use super::services::Service;
use super::tool;

const CATALOGUE: &str = include_str!("../../../../deploy/local/catalogue.csv");

/// Deadline of each call.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How often a call is tried while the service says that it cannot just now; half a second apart.
const TRIES_MAX: u32 = 10;

/// One row of the file.
#[derive(Debug, serde::Deserialize)]
struct Row {
    offer_id: String,
    seller_id: String,
    title: String,
    price_minor_eur: i64,
    stock_east: i64,
    stock_west: i64,
    /// `name=value;name=value`
    attributes: String,
}

impl Row {
    fn units(&self, region: Region) -> i64 {
        match region {
            Region::East => self.stock_east,
            Region::West => self.stock_west,
        }
    }

    fn offer(&self) -> Offer {
        let attributes = self.attributes.split(';').filter_map(|pair| pair.split_once('='));
        Offer {
            offer_id: self.offer_id.clone(),
            seller_id: self.seller_id.clone(),
            title: self.title.clone(),
            unit_price: Some(Money { currency_code: "EUR".to_owned(), minor_units: self.price_minor_eur }),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

fn rows() -> Result<Vec<Row>, PlatformError> {
    let rows: Result<Vec<Row>, csv::Error> = csv::Reader::from_reader(CATALOGUE.as_bytes()).deserialize().collect();
    rows.map_err(|error| PlatformError::Catalogue(error.to_string()))
}

/// Names the receipt of these goods in this region: loading the same file again is the same receipt and adds nothing.
fn receipt_id(region: Region) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("marketplace-backbone/seed/{}/{CATALOGUE}", region.name()).as_bytes())
}

/// Loads the catalogue and this region's stock. Each region holds the whole catalogue.
///
/// # Errors
/// What the inventory service said.
pub async fn load(layout: &Layout, region: Region) -> Result<(), PlatformError> {
    let rows = rows()?;
    let address = Service::Inventory.listen(layout, region);
    let failed = |what: &str, why: String| {
        let part = PartName::new(Zone::Region(region), Service::Inventory.name());
        tool::failed(layout, &part, format!("{what}: {why}"))
    };
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| failed("loading the seed catalogue", error.to_string()))?
        .connect_lazy();
    let catalog = CatalogServiceClient::new(channel.clone());
    let inventory = InventoryServiceClient::new(channel);

    let upsert = UpsertOffersRequest { offers: rows.iter().map(Row::offer).collect(), ..Default::default() };
    patiently(|| {
        let (mut client, request) = (catalog.clone(), deadlined(upsert.clone()));
        async move { client.upsert_offers(request).await.map(drop) }
    })
    .await
    .map_err(|status| failed("loading the seed catalogue", status.message().to_owned()))?;

    let lines = rows.iter().map(|row| StockLine { offer_id: row.offer_id.clone(), units: row.units(region) });
    let receive = ReceiveStockRequest { receipt_id: receipt_id(region).to_string(), lines: lines.collect() };
    patiently(|| {
        let (mut client, request) = (inventory.clone(), deadlined(receive.clone()));
        async move { client.receive_stock(request).await.map(drop) }
    })
    .await
    .map_err(|status| failed("loading the seed stock", status.message().to_owned()))
}

fn deadlined<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_LIMIT);
    request
}

/// Repeats a call while the answer is "not now". Both calls are idempotent.
async fn patiently<F: Future<Output = Result<(), Status>>>(call: impl Fn() -> F) -> Result<(), Status> {
    let mut tries = 1;
    loop {
        match call().await {
            Err(status) if status.code() == Code::Unavailable && tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ids::{OfferId, SellerId};

    use super::*;

    #[test]
    fn the_catalogue_has_sixty_offers_of_five_sellers_with_stock_in_both_regions() {
        let rows = rows().unwrap();
        let offers: BTreeSet<OfferId> = rows.iter().map(|row| row.offer_id.parse().unwrap()).collect();
        let sellers: BTreeSet<SellerId> = rows.iter().map(|row| row.seller_id.parse().unwrap()).collect();
        assert_eq!((rows.len(), offers.len(), sellers.len()), (60, 60, 5));
        for row in &rows {
            assert!(row.price_minor_eur > 0 && Region::ALL.iter().all(|region| row.units(*region) > 0), "{row:?}");
            let pairs = row.attributes.split(';').count();
            assert_eq!(row.offer().attributes.len(), pairs, "{row:?}");
        }
    }

    #[test]
    fn each_region_receives_its_goods_once() {
        assert_eq!(receipt_id(Region::East), receipt_id(Region::East));
        assert_ne!(receipt_id(Region::East), receipt_id(Region::West));
    }
}
