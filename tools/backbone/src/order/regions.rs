//! Both regions' order services. An order's id does not say which region it belongs to, so one asks.

use std::time::Duration;

use anyhow::Result;
use contracts::order::v1::order_operator_service_client::OrderOperatorServiceClient;
use ids::Region;
use tonic::transport::{Channel, Endpoint};

use crate::platform::Layout;

/// An answer takes milliseconds; a region that is silent for this long is not going to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// A client of the region's order service. It connects on first use.
///
/// # Errors
/// The address is no URL, which cannot be.
pub(super) fn client(layout: &Layout, region: Region) -> Result<OrderOperatorServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{}", layout.order(region)))?;
    let channel = endpoint.connect_timeout(Duration::from_secs(2)).timeout(DEADLINE).connect_lazy();
    Ok(OrderOperatorServiceClient::new(channel))
}
