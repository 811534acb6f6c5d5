//! An operator's decision about one order.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use contracts::order::v1 as wire;
use ids::{OrderId, Region};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{parked, regions};
use crate::platform::Layout;

/// Which order, who decides, and why.
#[derive(Debug, Args)]
pub(super) struct Decision {
    /// The order.
    order: OrderId,
    /// Why; kept for good beside who and when.
    #[arg(long)]
    reason: String,
    /// Who decides.
    #[arg(long, env = "USER")]
    operator: String,
    /// Names this decision: repeating the command under the same key changes nothing more [default: a new one]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// What is decided.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Park,
    Retry,
    Compensate,
}

/// Asks one region after the other and returns how the order stands after it. Only the region that has the order changes anything,
/// so a region that is away is passed over; if none has the order, that is said.
pub(super) async fn change(layout: &Layout, change: Change, decision: &Decision) -> Result<String> {
    let key = decision.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut silent = Vec::new();
    for region in Region::ALL {
        match ask(layout, region, change, decision, &key).await? {
            Ok(order) => return Ok(parked::table(&[(region, order.unwrap_or_default())])),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                silent.push(format!("{region} did not answer: {}", status.message()));
            }
            Err(status) => bail!("{region} refuses: {}", status.message()),
        }
    }
    if silent.is_empty() {
        bail!("no region has order {}", decision.order);
    }
    bail!("{}; repeat the command with --key {key}", silent.join("; "))
}

async fn ask(
    layout: &Layout,
    region: Region,
    change: Change,
    decision: &Decision,
    key: &str,
) -> Result<Result<Option<wire::OrderStanding>, Status>> {
    let mut client = regions::client(layout, region).with_context(|| format!("cannot reach {region}"))?;
    let (order_id, operator) = (decision.order.to_string(), decision.operator.clone());
    let (reason, idempotency_key) = (decision.reason.clone(), key.to_owned());
    Ok(match change {
        Change::Park => {
            let request = wire::ParkOrderRequest { order_id, operator, reason, idempotency_key };
            client.park_order(request).await.map(|response| response.into_inner().order)
        }
        Change::Retry => {
            let request = wire::RetryOrderRequest { order_id, operator, reason, idempotency_key };
            client.retry_order(request).await.map(|response| response.into_inner().order)
        }
        Change::Compensate => {
            let request = wire::CompensateOrderRequest { order_id, operator, reason, idempotency_key };
            client.compensate_order(request).await.map(|response| response.into_inner().order)
        }
    })
}
