//! The edge: what bad input gets, who may see what, pages.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use contracts::order::v1 as wire;
use contracts::order::v1::order_service_server::OrderService as _;
use ids::{CustomerId, OrderId};
use order::grpc::OrderGrpc;
use sqlx::PgPool;
use support::{App, Fault, Method, cut_line, migrate, request};
use tonic::{Code, Request, Status};

fn edge(app: &App) -> OrderGrpc {
    OrderGrpc::new(app.sagas.clone())
}

fn uuid() -> String {
    OrderId::generate().to_string()
}

fn place_request() -> wire::PlaceOrderRequest {
    wire::PlaceOrderRequest {
        customer_id: uuid(),
        idempotency_key: "key-1".to_owned(),
        cart_id: uuid(),
        cart_version: "v1".to_owned(),
        card_token: "tok_visa".to_owned(),
        delivery: Some(wire::DeliveryAddress { country: "United Kingdom".to_owned(), ..Default::default() }),
        expected_total: None,
    }
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(chassis::status::reason(status).as_deref(), Some("INVALID_REQUEST"));
    chassis::status::field_violations(status).into_iter().map(|violation| violation.field).collect()
}

#[sqlx::test(migrations = false)]
async fn bad_order_requests_are_refused_field_by_field_and_call_nobody(pool: PgPool) {
    type Spoil = fn(&mut wire::PlaceOrderRequest);
    migrate(&pool).await;
    let app = App::new(&pool);
    let cases: [(&str, Spoil); 16] = [
        ("customer_id", |request| request.customer_id = "17".to_owned()),
        ("customer_id", |request| request.customer_id.clear()),
        ("idempotency_key", |request| request.idempotency_key.clear()),
        ("idempotency_key", |request| request.idempotency_key = "x".repeat(129)),
        ("idempotency_key", |request| request.idempotency_key = "white space".to_owned()),
        ("cart_id", |request| request.cart_id = "cart".to_owned()),
        ("cart_version", |request| request.cart_version.clear()),
        ("card_token", |request| request.card_token.clear()),
        ("card_token", |request| request.card_token = "x".repeat(129)),
        ("card_token", |request| request.card_token = "nul\0".to_owned()),
        ("delivery.country", |request| request.delivery = None),
        ("delivery.country", |request| request.delivery.as_mut().unwrap().country = "x".repeat(65)),
        ("delivery.recipient", |request| request.delivery.as_mut().unwrap().recipient = "é".repeat(201)),
        ("delivery.street", |request| request.delivery.as_mut().unwrap().street = "two\nlines".to_owned()),
        ("delivery.city", |request| request.delivery.as_mut().unwrap().city = "x".repeat(101)),
        ("delivery.postal_code", |request| request.delivery.as_mut().unwrap().postal_code = "x".repeat(21)),
    ];
    for (field, spoil) in cases {
        let mut request = place_request();
        spoil(&mut request);
        let status = edge(&app).place_order(Request::new(request)).await.unwrap_err();
        assert_eq!(fields(&status), [field]);
    }
    let status = edge(&app).place_order(Request::new(wire::PlaceOrderRequest::default())).await.unwrap_err();
    assert_eq!(fields(&status).len(), 6, "all at once");
    assert!(app.world.calls().is_empty());
}

#[sqlx::test(migrations = false)]
async fn bad_requests_about_orders_are_refused_field_by_field(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let edge = edge(&app);
    let lines = |lines: &[(&str, i64)]| -> Vec<wire::ReturnLine> {
        lines
            .iter()
            .map(|(offer, quantity)| wire::ReturnLine { offer_id: (*offer).to_owned(), quantity: *quantity })
            .collect()
    };
    let many: Vec<(String, i64)> = (0..1_501).map(|n| (format!("offer-{n}"), 1)).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|(offer, quantity)| (offer.as_str(), *quantity)).collect();
    let cases: [(&str, Vec<wire::ReturnLine>); 7] = [
        ("lines", lines(&[])),
        ("lines", lines(&many)),
        ("lines[0].quantity", lines(&[("mug", 0)])),
        ("lines[1].quantity", lines(&[("mug", 1), ("bowl", -1)])),
        ("lines[0].offer_id", lines(&[("a mug", 1)])),
        ("lines[0].offer_id", lines(&[("", 1)])),
        ("lines[1].offer_id", lines(&[("mug", 1), ("mug", 1)])),
    ];
    for (field, lines) in cases {
        let request =
            wire::ReturnOrderRequest { order_id: uuid(), customer_id: uuid(), idempotency_key: "r".to_owned(), lines };
        assert_eq!(fields(&edge.return_order(Request::new(request)).await.unwrap_err()), [field]);
    }
    let bad = || "nonsense".to_owned();
    let get = wire::GetOrderRequest { order_id: bad(), customer_id: bad() };
    assert_eq!(fields(&edge.get_order(Request::new(get)).await.unwrap_err()), ["order_id", "customer_id"]);
    let cancel = wire::CancelOrderRequest { order_id: bad(), customer_id: bad() };
    assert_eq!(fields(&edge.cancel_order(Request::new(cancel)).await.unwrap_err()), ["order_id", "customer_id"]);
    let fate = wire::GetOrderFateRequest { order_id: bad() };
    assert_eq!(fields(&edge.get_order_fate(Request::new(fate)).await.unwrap_err()), ["order_id"]);
    for (page_size, page_token, field) in [(-1, "", "page_size"), (101, "", "page_size"), (1, "AAAA", "page_token")] {
        let list = wire::ListOrdersRequest { customer_id: uuid(), page_size, page_token: page_token.to_owned() };
        assert_eq!(fields(&edge.list_orders(Request::new(list)).await.unwrap_err()), [field]);
    }
}

#[sqlx::test(migrations = false)]
async fn an_order_of_somebody_else_is_like_none(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = app.place(&request()).await.unwrap();
    app.ship(order.id).await;
    let edge = edge(&app);
    for (order_id, customer_id) in [(order.id.to_string(), uuid()), (uuid(), order.customer.to_string())] {
        let get = wire::GetOrderRequest { order_id: order_id.clone(), customer_id: customer_id.clone() };
        let cancel = wire::CancelOrderRequest { order_id: order_id.clone(), customer_id: customer_id.clone() };
        let lines = vec![wire::ReturnLine { offer_id: "mug".to_owned(), quantity: 1 }];
        let idempotency_key = "r".to_owned();
        let give_back = wire::ReturnOrderRequest { order_id, customer_id, idempotency_key, lines };
        for status in [
            edge.get_order(Request::new(get)).await.unwrap_err(),
            edge.cancel_order(Request::new(cancel)).await.unwrap_err(),
            edge.return_order(Request::new(give_back)).await.unwrap_err(),
        ] {
            assert_eq!(status.code(), Code::NotFound);
            assert_eq!(chassis::status::reason(&status).as_deref(), Some("ORDER_NOT_FOUND"));
        }
    }
}

#[sqlx::test(migrations = false)]
async fn a_refusal_is_the_same_every_time_with_its_lines(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let mut short = support::world::refusal("OUT_OF_STOCK");
    let [kind, subject, description] = ["OUT_OF_STOCK", "mug", "2 left"].map(str::to_owned);
    short.violations.push(order::domain::Violation { kind, subject, description });
    app.world.fail(Method::Reserve, Fault::Refuse(short));
    let request = place_request();
    for _ in 0..2 {
        let status = edge(&app).place_order(Request::new(request.clone())).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(chassis::status::reason(&status).as_deref(), Some("OUT_OF_STOCK"));
        let violations = chassis::status::violations(&status);
        assert_eq!(violations, [chassis::status::Violation::new("OUT_OF_STOCK", "mug", "2 left")]);
    }
    let list = wire::ListOrdersRequest { customer_id: request.customer_id, ..Default::default() };
    let orders = edge(&app).list_orders(Request::new(list)).await.unwrap().into_inner().orders;
    assert_eq!((orders[0].state(), orders[0].rejection_reason.as_str()), (wire::OrderState::Rejected, "OUT_OF_STOCK"));
}

#[sqlx::test(migrations = false)]
async fn what_cannot_be_done_yet_or_any_more_says_so(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let edge = edge(&app);
    let fate = async |id: OrderId| {
        let request = wire::GetOrderFateRequest { order_id: id.to_string() };
        edge.get_order_fate(Request::new(request)).await.unwrap().into_inner().fate()
    };
    let cancel = async |id: OrderId, customer: CustomerId| {
        let request = wire::CancelOrderRequest { order_id: id.to_string(), customer_id: customer.to_string() };
        let answer = edge.cancel_order(Request::new(request)).await;
        answer.map(|answer| answer.into_inner().order.unwrap().state()).map_err(|status| {
            assert_eq!(status.code(), Code::FailedPrecondition);
            chassis::status::reason(&status).unwrap()
        })
    };
    assert_eq!(fate(OrderId::generate()).await, wire::OrderFate::Unknown);

    app.world.fail(Method::Authorise, Fault::HoldBefore);
    let undecided = request();
    tokio::select! {
        _ = app.place(&undecided) => panic!("was not held"),
        () = app.world.reached.notified() => {}
    }
    let id = app.world.order_of(undecided.cart).unwrap();
    assert_eq!(fate(id).await, wire::OrderFate::Undecided);
    assert_eq!(cancel(id, undecided.customer).await, Err("ORDER_PENDING".to_owned()));
    app.recover().await;
    assert_eq!(fate(id).await, wire::OrderFate::Placed);
    assert_eq!(cancel(id, undecided.customer).await, Ok(wire::OrderState::Cancelled));
    assert_eq!(cancel(id, undecided.customer).await, Ok(wire::OrderState::Cancelled));
    // Its events settle what is held for it, and both may still be on their way.
    assert_eq!(fate(id).await, wire::OrderFate::Placed);

    let mut declined = request();
    declined.card_token = order::domain::CardToken::new("tok_chargeDeclined".to_owned());
    assert!(app.place(&declined).await.is_err());
    let rejected = app.world.order_of(declined.cart).unwrap();
    assert_eq!(fate(rejected).await, wire::OrderFate::Ended);

    let shipped = app.place(&request()).await.unwrap();
    app.ship(shipped.id).await;
    assert_eq!(fate(shipped.id).await, wire::OrderFate::Placed);
    assert_eq!(cancel(shipped.id, shipped.customer).await, Err("ORDER_ALREADY_SHIPPED".to_owned()));
}

#[sqlx::test(migrations = false)]
async fn pages_are_newest_first_complete_and_of_one_list_only(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    app.world.sell(vec![cut_line("mug", "potter", 255, "GBP", 1), cut_line("bowl", "turner", 900, "GBP", 2)]);
    let owner = request();
    let mut placed = Vec::new();
    for n in 0..5 {
        let request = order::domain::PlaceRequest {
            idempotency_key: format!("key-{n}").parse().unwrap(),
            cart: ids::CartId::generate(),
            ..owner.clone()
        };
        placed.push(app.place(&request).await.unwrap().id.to_string());
    }
    placed.reverse();
    app.place(&request()).await.unwrap();
    let edge = edge(&app);
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let customer_id = owner.customer.to_string();
        let request = wire::ListOrdersRequest { customer_id, page_size: 2, page_token: page_token.clone() };
        let page = edge.list_orders(Request::new(request)).await.unwrap().into_inner();
        for order in &page.orders {
            let offers: Vec<_> = order.lines.iter().map(|line| line.offer_id.as_str()).collect();
            assert_eq!(offers, ["bowl", "mug"]);
            assert_eq!(order.total.as_ref().unwrap().minor_units, 2_055);
        }
        listed.extend(page.orders.into_iter().map(|order| order.order_id));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    assert_eq!(listed, placed);
    let stolen = wire::ListOrdersRequest { customer_id: uuid(), page_size: 2, page_token };
    assert_eq!(fields(&edge.list_orders(Request::new(stolen)).await.unwrap_err()), ["page_token"]);
}

/// What an order reads like right after it was placed, and ever after.
#[sqlx::test(migrations = false)]
async fn an_order_reads_the_same_from_memory_and_from_the_store(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = place_request();
    let placed = edge(&app).place_order(Request::new(request.clone())).await.unwrap().into_inner().order.unwrap();
    let get = wire::GetOrderRequest { order_id: placed.order_id.clone(), customer_id: request.customer_id.clone() };
    let read = edge(&app).get_order(Request::new(get)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(placed, read);
    let repeated = edge(&app).place_order(Request::new(request)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(placed, repeated);
}
