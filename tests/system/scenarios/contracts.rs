//! The gRPC surface that clients in any language meet: health, reflection, rich errors, bounded messages.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use contracts::cart::v1::cart_service_client::CartServiceClient;
use contracts::cart::v1::{AddLineRequest, CreateCartRequest};
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::{Offer, UpsertOffersRequest};
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use contracts::inventory::v1::{ReserveRequest, StockLine};
use contracts::money::v1::Money;
use futures::StreamExt as _;
use ids::Region;
use libtest_mimic::Trial;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::Scenarios;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("every_service_has_health_and_reflection", health_and_reflection),
        scenarios.trial("grpc_errors_carry_their_details", error_details),
        scenarios.trial("bad_grpc_requests_are_refused", bad_requests),
    ]
}

/// Host number and the service that reflection must list.
const SERVICES: [(u8, &str); 5] = [
    (11, "cart.v1.CartService"),
    (12, "inventory.v1.InventoryService"),
    (12, "catalog.v1.CatalogService"),
    (13, "payment.v1.PaymentService"),
    (14, "order.v1.OrderService"),
];

async fn health_and_reflection(deployment: Arc<Deployment>) -> Result<()> {
    for region in Region::ALL {
        for (host, service) in SERVICES {
            let address = deployment.grpc(region, host);
            let check = HealthCheckRequest { service: service.to_owned() };
            let channel = Endpoint::from_shared(address)?.connect().await?;
            let health = HealthClient::new(channel.clone()).check(check).await?.into_inner();
            ensure!(health.status == 1, "{service} in {region} is not SERVING: {health:?}");
            let listed = reflected(channel).await?;
            ensure!(listed.iter().any(|name| name == service), "{service} in {region} is not among {listed:?}");
        }
    }
    Ok(())
}

async fn reflected(channel: Channel) -> Result<Vec<String>> {
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await?.into_inner();
    let answer = answers.next().await.context("no answer")??.message_response;
    match answer {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => anyhow::bail!("unexpected answer {other:?}"),
    }
}

fn check(what: &str, status: &Status, code: Code, reason: &str) -> Result<()> {
    let details = status.get_error_details();
    let info = details.error_info().with_context(|| format!("{what}: no ErrorInfo in {status:?}"))?;
    ensure!(status.code() == code && info.reason == reason, "{what}: {:?} {}", status.code(), info.reason);
    ensure!(info.domain == "marketplace", "{what}: domain {}", info.domain);
    if code == Code::InvalidArgument {
        ensure!(details.bad_request().is_some_and(|bad| !bad.field_violations.is_empty()), "{what}: no field named");
    }
    Ok(())
}

fn refused<T: std::fmt::Debug>(what: &str, result: Result<tonic::Response<T>, Status>) -> Result<Status> {
    match result {
        Ok(response) => anyhow::bail!("{what} was accepted: {response:?}"),
        Err(status) => Ok(status),
    }
}

async fn error_details(deployment: Arc<Deployment>) -> Result<()> {
    let mut carts = CartServiceClient::connect(deployment.grpc(Region::East, 11)).await?;
    let owner_id = Uuid::now_v7().to_string();
    let create = CreateCartRequest { owner_id: owner_id.clone(), idempotency_key: "details".to_owned() };
    let cart = carts.create_cart(create).await?.into_inner().cart.context("no cart")?;
    let add = AddLineRequest {
        cart_id: cart.cart_id,
        owner_id,
        idempotency_key: "1".to_owned(),
        offer_id: "no-such".to_owned(),
        quantity: 1,
    };
    let unknown = refused("unknown offer", carts.add_line(add.clone()).await)?;
    check("unknown offer", &unknown, Code::NotFound, "OFFER_NOT_FOUND")?;
    let bad = refused("quantity 0", carts.add_line(AddLineRequest { quantity: 0, ..add }).await)?;
    check("quantity 0", &bad, Code::InvalidArgument, "INVALID_REQUEST")?;

    let scarce = deployment.offer(100, 1, 1).await?;
    let mut inventory = InventoryServiceClient::connect(deployment.grpc(Region::East, 12)).await?;
    let reserve = ReserveRequest {
        order_id: Uuid::now_v7().to_string(),
        lines: vec![StockLine { offer_id: scarce.clone(), units: 3 }],
    };
    let short = refused("three of two", inventory.reserve(reserve).await)?;
    check("three of two", &short, Code::FailedPrecondition, "OUT_OF_STOCK")?;
    let violations = short.get_details_precondition_failure().context("no lines named")?.violations;
    ensure!(violations[0].subject == scarce, "{violations:?}");
    Ok(())
}

async fn bad_requests(deployment: Arc<Deployment>) -> Result<()> {
    let mut catalog = CatalogServiceClient::connect(deployment.grpc(Region::East, 12)).await?;
    let offer = |minor_units: i64, currency: &str| Offer {
        offer_id: "bad-offer".to_owned(),
        seller_id: "seller".to_owned(),
        title: "Bad offer".to_owned(),
        unit_price: Some(Money { minor_units, currency_code: currency.to_owned() }),
        attributes: Default::default(),
    };
    let bad_offers = [
        ("unknown currency", offer(100, "XYZ")),
        ("lower-case currency", offer(100, "gbp")),
        ("price 0", offer(0, "GBP")),
        ("negative price", offer(-1, "GBP")),
        ("price 2^63 - 1", offer(i64::MAX, "GBP")),
        ("no price", Offer { unit_price: None, ..offer(1, "GBP") }),
        ("no title", Offer { title: String::new(), ..offer(1, "GBP") }),
    ];
    for (what, offer) in bad_offers {
        let status = refused(
            what,
            catalog.upsert_offers(UpsertOffersRequest { offers: vec![offer], ..Default::default() }).await,
        )?;
        check(what, &status, Code::InvalidArgument, "INVALID_REQUEST")?;
    }

    let mut inventory = InventoryServiceClient::connect(deployment.grpc(Region::East, 12)).await?;
    let line = |at: usize| StockLine { offer_id: format!("offer-{at}"), units: 1 };
    let bad_lines = [
        ("no lines", vec![]),
        ("1,501 lines", (0..1_501).map(line).collect()),
        ("an offer twice", vec![line(1), line(1)]),
        ("no units", vec![StockLine { units: 0, ..line(1) }]),
        ("negative units", vec![StockLine { units: i64::MIN, ..line(1) }]),
    ];
    for (what, lines) in bad_lines {
        let request = ReserveRequest { order_id: Uuid::now_v7().to_string(), lines };
        let status = refused(what, inventory.reserve(request).await)?;
        check(what, &status, Code::InvalidArgument, "INVALID_REQUEST")?;
    }

    // Beyond the size limit the transport refuses before any of our code reads it.
    let huge = ReserveRequest { order_id: "x".repeat(5 << 20), lines: vec![] };
    let status = refused("5 MiB of order id", inventory.reserve(huge).await)?;
    ensure!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    Ok(())
}
