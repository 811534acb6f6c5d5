//! Catalogue and stock over gRPC: putting goods on sale, and reading what is left. Loading twice changes nothing.

use std::time::Duration;

use anyhow::Context;
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::{Offer as WireOffer, UpsertOffersRequest};
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use contracts::inventory::v1::{BatchGetStockRequest, ReceiveStockRequest, StockLevel, StockLine};
use contracts::money::v1::Money;
use ids::Region;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use super::deployment::Deployment;

/// Most offers or lines in one request, by contract.
const BATCH: usize = 1_500;
/// One batch's deadline.
const DEADLINE: Duration = Duration::from_secs(30);
/// Tries of a call that is unavailable, half a second apart.
const TRIES_MAX: u32 = 20;

/// An offer and how many units of it each region is to hold at the start.
#[derive(Clone, Debug)]
pub struct Goods {
    /// The offer.
    pub offer: WireOffer,
    /// Units for the east.
    pub east_units: i64,
    /// Units for the west.
    pub west_units: i64,
}

impl Goods {
    /// `units` split in halves; an odd one goes east.
    pub fn split(offer_id: String, seller_id: String, title: String, pence: i64, units: i64) -> Self {
        let unit_price = Some(Money { minor_units: pence, currency_code: "GBP".to_owned() });
        let offer = WireOffer { offer_id, seller_id, title, unit_price, ..WireOffer::default() };
        Self { offer, east_units: units - units / 2, west_units: units / 2 }
    }

    const fn units(&self, region: Region) -> i64 {
        match region {
            Region::East => self.east_units,
            Region::West => self.west_units,
        }
    }
}

/// The catalogue and the stock of one region.
#[derive(Clone, Debug)]
pub struct Shelf {
    region: Region,
    channel: Channel,
}

impl Shelf {
    /// Of `region`; connects when first used.
    ///
    /// # Errors
    /// The address makes no URL.
    pub fn of(deployment: &Deployment, region: Region) -> anyhow::Result<Self> {
        let address = deployment.endpoint(region).inventory;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = endpoint.connect_timeout(Duration::from_secs(2)).timeout(DEADLINE).connect_lazy();
        Ok(Self { region, channel })
    }

    /// Creates or replaces the offers of `goods`.
    ///
    /// # Errors
    /// The catalogue refuses, or stays unavailable.
    pub async fn upsert(&self, goods: &[Goods]) -> anyhow::Result<()> {
        for batch in goods.chunks(BATCH) {
            let offers: Vec<WireOffer> = batch.iter().map(|goods| goods.offer.clone()).collect();
            let call = || {
                let (mut client, offers) = (CatalogServiceClient::new(self.channel.clone()), offers.clone());
                async move { client.upsert_offers(UpsertOffersRequest { offers, ..Default::default() }).await }
            };
            patiently(call).await.with_context(|| format!("cannot load the catalogue of region {}", self.region))?;
        }
        Ok(())
    }

    /// Receives this region's units of `goods`; `receipt_id` names the receipt of each batch.
    ///
    /// # Errors
    /// Inventory refuses, or stays unavailable.
    pub async fn receive(&self, goods: &[Goods], receipt_id: impl Fn(usize) -> Uuid) -> anyhow::Result<()> {
        for (batch, goods) in goods.chunks(BATCH).enumerate() {
            let lines: Vec<StockLine> = goods
                .iter()
                .map(|goods| StockLine { offer_id: goods.offer.offer_id.clone(), units: goods.units(self.region) })
                .filter(|line| line.units > 0)
                .collect();
            if lines.is_empty() {
                continue;
            }
            let request = ReceiveStockRequest { receipt_id: receipt_id(batch).to_string(), lines };
            let call = || {
                let (mut client, request) = (InventoryServiceClient::new(self.channel.clone()), request.clone());
                async move { client.receive_stock(request).await }
            };
            patiently(call).await.with_context(|| format!("cannot stock region {}", self.region))?;
        }
        Ok(())
    }

    /// What this region holds of each offer, in the order asked.
    ///
    /// # Errors
    /// Inventory refuses, or stays unavailable.
    pub async fn stock(&self, offer_ids: &[String]) -> anyhow::Result<Vec<StockLevel>> {
        let mut levels = Vec::with_capacity(offer_ids.len());
        for batch in offer_ids.chunks(BATCH) {
            let request = BatchGetStockRequest { offer_ids: batch.to_vec() };
            let call = || {
                let (mut client, request) = (InventoryServiceClient::new(self.channel.clone()), request.clone());
                async move { client.batch_get_stock(request).await }
            };
            let response = patiently(call).await;
            levels.extend(response.with_context(|| format!("cannot read stock of region {}", self.region))?.levels);
        }
        anyhow::ensure!(levels.len() == offer_ids.len(), "region {} left stock levels out", self.region);
        Ok(levels)
    }
}

/// Calls again while the service is unavailable, within bounds; all of these calls are idempotent.
async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let mut tries = 1;
    loop {
        match call().await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) if status.code() == Code::Unavailable && tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(status) => return Err(status),
        }
    }
}
