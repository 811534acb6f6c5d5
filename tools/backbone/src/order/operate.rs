//! An operator's decision about one order.

use anyhow::{Result, bail};
use clap::Args;
use contracts::order::v1 as wire;
use contracts::order::v1::order_operator_service_client::OrderOperatorServiceClient;
use ids::OrderId;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use super::parked;
use super::regions::Asked;
use crate::attribution;

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
    Close,
}

/// Asks one region after the other and returns how the order stands after it. Only the region that has the order changes anything,
/// so a region that is away is passed over; if none has the order, that is said.
pub(super) async fn change(regions: Vec<Asked>, change: Change, decision: &Decision) -> Result<String> {
    attribution::name("operator", &decision.operator)?;
    attribution::reason(&decision.reason)?;
    let key = decision.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut silent = Vec::new();
    for (region, client) in regions {
        match ask(client, change, decision, &key).await {
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
    mut client: OrderOperatorServiceClient<Channel>,
    change: Change,
    decision: &Decision,
    key: &str,
) -> Result<Option<wire::OrderStanding>, Status> {
    let (order_id, operator) = (decision.order.to_string(), decision.operator.clone());
    let (reason, idempotency_key) = (decision.reason.clone(), key.to_owned());
    match change {
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
        Change::Close => {
            let request = wire::CloseOrderRequest { order_id, operator, reason, idempotency_key };
            client.close_order(request).await.map(|response| response.into_inner().order)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use contracts::order::v1::order_operator_service_server::{OrderOperatorService, OrderOperatorServiceServer};
    use ids::Region;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, async_trait};

    use super::super::regions;
    use super::*;

    /// A region that has one order, which can be parked and nothing else.
    struct Has(OrderId);

    #[async_trait]
    impl OrderOperatorService for Has {
        async fn list_parked_orders(
            &self,
            _: Request<wire::ListParkedOrdersRequest>,
        ) -> Result<Response<wire::ListParkedOrdersResponse>, Status> {
            Ok(Response::new(wire::ListParkedOrdersResponse::default()))
        }

        async fn park_order(
            &self,
            request: Request<wire::ParkOrderRequest>,
        ) -> Result<Response<wire::ParkOrderResponse>, Status> {
            let wire::ParkOrderRequest { order_id, operator, reason, .. } = request.into_inner();
            if order_id != self.0.to_string() {
                return Err(Status::not_found("no such order"));
            }
            let parked_reason = format!("parked by {operator}: {reason}");
            let order = Some(wire::OrderStanding { order_id, parked_reason, ..Default::default() });
            Ok(Response::new(wire::ParkOrderResponse { order }))
        }

        async fn retry_order(
            &self,
            request: Request<wire::RetryOrderRequest>,
        ) -> Result<Response<wire::RetryOrderResponse>, Status> {
            let is_ours = request.into_inner().order_id == self.0.to_string();
            Err(if is_ours { Status::failed_precondition("not parked") } else { Status::not_found("no such order") })
        }

        async fn compensate_order(
            &self,
            _: Request<wire::CompensateOrderRequest>,
        ) -> Result<Response<wire::CompensateOrderResponse>, Status> {
            Err(Status::not_found("no such order"))
        }

        async fn close_order(
            &self,
            _: Request<wire::CloseOrderRequest>,
        ) -> Result<Response<wire::CloseOrderResponse>, Status> {
            Err(Status::not_found("no such order"))
        }
    }

    async fn serve(order: OrderId) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = OrderOperatorServiceServer::new(Has(order));
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    /// An address where nobody listens any more.
    async fn nowhere() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    fn asked(east: SocketAddr, west: SocketAddr) -> Vec<Asked> {
        vec![(Region::East, regions::client(east).unwrap()), (Region::West, regions::client(west).unwrap())]
    }

    fn decision(order: OrderId) -> Decision {
        Decision { order, reason: "looks odd".to_owned(), operator: "ada".to_owned(), key: None }
    }

    #[tokio::test]
    async fn the_region_that_has_the_order_is_found_even_when_the_other_is_away() {
        let order = OrderId::generate();
        for east in [serve(OrderId::generate()).await, nowhere().await] {
            let regions = asked(east, serve(order).await);
            let shown = change(regions, Change::Park, &decision(order)).await.unwrap();
            assert!(shown.contains("west") && shown.contains("parked by ada: looks odd"), "{shown}");
        }
    }

    #[tokio::test]
    async fn what_may_not_be_kept_is_refused_before_anybody_is_asked() {
        let order = OrderId::generate();
        let regions = asked(serve(order).await, nowhere().await);
        for (operator, reason) in [("ada", "paid with 4242 4242 4242 4242"), ("\u{200b}", "looks odd")] {
            let decision = Decision { reason: reason.to_owned(), operator: operator.to_owned(), ..decision(order) };
            let refused = format!("{:#}", change(regions.clone(), Change::Park, &decision).await.unwrap_err());
            assert!(refused.starts_with("--") && !refused.contains("4242"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_refusal_and_an_order_that_nobody_has_are_said() {
        let order = OrderId::generate();
        let (east, west) = (serve(order).await, serve(OrderId::generate()).await);
        let refused = change(asked(east, west), Change::Retry, &decision(order)).await.unwrap_err().to_string();
        assert_eq!(refused, "east refuses: not parked");
        let unknown = change(asked(east, west), Change::Compensate, &decision(order)).await.unwrap_err().to_string();
        assert_eq!(unknown, format!("no region has order {order}"));
        let away = change(asked(nowhere().await, west), Change::Retry, &decision(order)).await.unwrap_err().to_string();
        assert!(away.contains("east did not answer") && away.contains("--key"), "{away}");
    }
}
