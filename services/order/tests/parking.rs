//! Sagas that need a person: what parks them, and what operators may do.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use contracts::order::v1 as wire;
use contracts::order::v1::order_operator_service_server::OrderOperatorService as _;
use ids::OrderId;
use order::domain::{OrderState, PlaceRequest};
use order::grpc::OperatorGrpc;
use order::sagas::place_order::PlaceError;
use order::workers::Queue as _;
use sqlx::PgPool;
use support::world::refusal;
use support::{App, Fault, Method, World, migrate, request};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

fn operators(app: &App) -> OperatorGrpc {
    OperatorGrpc::new(app.sagas.clone())
}

async fn retry(app: &App, order: OrderId, key: &str) -> Result<wire::OrderStanding, Status> {
    let request = wire::RetryOrderRequest {
        order_id: order.to_string(),
        operator: "ada".to_owned(),
        reason: "mended".to_owned(),
        idempotency_key: key.to_owned(),
    };
    let answer = operators(app).retry_order(Request::new(request)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn park(app: &App, order: OrderId, key: &str) -> Result<wire::OrderStanding, Status> {
    let request = wire::ParkOrderRequest {
        order_id: order.to_string(),
        operator: "ada".to_owned(),
        reason: "looks odd".to_owned(),
        idempotency_key: key.to_owned(),
    };
    let answer = operators(app).park_order(Request::new(request)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn compensate(app: &App, order: OrderId, key: &str) -> Result<wire::OrderStanding, Status> {
    let request = wire::CompensateOrderRequest {
        order_id: order.to_string(),
        operator: "ada".to_owned(),
        reason: "the shopper gave up".to_owned(),
        idempotency_key: key.to_owned(),
    };
    let answer = operators(app).compensate_order(Request::new(request)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn close(app: &App, order: OrderId, key: &str) -> Result<wire::OrderStanding, Status> {
    let request = wire::CloseOrderRequest {
        order_id: order.to_string(),
        operator: "ada".to_owned(),
        reason: "seen to by hand".to_owned(),
        idempotency_key: key.to_owned(),
    };
    let answer = operators(app).close_order(Request::new(request)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn listed(app: &App) -> Vec<wire::OrderStanding> {
    let request = Request::new(wire::ListParkedOrdersRequest { page_size: 0 });
    let answer = operators(app).list_parked_orders(request).await.unwrap().into_inner();
    assert_eq!(answer.total, i64::try_from(answer.orders.len()).unwrap());
    answer.orders
}

async fn actions(pool: &PgPool, order: OrderId) -> Vec<(String, String, String, String, String)> {
    sqlx::query_as(
        "select action, operator, reason, standing_before ->> 'state', standing_after ->> 'state'
         from operator_action where order_id = $1 order by acted_at",
    )
    .bind(order.as_uuid())
    .fetch_all(pool)
    .await
    .unwrap()
}

/// An order that is pending and driven by nobody for now.
async fn undecided(app: &App) -> (PlaceRequest, OrderId) {
    let request = request();
    app.world.fail(Method::Authorise, Fault::LoseRequest);
    let order = app.sagas.place.place(&request, Instant::now() + Duration::from_millis(5)).await.unwrap();
    assert_eq!(order.state, OrderState::Pending);
    (request, order.id)
}

#[sqlx::test(migrations = false)]
async fn a_refused_compensation_parks_the_order_until_somebody_retries_it(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    app.world.fail(Method::Authorise, Fault::Refuse(refusal("CARD_DECLINED")));
    app.world.fail(Method::Release, Fault::Refuse(refusal("SOLD")));
    let order = app.place(&request).await.unwrap();
    assert_eq!(app.finish().await, 1, "nobody drives it on");
    let [parked] = listed(&app).await.try_into().unwrap();
    assert_eq!((&parked.order_id, parked.state.as_str()), (&order.id.to_string(), "compensating"));
    assert!(parked.parked_reason.contains("reserve_stock") && parked.parked_reason.contains("SOLD"), "{parked:?}");

    let standing = retry(&app, order.id, "k-1").await.unwrap();
    assert_eq!((standing.parked_reason.as_str(), standing.attempts), ("", 0));
    app.recover().await;
    assert!(matches!(app.place(&request).await, Err(PlaceError::Refused(why)) if why.reason == "CARD_DECLINED"));
    assert_eq!(app.world.held(order.id), (false, false, false));
    let mended = ("retry", "ada", "mended", "compensating", "compensating");
    let mended =
        (mended.0.to_owned(), mended.1.to_owned(), mended.2.to_owned(), mended.3.to_owned(), mended.4.to_owned());
    assert_eq!(actions(&pool, order.id).await, [mended]);
    assert!(listed(&app).await.is_empty());
}

#[sqlx::test(migrations = false)]
async fn a_saga_that_fails_too_many_turns_is_parked(pool: PgPool) {
    migrate(&pool).await;
    let app = App::with_attempts(&pool, Arc::new(World::default()), 3);
    let order = app.place(&request()).await.unwrap();
    app.sagas.cancel.cancel(order.id, order.customer).await.unwrap();
    for _ in 0..3 {
        app.world.fail(Method::Void, Fault::LoseAnswer);
    }
    assert_eq!(app.finish().await, 1);
    let [parked] = listed(&app).await.try_into().unwrap();
    assert_eq!((parked.attempts, parked.parked_reason.as_str()), (3, "not finished after 3 turns"));
    retry(&app, order.id, "k-1").await.unwrap();
    app.recover().await;
    assert!(!app.world.held(order.id).2, "voided after all");
}

#[sqlx::test(migrations = false)]
async fn a_row_that_makes_no_sense_is_parked_and_keeps_nobody_from_being_driven(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let (_, corrupt) = undecided(&app).await;
    let (_, sound) = undecided(&app).await;
    sqlx::query("update customer_order set currency = '???' where order_id = $1")
        .bind(corrupt.as_uuid())
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(app.finish().await, 1);
    let [parked] = listed(&app).await.try_into().unwrap();
    assert!(parked.order_id == corrupt.to_string() && parked.parked_reason.contains("corrupt"), "{parked:?}");
    assert_eq!(app.sagas.store.state(sound).await.unwrap(), Some(OrderState::Placed));
}

#[sqlx::test(migrations = false)]
async fn an_operator_parks_an_order_under_its_drivers_feet(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    app.world.fail(Method::Authorise, Fault::HoldBefore);
    let driven = app.place(&request);
    let operator = async {
        app.world.reached.notified().await;
        let order = app.world.order_of(request.cart).unwrap();
        park(&app, order, "k-1").await.unwrap();
        app.world.let_go.notify_one();
    };
    let (answer, ()) = tokio::join!(driven, operator);
    let order = answer.unwrap();
    assert_eq!(order.state, OrderState::Pending, "the driver's token is old");
    assert!(app.outbox(order.id).await.is_empty());
    assert_eq!(app.finish().await, 1);
    retry(&app, order.id, "k-2").await.unwrap();
    app.recover().await;
    assert_eq!(app.outbox(order.id).await, ["order.placed.v1"]);
}

#[sqlx::test(migrations = false)]
async fn an_operator_unwinds_what_is_not_placed_and_nothing_else(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let (request, order) = undecided(&app).await;
    let standing = compensate(&app, order, "k-1").await.unwrap();
    assert_eq!(standing.state, "compensating");
    app.recover().await;
    assert!(matches!(app.place(&request).await, Err(PlaceError::Refused(why)) if why.reason == "ORDER_CALLED_OFF"));
    assert_eq!(app.world.held(order), (false, false, false));

    let placed = app.place(&support::request()).await.unwrap();
    let refused = compensate(&app, placed.id, "k-2").await.unwrap_err();
    assert_eq!((refused.code(), refused.message().contains("cancel")), (Code::FailedPrecondition, true));
    assert_eq!(chassis::status::reason(&refused).as_deref(), Some("ORDER_PLACED"));
    assert!(actions(&pool, placed.id).await.is_empty(), "what was not done is not recorded");
}

#[sqlx::test(migrations = false)]
async fn a_decision_is_carried_out_once(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let (_, order) = undecided(&app).await;
    let (_, other) = undecided(&app).await;
    let first = park(&app, order, "k-1").await.unwrap();
    retry(&app, order, "k-2").await.unwrap();
    let again = park(&app, order, "k-1").await.unwrap();
    assert!(!first.parked_at.is_empty() && again.parked_at.is_empty(), "the late repeat does not park it again");
    assert_eq!(actions(&pool, order).await.len(), 2);
    let reused = park(&app, other, "k-1").await.unwrap_err();
    assert_eq!(chassis::status::reason(&reused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    let unknown = park(&app, OrderId::generate(), "k-3").await.unwrap_err();
    assert_eq!(chassis::status::reason(&unknown).as_deref(), Some("ORDER_NOT_FOUND"));
    let at_once = futures::future::join_all((0..8).map(|_| park(&app, order, "k-4"))).await;
    assert!(at_once.iter().all(Result::is_ok), "{at_once:?}");
    assert_eq!(actions(&pool, order).await.len(), 3);
}

#[sqlx::test(migrations = false)]
async fn the_record_of_operators_cannot_be_changed(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let (_, order) = undecided(&app).await;
    park(&app, order, "k-1").await.unwrap();
    for change in
        ["update operator_action set operator = 'eve'", "delete from operator_action", "truncate operator_action"]
    {
        let refused = sqlx::query(sqlx::AssertSqlSafe(change)).execute(&pool).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
        assert_eq!(constraint, Some("operator_action_append_only"), "{change}");
    }
}

#[sqlx::test(migrations = false)]
async fn bad_decisions_are_refused_field_by_field(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let refused = operators(&app).park_order(Request::new(wire::ParkOrderRequest::default())).await.unwrap_err();
    let fields: Vec<_> = chassis::status::field_violations(&refused).into_iter().map(|one| one.field).collect();
    assert_eq!(fields, ["order_id", "operator", "reason", "idempotency_key"]);
    let request = Request::new(wire::ListParkedOrdersRequest { page_size: 1_001 });
    assert_eq!(operators(&app).list_parked_orders(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[sqlx::test(migrations = false)]
async fn a_parked_refund_is_listed_under_its_order_and_paid_when_retried(pool: PgPool) {
    use order::domain::{ReturnLine, ReturnRequest};
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = app.place(&request()).await.unwrap();
    app.ship(order.id).await;
    app.world.fail(Method::Refund, Fault::Refuse(refusal("NO")));
    let give_back = ReturnRequest {
        order: order.id,
        customer: order.customer,
        idempotency_key: "r-1".parse().unwrap(),
        lines: vec![ReturnLine { offer: "mug".parse().unwrap(), quantity: 1 }],
    };
    app.sagas.give_back.take_back(&give_back, support::soon()).await.unwrap();
    let [parked] = listed(&app).await.try_into().unwrap();
    assert_eq!((parked.parked_at.as_str(), parked.refunds.len()), ("", 1));
    assert!(parked.refunds[0].parked_reason.contains("NO"));
    retry(&app, order.id, "k-1").await.unwrap();
    app.recover().await;
    assert_eq!(app.world.refunded_minor(), 255);
    // Claiming it again finds nothing.
    assert!(order::workers::refunds::Refunds::new(app.sagas.clone()).claim(1).await.unwrap().is_empty());
}

/// Whatever is parked, and refused for ever: somebody can say that it is done.
#[sqlx::test(migrations = false)]
async fn closing_ends_what_no_retry_can(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    // An order that cannot be unwound.
    app.world.fail(Method::Authorise, Fault::Refuse(refusal("CARD_DECLINED")));
    app.world.fail(Method::Release, Fault::Refuse(refusal("SOLD")));
    let stuck = app.place(&request()).await.unwrap();
    app.finish().await;
    assert_eq!(close(&app, stuck.id, "k-1").await.unwrap().state, "rejected");
    // A cancelled order that cannot be voided.
    let cancelled = app.place(&request()).await.unwrap();
    app.sagas.cancel.cancel(cancelled.id, cancelled.customer).await.unwrap();
    app.world.fail(Method::Void, Fault::Refuse(refusal("PAYMENT_CAPTURED")));
    app.finish().await;
    assert_eq!(close(&app, cancelled.id, "k-2").await.unwrap().state, "cancelled");
    // A return that cannot be refunded.
    let shipped = app.place(&request()).await.unwrap();
    app.ship(shipped.id).await;
    app.world.fail(Method::Refund, Fault::Refuse(refusal("NO")));
    let give_back = order::domain::ReturnRequest {
        order: shipped.id,
        customer: shipped.customer,
        idempotency_key: "r-1".parse().unwrap(),
        lines: vec![order::domain::ReturnLine { offer: "mug".parse().unwrap(), quantity: 1 }],
    };
    app.sagas.give_back.take_back(&give_back, Instant::now() + Duration::from_secs(5)).await.unwrap();
    assert_eq!(listed(&app).await.len(), 1);
    assert!(close(&app, shipped.id, "k-3").await.unwrap().refunds.is_empty());
    let closed = app.sagas.give_back.take_back(&give_back, Instant::now() + Duration::from_secs(5)).await.unwrap();
    assert_eq!((closed.state, closed.amount_minor), (order::domain::ReturnState::Refunded, 0));
    assert!(listed(&app).await.is_empty());
    assert_eq!(app.sagas.store.order(shipped.id).await.unwrap().unwrap().refunded_minor, 0);
    let nothing = close(&app, shipped.id, "k-4").await.unwrap_err();
    assert_eq!(nothing.code(), Code::FailedPrecondition);
}
