//! What happens to an order that stands: shipping, cancelling, returning, and the races between them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use contracts::money::v1::Money;
use contracts::order::v1::OrderPlaced;
use contracts::payment::v1::{PaymentCaptured, PaymentRefunded};
use ids::{CustomerId, EventId, OrderId, Region};
use order::domain::{Order, OrderState, ReturnLine, ReturnRequest, ReturnState};
use order::store::{Cancelled, Fence, Lease, ReturnRefused};
use order::workers::Queue as _;
use order::workers::fulfilment::{Schedule, ship};
use order::workers::payment_events::PaymentEvents;
use order::workers::refunds::Refunds;
use outbox::{HandleError, Handler, Received};
use prost::Message;
use sqlx::PgPool;
use support::{App, Fault, Method, migrate, request, soon};
use tokio_util::sync::CancellationToken;

async fn placed(app: &App) -> Order {
    app.place(&request()).await.unwrap()
}

async fn state(app: &App, id: OrderId) -> OrderState {
    app.sagas.store.state(id).await.unwrap().unwrap()
}

fn event(event_type: &str, key: impl ToString, payload: &impl Message) -> Received {
    Received {
        id: EventId::generate(),
        event_type: event_type.to_owned(),
        home_region: Region::East,
        aggregate_id: key.to_string(),
        payload: payload.encode_to_vec().into(),
        traceparent: None,
        occurred_at: chrono::Utc::now(),
    }
}

async fn handle(app: &App, handler: &impl Handler, event: &Received) -> Result<(), HandleError> {
    let mut conn = app.pool.acquire().await.unwrap();
    handler.handle(&mut conn, event).await
}

async fn make_due(app: &App, id: OrderId) {
    sqlx::query("update customer_order set ship_at = now() where order_id = $1")
        .bind(id.as_uuid())
        .execute(&app.pool)
        .await
        .unwrap();
}

async fn ship_at(app: &App, id: OrderId) -> Option<chrono::DateTime<chrono::Utc>> {
    sqlx::query_scalar("select ship_at from customer_order where order_id = $1")
        .bind(id.as_uuid())
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrations = false)]
async fn a_placed_order_ships_when_it_is_due_and_once(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    let delay = Duration::from_millis(300);
    let event =
        event("order.placed.v1", order.id, &OrderPlaced { order_id: order.id.to_string(), ..Default::default() });
    handle(&app, &Schedule::new(delay), &event).await.unwrap();
    let due = ship_at(&app, order.id).await;
    handle(&app, &Schedule::new(delay), &event).await.unwrap();
    assert!(due.is_some() && ship_at(&app, order.id).await == due, "a repeat does not put it off");
    assert_eq!(app.sagas.store.ship_due(100).await.unwrap(), 0, "not yet due");
    let token = CancellationToken::new();
    let worker = ship(&app.sagas.store, delay, token.clone());
    let watch = async {
        while state(&app, order.id).await == OrderState::Placed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        token.cancel();
    };
    let (worker, ()) =
        tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(worker, watch) }).await.unwrap();
    worker.unwrap();
    assert_eq!(state(&app, order.id).await, OrderState::Shipped);
    handle(&app, &Schedule::new(delay), &event).await.unwrap();
    assert_eq!(app.outbox(order.id).await, ["order.placed.v1", "order.shipped.v1"]);
}

#[sqlx::test(migrations = false)]
async fn cancel_and_ship_race_and_exactly_one_wins(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    for round in 0..30 {
        let order = placed(&app).await;
        make_due(&app, order.id).await;
        let cancel = async {
            tokio::time::sleep(Duration::from_micros(round * 100)).await;
            app.sagas.cancel.cancel(order.id, order.customer).await.unwrap()
        };
        let ship = async {
            tokio::time::sleep(Duration::from_micros(1_500)).await;
            app.sagas.store.ship_due(100).await.unwrap()
        };
        let (cancelled, shipped) = tokio::join!(cancel, ship);
        let last = match (&cancelled, shipped) {
            (Cancelled::Now, 0) => "order.cancelled.v1",
            (Cancelled::Refused(OrderState::Shipped, _), 1) => "order.shipped.v1",
            both => panic!("{both:?}"),
        };
        assert_eq!(app.outbox(order.id).await, ["order.placed.v1", last]);
    }
}

#[sqlx::test(migrations = false)]
async fn a_cancelled_order_is_voided_whatever_it_takes(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    assert_eq!(app.sagas.cancel.cancel(order.id, CustomerId::generate()).await.unwrap(), Cancelled::NotFound);
    assert_eq!(app.sagas.cancel.cancel(order.id, order.customer).await.unwrap(), Cancelled::Now);
    app.world.fail(Method::Void, Fault::LoseRequest);
    app.world.fail(Method::Void, Fault::LoseAnswer);
    app.recover().await;
    assert_eq!(app.sagas.cancel.cancel(order.id, order.customer).await.unwrap(), Cancelled::Before);
    assert!(!app.world.held(order.id).2, "the money is let go");
    assert_eq!(app.outbox(order.id).await, ["order.placed.v1", "order.cancelled.v1"]);
    make_due(&app, order.id).await;
    assert_eq!(app.sagas.store.ship_due(100).await.unwrap(), 0, "a cancelled order does not ship");
}

fn give_back(order: &Order, key: &str, lines: &[(&str, i64)]) -> ReturnRequest {
    ReturnRequest {
        order: order.id,
        customer: order.customer,
        idempotency_key: key.parse().unwrap(),
        lines: lines
            .iter()
            .map(|(offer, quantity)| ReturnLine { offer: offer.parse().unwrap(), quantity: *quantity })
            .collect(),
    }
}

#[sqlx::test(migrations = false)]
async fn a_return_is_refunded_once_and_only_what_was_shipped_comes_back(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    let request = give_back(&order, "r-1", &[("mug", 2), ("bowl", 1)]);
    let early = app.sagas.give_back.take_back(&request, soon()).await;
    assert!(matches!(early, Err(ReturnRefused::NotShipped(OrderState::Placed))));
    app.ship(order.id).await;

    let returned = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
    assert_eq!((returned.amount_minor, returned.state), (2 * 255 + 900, ReturnState::Refunded));
    let again = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
    assert_eq!((again.id, again.amount_minor, again.state), (returned.id, 1_410, ReturnState::Refunded));
    let other = give_back(&order, "r-1", &[("mug", 1)]);
    assert!(matches!(app.sagas.give_back.take_back(&other, soon()).await, Err(ReturnRefused::KeyReused)));
    let excess = app.sagas.give_back.take_back(&give_back(&order, "r-2", &[("mug", 5), ("bowl", 1)]), soon()).await;
    let Err(ReturnRefused::Exceeds(excess)) = excess else { panic!("{excess:?}") };
    assert_eq!(excess.iter().map(|one| (one.offer.as_str(), one.left)).collect::<Vec<_>>(), [("mug", 4), ("bowl", 0)]);

    // The event comes after the answer, and twice: the sum stays.
    let refunded = PaymentRefunded {
        order_id: order.id.to_string(),
        refund_id: returned.id.to_string(),
        amount: Some(Money { minor_units: 1_410, currency_code: "GBP".to_owned() }),
    };
    for _ in 0..2 {
        handle(&app, &PaymentEvents, &event("payment.refunded.v1", order.id, &refunded)).await.unwrap();
    }
    let order = app.sagas.store.order(order.id).await.unwrap().unwrap();
    assert_eq!(order.refunded_minor, 1_410);
    assert_eq!(app.world.refunded_minor(), 1_410);
}

#[sqlx::test(migrations = false)]
async fn returns_at_once_never_take_back_more_than_was_ordered(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    app.ship(order.id).await;
    let requests: Vec<_> = (0..12).map(|n| give_back(&order, &format!("r-{n}"), &[("mug", 1)])).collect();
    let returns =
        futures::future::join_all(requests.iter().map(|request| app.sagas.give_back.take_back(request, soon()))).await;
    let accepted = returns.iter().filter(|one| one.is_ok()).count();
    let refused = returns.iter().filter(|one| matches!(one, Err(ReturnRefused::Exceeds(_)))).count();
    assert_eq!((accepted, refused), (6, 6));
    let order = app.sagas.store.order(order.id).await.unwrap().unwrap();
    let returned: Vec<_> = order.lines.iter().map(|line| (line.offer.as_str(), line.returned_quantity)).collect();
    assert_eq!(returned, [("bowl", 0), ("mug", 6)]);
    assert_eq!((order.refunded_minor, app.world.refunded_minor()), (6 * 255, 6 * 255));
}

#[sqlx::test(migrations = false)]
async fn a_refund_waits_for_the_capture_and_for_an_answer(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    make_due(&app, order.id).await;
    app.sagas.store.ship_due(1).await.unwrap();
    let request = give_back(&order, "r-1", &[("mug", 1)]);
    let early = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
    assert_eq!(early.state, ReturnState::Requested, "not captured yet");
    app.world.capture(order.id);
    app.world.fail(Method::Refund, Fault::LoseAnswer);
    let refunds = Refunds::new(app.sagas.clone());
    for turn in 0..2 {
        sqlx::query("update order_return set drive_after = now() - interval '1 second'").execute(&pool).await.unwrap();
        let due = refunds.claim(10).await.unwrap();
        assert_eq!(due.len(), 1, "turn {turn}");
        for due in due {
            refunds.turn(due).await;
        }
    }
    assert!(refunds.claim(10).await.unwrap().is_empty());
    let late = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
    assert_eq!((late.id, late.state), (early.id, ReturnState::Refunded));
    assert_eq!(app.world.refunded_minor(), 255);
}

/// The provider took less than the order cost, and everything comes back: what came in is paid, and the return is done.
#[sqlx::test(migrations = false)]
async fn a_return_of_what_was_captured_short_is_paid_as_far_as_it_came_in(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    app.ship(order.id).await;
    app.world.came_in_at_most(500);
    let request = ReturnRequest {
        order: order.id,
        customer: order.customer,
        idempotency_key: "r-1".parse().unwrap(),
        lines: vec![ReturnLine { offer: "mug".parse().unwrap(), quantity: 6 }],
    };
    for _ in 0..2 {
        let returned = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
        assert_eq!((returned.state, returned.amount_minor), (ReturnState::Refunded, 500));
    }
    assert_eq!(app.sagas.store.order(order.id).await.unwrap().unwrap().refunded_minor, 500);
    assert_eq!(app.sagas.store.parked_count().await.unwrap(), (0, 0));
    let id = app.sagas.give_back.take_back(&request, soon()).await.unwrap().id;
    let told = |minor_units| PaymentRefunded {
        order_id: order.id.to_string(),
        refund_id: id.to_string(),
        amount: Some(Money { minor_units, currency_code: "GBP".to_owned() }),
    };
    handle(&app, &PaymentEvents, &event("payment.refunded.v1", order.id, &told(500))).await.unwrap();
    let odd = handle(&app, &PaymentEvents, &event("payment.refunded.v1", order.id, &told(6 * 255 + 1))).await;
    assert!(matches!(odd, Err(HandleError::Poison(_))), "{odd:?}");
}

#[sqlx::test(migrations = false)]
async fn a_capture_is_noted_also_a_short_one_and_one_of_too_much_is_poison(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    let captured = |minor_units| PaymentCaptured {
        order_id: order.id.to_string(),
        amount: Some(Money { minor_units, currency_code: "GBP".to_owned() }),
    };
    let total = order.total.minor_units();
    handle(&app, &PaymentEvents, &event("payment.captured.v1", order.id, &captured(total))).await.unwrap();
    assert!(app.sagas.store.order(order.id).await.unwrap().unwrap().captured);
    handle(&app, &PaymentEvents, &event("payment.captured.v1", order.id, &captured(total - 1))).await.unwrap();
    for minor_units in [total + 1, 0] {
        let odd = handle(&app, &PaymentEvents, &event("payment.captured.v1", order.id, &captured(minor_units))).await;
        assert!(matches!(odd, Err(HandleError::Poison(_))), "{odd:?}");
    }
}

/// The set-based statements against the table of the domain: each takes an order only from the states that the table allows.
#[sqlx::test(migrations = false)]
async fn the_statements_move_orders_as_the_table_says(pool: PgPool) {
    use order::domain::{OrderEvent, Refusal, RefusalKind};
    use order::sagas::place_order::Step;
    migrate(&pool).await;
    let why = Refusal::new(RefusalKind::FailedPrecondition, "NO", "no");
    let states = ["pending", "compensating", "placed", "shipped", "rejected", "cancelled"];
    let events = [
        OrderEvent::Placed,
        OrderEvent::Refused(why.clone()),
        OrderEvent::Unwound,
        OrderEvent::Shipped,
        OrderEvent::Cancelled,
    ];
    for name in states {
        for event in &events {
            let app = App::new(&pool);
            let order = placed(&app).await;
            force(&app, order.id, name).await;
            // As its last driver.
            let lease = Lease::new(order.id, Fence::FIRST, Duration::from_secs(1));
            let before = state(&app, order.id).await;
            let store = &app.sagas.store;
            match event {
                OrderEvent::Placed => store.mark_placed(&order, &lease).await.map(drop),
                OrderEvent::Refused(why) => store.mark_compensating(&lease, Step::ReserveStock, why).await.map(drop),
                OrderEvent::Unwound => store.mark_rejected(&lease).await.map(drop),
                OrderEvent::Shipped => store.ship_due(1_000).await.map(drop),
                OrderEvent::Cancelled => store.cancel(order.id, order.customer).await.map(drop),
            }
            .unwrap();
            let after = state(&app, order.id).await;
            assert_eq!(after, before.clone().apply(event.clone()).unwrap_or(before), "{name} and {event:?}");
        }
    }
}

/// Puts an order into a state by hand.
async fn force(app: &App, id: OrderId, state: &str) {
    let refusal = serde_json::json!({
        "version": 1, "kind": "failed_precondition", "reason": "NO", "message": "no", "violations": [],
    });
    sqlx::query(
        "update customer_order
         set state = $2, ship_at = now(),
             card_token = case when $2 = 'pending' then 'tok_visa' end,
             drive_after = case when $2 in ('pending', 'compensating') then now() + interval '1 hour' end,
             unwind_from = case when $2 = 'compensating' then 'reserve_stock' end,
             refusal = case when $2 in ('compensating', 'rejected') then $3::jsonb end
         where order_id = $1",
    )
    .bind(id.as_uuid())
    .bind(state)
    .bind(refusal)
    .execute(&app.pool)
    .await
    .unwrap();
}
