//! The other region, as far as stock is concerned.

use std::future::Future;
use std::time::Duration;

use chassis::client::Dependency;
use contracts::inventory::v1 as wire;
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use ids::{InvalidName, OfferId, Region};
use tonic::{Code, Status};

use crate::domain::{Grant, GrantExceedsAsk};
use crate::store::PendingTransfer;

/// How long to wait for the other region, unless the request has less time left: many round trips of 80 ms, and short enough
/// that the shopper can still be told.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Who can hand over rights.
pub trait Peer: Send + Sync + 'static {
    /// Asks for a transfer. Idempotent by its id: a repeat gets the first answer.
    ///
    /// # Errors
    /// [`PeerError`]; the units may have been granted, so the transfer stays pending.
    fn transfer_rights(&self, transfer: &PendingTransfer) -> impl Future<Output = Result<Grant, PeerError>> + Send;
}

/// The other region gave no answer to go by. Whether it granted anything is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It could not be reached, or not in time.
    #[error("the other region did not answer")]
    NoAnswer(#[source] Box<Status>),
    /// It was reached and failed at this question; the next question may fare better.
    #[error("the other region failed to answer")]
    Failed(#[source] Box<Status>),
    /// It answered what cannot be true: a bug over there or here.
    #[error("the other region's answer exceeds the question")]
    ExceedsAsk(#[from] GrantExceedsAsk),
    /// It answered with something that is no offer: a bug over there.
    #[error("the other region's answer names no offer")]
    NoOffer(#[from] InvalidName),
}

/// The real other region, over gRPC.
#[derive(Debug, Clone)]
pub struct PeerRegion {
    inventory: Dependency,
    this_region: Region,
}

impl PeerRegion {
    /// `inventory`: the other region's inventory service. `this_region`: who asks.
    pub const fn new(inventory: Dependency, this_region: Region) -> Self {
        Self { inventory, this_region }
    }
}

impl Peer for PeerRegion {
    async fn transfer_rights(&self, transfer: &PendingTransfer) -> Result<Grant, PeerError> {
        let request = wire::TransferRightsRequest {
            transfer_id: transfer.transfer_id.to_string(),
            to_region: self.this_region.name().to_owned(),
            lines: transfer
                .asked
                .iter()
                .map(|line| wire::StockLine { offer_id: line.offer_id.to_string(), units: line.units })
                .collect(),
        };
        let answer = self
            .inventory
            .call(CALL_TIMEOUT, |channel| {
                let request = request.clone();
                async move { InventoryServiceClient::new(channel).transfer_rights(request).await }
            })
            .await
            .map_err(no_grant)?;
        let granted = answer.granted.into_iter().map(|line| Ok((line.offer_id.parse::<OfferId>()?, line.units)));
        let granted = granted.collect::<Result<Vec<_>, InvalidName>>()?;
        Ok(Grant::check(&transfer.asked, granted)?)
    }
}

fn no_grant(status: Status) -> PeerError {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => PeerError::NoAnswer(Box::new(status)),
        _ => PeerError::Failed(Box::new(status)),
    }
}
