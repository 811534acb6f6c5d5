//! `inventory.v1` as the sagas see it.

use std::time::Duration;

use chassis::client::Dependency;
use contracts::inventory::v1 as wire;
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use ids::OrderId;
use tonic::async_trait;

use super::call_error;
use crate::domain::{Order, OrderLine};
use crate::sagas::{CallError, Inventory};

const CALLEE: &str = "inventory";

/// The inventory service of this region.
#[derive(Debug, Clone)]
pub struct InventoryClient(Dependency);

impl InventoryClient {
    /// A client over a connection.
    pub const fn new(dependency: Dependency) -> Self {
        Self(dependency)
    }
}

#[async_trait]
impl Inventory for InventoryClient {
    async fn reserve(&self, order: &Order, within: Duration) -> Result<(), CallError> {
        let line = |line: &OrderLine| wire::StockLine { offer_id: line.offer.to_string(), units: line.quantity() };
        let request =
            wire::ReserveRequest { order_id: order.id.to_string(), lines: order.lines.iter().map(line).collect() };
        self.0
            .call(within, |channel| {
                let request = request.clone();
                async move { InventoryServiceClient::new(channel).reserve(request).await }
            })
            .await
            .map(drop)
            .map_err(|status| call_error(CALLEE, &status, false))
    }

    async fn release(&self, order: OrderId, within: Duration) -> Result<(), CallError> {
        let request = wire::ReleaseRequest { order_id: order.to_string() };
        self.0
            .call(within, |channel| {
                let request = request.clone();
                async move { InventoryServiceClient::new(channel).release(request).await }
            })
            .await
            .map(drop)
            .map_err(|status| call_error(CALLEE, &status, false))
    }
}
