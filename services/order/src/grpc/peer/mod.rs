//! The other region's order service: whom an order belongs to is asked, whoever is asked first.

mod link;
mod region;
mod service;

use std::time::Duration;

use contracts::order::v1 as wire;
use ids::Region;
use tonic::{Status, async_trait};

pub use link::watch;
pub use region::PeerRegion;
pub use service::PeerGrpc;

use crate::domain::Link;

/// Metadata of a request that another region hands on. Such a request is answered where it arrives and handed on to nobody.
pub(super) const HANDED_ON: &str = "x-handed-on-by";

/// The other region's order service.
#[async_trait]
pub trait PeerOrders: Send + Sync + 'static {
    /// Which region it is.
    fn region(&self) -> Region;
    /// Whether it answers.
    fn link(&self) -> Link;
    /// Hands a request on; the answer is the home's, a refusal too. [`is_unreachable`] tells when there is none.
    async fn place_order(
        &self,
        request: wire::PlaceOrderRequest,
        within: Duration,
    ) -> Result<wire::PlaceOrderResponse, Status>;
    /// As above.
    async fn get_order(
        &self,
        request: wire::GetOrderRequest,
        within: Duration,
    ) -> Result<wire::GetOrderResponse, Status>;
    /// As above.
    async fn list_orders(
        &self,
        request: wire::ListOrdersRequest,
        within: Duration,
    ) -> Result<wire::ListOrdersResponse, Status>;
    /// As above.
    async fn cancel_order(
        &self,
        request: wire::CancelOrderRequest,
        within: Duration,
    ) -> Result<wire::CancelOrderResponse, Status>;
    /// As above.
    async fn return_order(
        &self,
        request: wire::ReturnOrderRequest,
        within: Duration,
    ) -> Result<wire::ReturnOrderResponse, Status>;
}

/// Some looks at the link: long enough for it to be known as up again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// UNAVAILABLE (HOME_REGION_UNREACHABLE): `home`, which alone can answer, was not asked, because it does not answer. Nothing was started.
pub(super) fn unreachable(home: Region) -> Status {
    let message = format!(
        "this belongs to region {home}, which cannot be reached from here; nothing was started. Send the same request again later, or \
         to region {home}"
    );
    chassis::status::unavailable(HOME_REGION_UNREACHABLE, message, RETRY_AFTER)
}

/// UNAVAILABLE (HOME_REGION_UNREACHABLE): `home`, which alone can answer, was asked and has not answered. It may have done what was asked.
pub(super) fn unanswered(home: Region) -> Status {
    let message = format!(
        "this belongs to region {home}, which was asked and has not answered: it may have been done there, nothing was started here. \
         Send the same request with the same key again later, or to region {home}, to learn it; it is done at most once"
    );
    chassis::status::unavailable(HOME_REGION_UNREACHABLE, message, RETRY_AFTER)
}

/// The reason of [`unreachable`] and [`unanswered`].
pub(super) const HOME_REGION_UNREACHABLE: &str = "HOME_REGION_UNREACHABLE";

/// Whether a status says that the home gave no answer.
pub(super) fn is_unreachable(status: &Status) -> bool {
    chassis::status::reason(status).as_deref() == Some(HOME_REGION_UNREACHABLE)
}
