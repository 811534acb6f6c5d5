//! The service: one method per RPC, each checks its request and hands it on.

use std::time::Duration;

use chassis::database::DatabaseClock;
use chassis::status::Fields;
use chrono::SecondsFormat;
use contracts::inventory::v1 as wire;
use contracts::inventory::v1::inventory_service_server::InventoryService;
use ids::{OfferId, OrderId, Region, TransferId};
use sqlx::PgPool;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::peer::Peer;
use super::reserve::Reserving;
use super::status;
use crate::domain::{Event, LINES_MAX, Lines};
use crate::store::{self, GrantOutcome, ReceiveOutcome, Reservation, StoreError};

/// `inventory.v1` over this region's stock.
#[derive(Debug, Clone)]
pub struct InventoryGrpc<P> {
    pool: PgPool,
    region: Region,
    reservation_ttl: Duration,
    reserving: Reserving<P>,
    clock: DatabaseClock,
}

impl<P: Peer + Clone> InventoryGrpc<P> {
    /// `reservation_ttl`: how long units are held before the order's fate is asked for.
    pub fn new(pool: PgPool, region: Region, reservation_ttl: Duration, peer: P) -> Self {
        let clock = DatabaseClock::unread();
        Self { reserving: Reserving::new(pool.clone(), peer), pool, region, reservation_ttl, clock }
    }

    /// The clock that reservations go by.
    pub const fn clock(&self) -> &DatabaseClock {
        &self.clock
    }
}

#[tonic::async_trait]
impl<P: Peer + Clone> InventoryService for InventoryGrpc<P> {
    async fn reserve(&self, request: Request<wire::ReserveRequest>) -> Result<Response<wire::ReserveResponse>, Status> {
        let request = request.into_inner();
        let order_id: OrderId = parse_id("order_id", &request.order_id)?;
        // The second wall: one order takes stock in one region only, whoever asks.
        chassis::status::require_home(order_id, self.region)?;
        let lines = parse_lines(&request.lines)?;
        let digest = lines.digest("");
        let expires_at = self.clock.now() + self.reservation_ttl;
        let wanted = Reservation { order_id, lines, digest, expires_at };
        let expires_at = self.reserving.reserve(&wanted).await?;
        let expires_at = expires_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Ok(Response::new(wire::ReserveResponse { expires_at }))
    }

    async fn release(&self, request: Request<wire::ReleaseRequest>) -> Result<Response<wire::ReleaseResponse>, Status> {
        let order_id: OrderId = parse_id("order_id", &request.into_inner().order_id)?;
        let mut transaction = chassis::database::begin(&self.pool).await.map_err(StoreError::from)?;
        store::apply(&mut transaction, Event::ReleaseRequested, order_id).await??;
        sabotage::crash_point("inventory.release.before-commit").await;
        transaction.commit().await.map_err(StoreError::from)?;
        sabotage::crash_point("inventory.release.after-commit").await;
        Ok(Response::new(wire::ReleaseResponse {}))
    }

    async fn receive_stock(
        &self,
        request: Request<wire::ReceiveStockRequest>,
    ) -> Result<Response<wire::ReceiveStockResponse>, Status> {
        let request = request.into_inner();
        let receipt_id = Uuid::try_parse(&request.receipt_id)
            .map_err(|_| chassis::status::invalid_request(&[("receipt_id", "must be a UUID")]))?;
        named_by_merchant(&request.lines)?;
        let lines = parse_lines(&request.lines)?;
        match store::receive(&self.pool, receipt_id, &lines).await? {
            ReceiveOutcome::Received => Ok(Response::new(wire::ReceiveStockResponse {})),
            ReceiveOutcome::KeyReused => Err(status::key_reused("receipt_id")),
            ReceiveOutcome::UnknownOffers(offers) => Err(status::unknown_offers(&offers)),
        }
    }

    async fn batch_get_stock(
        &self,
        request: Request<wire::BatchGetStockRequest>,
    ) -> Result<Response<wire::BatchGetStockResponse>, Status> {
        let offer_ids = parse_offer_ids(&request.into_inner().offer_ids)?;
        let levels = store::levels(&self.pool, &offer_ids).await?;
        let levels = offer_ids.iter().zip(levels).map(|(offer_id, level)| wire::StockLevel {
            offer_id: offer_id.to_string(),
            available: level.available,
            reserved: level.reserved,
            sold: level.sold,
        });
        Ok(Response::new(wire::BatchGetStockResponse { levels: levels.collect() }))
    }

    async fn transfer_rights(
        &self,
        request: Request<wire::TransferRightsRequest>,
    ) -> Result<Response<wire::TransferRightsResponse>, Status> {
        let request = request.into_inner();
        let transfer_id: TransferId = parse_id("transfer_id", &request.transfer_id)?;
        let peer = self.region.peer();
        if request.to_region != peer.name() {
            // A region that hands rights to itself would lose them.
            let description = format!("must be {peer}, the region that {} hands rights to", self.region);
            return Err(chassis::status::invalid_request(&[("to_region", description)]));
        }
        let lines = parse_lines(&request.lines)?;
        match store::grant(&self.pool, transfer_id, peer, &lines).await? {
            GrantOutcome::KeyReused => Err(status::key_reused("transfer_id")),
            GrantOutcome::Granted(granted) => {
                let granted = granted.into_iter();
                let granted =
                    granted.map(|(offer_id, units)| wire::StockLine { offer_id: offer_id.to_string(), units });
                Ok(Response::new(wire::TransferRightsResponse { granted: granted.collect() }))
            }
        }
    }
}

fn parse_id<Id: std::str::FromStr<Err = ids::InvalidUuid>>(field: &str, text: &str) -> Result<Id, Status> {
    text.parse().map_err(|error: ids::InvalidUuid| chassis::status::invalid_request(&[(field, error.to_string())]))
}

/// Goods come in for offers that can be addressed. Lines of orders and transfers are not held to it: they name what was sold before.
fn named_by_merchant(lines: &[wire::StockLine]) -> Result<(), Status> {
    let mut fields = Fields::default();
    let first = lines.iter().take(LINES_MAX).enumerate();
    let named = first
        .map(|(index, line)| fields.name::<OfferId>(&format!("lines[{index}].offer_id"), &line.offer_id).map(drop));
    // Stops at the first mistake, as every list of ids does.
    let named = named.collect::<Option<()>>();
    fields.finish(named)
}

fn parse_lines(lines: &[wire::StockLine]) -> Result<Lines, Status> {
    Lines::parse(lines.iter().map(|line| (line.offer_id.as_str(), line.units)))
        .map_err(|mistakes| status::invalid_lines(&mistakes))
}

/// 1 to 1,500 offers, some perhaps named before today's rules; the same one twice is harmless in a read. Stops at the first mistake.
fn parse_offer_ids(ids: &[String]) -> Result<Vec<OfferId>, Status> {
    if !(1..=LINES_MAX).contains(&ids.len()) {
        let description = format!("must have 1 to {LINES_MAX} entries, has {}", ids.len());
        return Err(chassis::status::invalid_request(&[("offer_ids", description)]));
    }
    let parse = |(index, id): (usize, &String)| {
        id.parse().map_err(|error: ids::InvalidName| {
            chassis::status::invalid_request(&[(format!("offer_ids[{index}]"), error.to_string())])
        })
    };
    ids.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_of_an_offer_of_before_the_rules_is_read_and_none_comes_in_under_its_name() {
        for old in ["..", "4242424242424242"] {
            assert_eq!(parse_offer_ids(&[old.to_owned()]).unwrap()[0].as_str(), old);
            named_by_merchant(&[wire::StockLine { offer_id: old.to_owned(), units: 1 }]).unwrap_err();
        }
        parse_offer_ids(&["a/b".to_owned()]).unwrap_err();
    }
}
