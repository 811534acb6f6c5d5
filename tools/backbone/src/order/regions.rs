//! Both regions' order services. An order's id does not say which region it belongs to, so one asks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use contracts::order::v1::order_operator_service_client::OrderOperatorServiceClient;
use ids::Region;
use tonic::transport::{Channel, Endpoint};

use crate::platform::Layout;

/// An answer takes milliseconds; a region that is silent for this long is not going to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// A region and a client of its order service.
pub(super) type Asked = (Region, OrderOperatorServiceClient<Channel>);

/// Every region of the system.
pub(super) fn all(layout: &Layout) -> Result<Vec<Asked>> {
    Region::ALL.into_iter().map(|region| Ok((region, client(layout.order(region).into())?))).collect()
}

/// A client of the order service at `address`. It connects on first use.
pub(super) fn client(address: SocketAddr) -> Result<OrderOperatorServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect_timeout(Duration::from_secs(2)).timeout(DEADLINE).connect_lazy();
    Ok(OrderOperatorServiceClient::new(channel))
}
