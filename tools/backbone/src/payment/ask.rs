//! An operator's decision about a payment, a refund or a difference: each region is asked until one has it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use contracts::payment::v1 as wire;
use contracts::payment::v1::payment_operator_service_client::PaymentOperatorServiceClient;
use ids::{OrderId, RefundId, Region};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use uuid::Uuid;

use super::Decision;
use crate::attribution;
use crate::platform::Layout;

/// An answer takes milliseconds; a region that is silent for this long is not going to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// A region and a client of its payment service.
pub(super) type Asked = (Region, PaymentOperatorServiceClient<Channel>);

/// What is decided.
pub(super) enum Change {
    Retry(OrderId),
    Settle(OrderId, i64),
    SettleRefund(RefundId, String),
    SettleDifference(Uuid),
}

/// Every region of the system.
pub(super) fn all(layout: &Layout) -> Result<Vec<Asked>> {
    Region::ALL.into_iter().map(|region| Ok((region, client(layout.payment(region).into())?))).collect()
}

/// A client of the payment service at `address`. It connects on first use.
fn client(address: SocketAddr) -> Result<PaymentOperatorServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.connect_timeout(Duration::from_secs(2)).timeout(DEADLINE).connect_lazy();
    Ok(PaymentOperatorServiceClient::new(channel))
}

/// Asks one region after the other and says what became of it. Only the region that has it changes anything, so a region that is away
/// is passed over; if none has it, that is said.
pub(super) async fn change(regions: Vec<Asked>, change: &Change, by: &Decision) -> Result<String> {
    attribution::name("operator", &by.operator)?;
    attribution::reason(&by.reason)?;
    let key = by.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut silent = Vec::new();
    for (region, client) in regions {
        match ask(client, change, by, &key).await {
            Ok(done) => return Ok(format!("{region}: {done}")),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                silent.push(format!("{region} did not answer: {}", status.message()));
            }
            Err(status) => bail!("{region} refuses: {}", status.message()),
        }
    }
    if silent.is_empty() {
        bail!("no region has it");
    }
    bail!("{}; repeat the command with --key {key}", silent.join("; "))
}

async fn ask(
    mut client: PaymentOperatorServiceClient<Channel>,
    change: &Change,
    by: &Decision,
    key: &str,
) -> Result<String, Status> {
    let (operator, reason, idempotency_key) = (by.operator.clone(), by.reason.clone(), key.to_owned());
    match change {
        Change::Retry(order) => {
            let request = wire::RetryPaymentRequest { order_id: order.to_string(), operator, reason, idempotency_key };
            let retried = client.retry_payment(request).await?.into_inner().retried;
            Ok(format!("{} of order {order} are looked at now", retried.len()))
        }
        Change::Settle(order, captured_minor) => {
            let (order_id, captured_minor) = (order.to_string(), *captured_minor);
            let request = wire::SettlePaymentRequest { order_id, captured_minor, operator, reason, idempotency_key };
            let state = client.settle_payment(request).await?.into_inner().state;
            Ok(format!("the payment of order {order} is {state}"))
        }
        Change::SettleRefund(refund, paid_as) => {
            let (refund_id, provider_refund_id) = (refund.to_string(), paid_as.clone());
            let request =
                wire::SettleRefundRequest { refund_id, provider_refund_id, operator, reason, idempotency_key };
            let state = client.settle_refund(request).await?.into_inner().state;
            Ok(format!("refund {refund} is {state}; if its return is parked, `backbone order retry` ends it"))
        }
        Change::SettleDifference(difference) => {
            let request = wire::SettleDifferenceRequest { difference_id: difference.to_string(), operator, reason };
            client.settle_difference(request).await?;
            Ok(format!("difference {difference} is accepted as it is"))
        }
    }
}
