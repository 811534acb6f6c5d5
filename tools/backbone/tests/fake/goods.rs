//! The fake's catalogue and stock over gRPC; what the clients do not call is unimplemented.

use contracts::catalog::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use contracts::catalog::v1::*;
use contracts::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use contracts::inventory::v1::*;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::Fake;

pub async fn serve(listener: TcpListener, fake: Fake) {
    tonic::transport::Server::builder()
        .add_service(CatalogServiceServer::new(fake.clone()))
        .add_service(InventoryServiceServer::new(fake))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .unwrap();
}

fn absent<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the fake has no such call"))
}

#[tonic::async_trait]
impl CatalogService for Fake {
    async fn get_offer(&self, _: Request<GetOfferRequest>) -> Result<Response<GetOfferResponse>, Status> {
        absent()
    }

    async fn batch_get_offers(
        &self,
        _: Request<BatchGetOffersRequest>,
    ) -> Result<Response<BatchGetOffersResponse>, Status> {
        absent()
    }

    async fn list_offers(&self, _: Request<ListOffersRequest>) -> Result<Response<ListOffersResponse>, Status> {
        absent()
    }

    async fn upsert_offers(
        &self,
        request: Request<UpsertOffersRequest>,
    ) -> Result<Response<UpsertOffersResponse>, Status> {
        let offers = request.into_inner().offers;
        assert!((1..=1_500).contains(&offers.len()), "a batch of {}", offers.len());
        let offers_written = i32::try_from(offers.len()).unwrap();
        for offer in offers {
            offer.offer_id.parse::<ids::OfferId>().unwrap();
            offer.seller_id.parse::<ids::SellerId>().unwrap();
            assert!((1..=200).contains(&offer.title.chars().count()));
            self.state().offers.insert(offer.offer_id.clone(), offer);
        }
        Ok(Response::new(UpsertOffersResponse { offers_written }))
    }
}

#[tonic::async_trait]
impl InventoryService for Fake {
    async fn reserve(&self, _: Request<ReserveRequest>) -> Result<Response<ReserveResponse>, Status> {
        absent()
    }

    async fn release(&self, _: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        absent()
    }

    async fn transfer_rights(
        &self,
        _: Request<TransferRightsRequest>,
    ) -> Result<Response<TransferRightsResponse>, Status> {
        absent()
    }

    async fn receive_stock(
        &self,
        request: Request<ReceiveStockRequest>,
    ) -> Result<Response<ReceiveStockResponse>, Status> {
        let ReceiveStockRequest { receipt_id, lines } = request.into_inner();
        assert!((1..=1_500).contains(&lines.len()), "a batch of {}", lines.len());
        let mut state = self.state();
        if state.receipts.insert((u8::try_from(self.region).unwrap(), receipt_id)) {
            for line in lines {
                assert!(state.offers.contains_key(&line.offer_id) && (1..=1_000_000).contains(&line.units));
                state.stock.entry(line.offer_id).or_default()[self.region] += line.units;
            }
        }
        Ok(Response::new(ReceiveStockResponse {}))
    }

    async fn batch_get_stock(
        &self,
        request: Request<BatchGetStockRequest>,
    ) -> Result<Response<BatchGetStockResponse>, Status> {
        let offer_ids = request.into_inner().offer_ids;
        assert!((1..=1_500).contains(&offer_ids.len()), "a batch of {}", offer_ids.len());
        let state = self.state();
        let level = |offer_id: String| {
            let held = state.stock.get(&offer_id).copied().unwrap_or_default();
            // All that is sold is sold in the east, as far as anyone asks.
            let sold = if self.region == 0 { held[2] } else { 0 };
            StockLevel { offer_id, available: held[self.region], reserved: 0, sold }
        };
        Ok(Response::new(BatchGetStockResponse { levels: offer_ids.into_iter().map(level).collect() }))
    }
}
