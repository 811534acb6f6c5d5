//! What only the saga that places orders has, besides the battery that all of them pass (`battery/`): time-outs, the race of two
//! requests, cuts that cannot become an order.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use ids::{CustomerId, OrderId};
use order::domain::{CardToken, OrderState, PlaceRequest};
use order::sagas::place_order::PlaceError;
use order::workers::Queue as _;
use sqlx::PgPool;
use support::{App, Fault, Method, World, cut_line, migrate, request};
use tokio_util::sync::CancellationToken;

/// The client's request once more gives the order, and nothing else is left anywhere.
async fn assert_placed(app: &App, request: &PlaceRequest) {
    let order = app.place(request).await.unwrap();
    assert_eq!(order.state, OrderState::Placed);
    assert_clean_slate(app, order.id, true).await;
}

async fn assert_clean_slate(app: &App, id: OrderId, is_placed: bool) {
    assert_eq!(app.world.held(id), (is_placed, is_placed, is_placed), "cut, stock, money held");
    let events: &[&str] = if is_placed { &["order.placed.v1"] } else { &[] };
    assert_eq!(app.outbox(id).await, events);
    let (state, leftovers): (String, bool) = sqlx::query_as(
        "select state, card_token is not null or unwind_from is not null or drive_after is not null or parked_at is not null
         from customer_order where order_id = $1",
    )
    .bind(id.as_uuid())
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!((state.as_str(), leftovers), (if is_placed { "placed" } else { "rejected" }, false));
}

#[sqlx::test(migrations = false)]
async fn it_makes_only_the_calls_it_needs(pool: PgPool) {
    use Method::{AbandonCheckout, Authorise, BeginCheckout, Release, Reserve, Void};
    migrate(&pool).await;
    let sold_out = vec![cut_line("sold-out", "potter", 255, "GBP", 1)];
    let declined = CardToken::new("tok_chargeDeclined".to_owned());
    let usual = request();
    let cases: [(PlaceRequest, Option<_>, &[Method]); 3] = [
        (usual.clone(), None, &[BeginCheckout, Reserve, Authorise]),
        // Inventory stores no refusals: an earlier reserve may yet be granted, so nothing is assumed about it and what followed it.
        (usual.clone(), Some(sold_out), &[BeginCheckout, Reserve, Void, Release, AbandonCheckout]),
        (
            PlaceRequest { card_token: declined, ..usual },
            None,
            &[BeginCheckout, Reserve, Authorise, Release, AbandonCheckout],
        ),
    ];
    for (request, lines, expected) in cases {
        let app = App::new(&pool);
        let request = PlaceRequest { customer: CustomerId::generate(), ..request };
        if let Some(lines) = lines {
            app.world.sell(lines);
        }
        let _ = app.place(&request).await;
        assert_eq!(app.world.calls(), expected);
    }
}

/// With the real lease and the real worker: nobody helps time along. It takes less than two seconds; the bound leaves room for a
/// machine under load.
#[sqlx::test(migrations = false)]
async fn a_restarted_process_picks_up_what_it_left_within_seconds(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    app.world.fail(Method::Authorise, Fault::HoldBefore);
    tokio::select! {
        _ = app.place(&request) => panic!("did not crash"),
        () = app.world.reached.notified() => {}
    }
    let token = CancellationToken::new();
    let worker = tokio::spawn(order::workers::run(app.recovery.clone(), token.clone()));
    let id = app.world.order_of(request.cart).unwrap();
    let decided = async {
        while app.sagas.store.state(id).await.unwrap() != Some(OrderState::Placed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(6), decided).await.unwrap();
    token.cancel();
    worker.await.unwrap().unwrap();
    assert_clean_slate(&app, id, true).await;
}

#[sqlx::test(migrations = false)]
async fn it_unwinds_when_an_outcome_stays_unknown_past_the_limit(pool: PgPool) {
    migrate(&pool).await;
    for (method, fault) in [
        (Method::Reserve, Fault::LoseAnswer),
        (Method::Authorise, Fault::LoseRequest),
        (Method::Authorise, Fault::LoseAnswer),
    ] {
        let world = Arc::new(World::default());
        for _ in 0..100 {
            world.fail(method, fault.clone());
        }
        let app = App::with_limit(&pool, world, Duration::from_millis(600));
        let request = request();
        let refused = app.place(&request).await;
        assert!(matches!(refused, Err(PlaceError::Refused(why)) if why.reason == "PLACEMENT_TIMED_OUT"), "{method:?}");
        assert_clean_slate(&app, app.world.order_of(request.cart).unwrap(), false).await;
    }
}

/// Found by thinking, kept as a test: the driver that gives up starts at the first step again and may give up there, while the
/// one that died had the money authorised already. Unwinding only from the step given up would leave it on the card for ever.
#[sqlx::test(migrations = false)]
async fn giving_up_voids_what_a_dead_driver_authorised(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    app.world.fail(Method::Authorise, Fault::HoldAfter);
    tokio::select! {
        _ = app.place(&request) => panic!("did not crash"),
        () = app.world.reached.notified() => {}
    }
    let impatient = App::with_limit(&pool, app.world.clone(), Duration::ZERO);
    impatient.recover().await;
    assert!(app.world.calls().contains(&Method::Void));
    assert_clean_slate(&app, app.world.order_of(request.cart).unwrap(), false).await;
}

/// Two drivers at once, which the lease prevents unless one is suspended past it: the row decides, the tombstones do the rest.
#[sqlx::test(migrations = false)]
async fn a_driver_that_lost_its_lease_cannot_bring_an_unwound_order_back(pool: PgPool) {
    migrate(&pool).await;
    for (method, fault) in [
        (Method::Reserve, Fault::HoldBefore),
        (Method::Reserve, Fault::HoldAfter),
        (Method::Authorise, Fault::HoldBefore),
        (Method::Authorise, Fault::HoldAfter),
    ] {
        let app = App::new(&pool);
        let request = request();
        app.world.fail(method, fault.clone());
        let suspended = app.place(&request);
        let other = async {
            app.world.reached.notified().await;
            App::with_limit(&pool, app.world.clone(), Duration::ZERO).recover().await;
            app.world.let_go.notify_one();
        };
        let (outcome, ()) = tokio::join!(suspended, other);
        assert!(
            matches!(outcome, Err(PlaceError::Refused(why)) if why.reason == "PLACEMENT_TIMED_OUT"),
            "{method:?} {fault:?}"
        );
        assert_clean_slate(&app, app.world.order_of(request.cart).unwrap(), false).await;
    }
}

#[sqlx::test(migrations = false)]
async fn two_drivers_place_an_order_once(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    app.world.fail(Method::Reserve, Fault::HoldBefore);
    tokio::select! {
        _ = app.place(&request) => panic!("did not crash"),
        () = app.world.reached.notified() => {}
    }
    let mut tasks = Vec::new();
    for _ in 0..4 {
        app.let_leases_lapse().await;
        tasks.extend(app.recovery.claim(1).await.unwrap());
    }
    assert_eq!(tasks.len(), 4);
    futures::future::join_all(tasks.into_iter().map(|task| app.recovery.turn(task))).await;
    assert_placed(&app, &request).await;
}

#[sqlx::test(migrations = false)]
async fn two_requests_with_one_key_make_one_order(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    let answers = futures::future::join_all((0..8).map(|_| app.place(&request))).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap()).map(|order| (order.id, order.state)).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.1 == OrderState::Placed), "{ids:?}");
    assert_placed(&app, &request).await;
    let orders: i64 = sqlx::query_scalar("select count(*) from customer_order").fetch_one(&pool).await.unwrap();
    assert_eq!(orders, 1);
}

#[sqlx::test(migrations = false)]
async fn a_key_names_one_request(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let first = request();
    app.place(&first).await.unwrap();
    let mut other = first.clone();
    other.delivery.street = "elsewhere".to_owned();
    assert!(matches!(app.place(&other).await, Err(PlaceError::KeyReused)));
    let stranger = PlaceRequest { cart: ids::CartId::generate(), customer: ids::CustomerId::generate(), ..first };
    assert!(app.place(&stranger).await.is_ok(), "a key is unique per customer, not in the world");
}

#[sqlx::test(migrations = false)]
async fn an_undecided_order_is_answered_as_pending_and_driven_on(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    for _ in 0..3 {
        app.world.fail(Method::Authorise, Fault::LoseRequest);
    }
    let until = tokio::time::Instant::now() + Duration::from_millis(20);
    let order = app.sagas.place.place(&request, until).await.unwrap();
    assert_eq!(order.state, OrderState::Pending);
    app.recover().await;
    assert_placed(&app, &request).await;
}

#[sqlx::test(migrations = false)]
async fn a_cut_that_cannot_be_an_order_goes_back_into_the_cart(pool: PgPool) {
    migrate(&pool).await;
    let mixed = vec![cut_line("mug", "potter", 255, "GBP", 1), cut_line("tasse", "potter", 300, "EUR", 1)];
    let vast = vec![cut_line("mug", "potter", i64::MAX, "GBP", 2)];
    let long = vec![cut_line("mug", "potter", 255, "GBP", 1); limits::LINES_MAX + 1];
    for (lines, reason) in [(mixed, "MIXED_CURRENCIES"), (vast, "TOTAL_TOO_LARGE"), (long, "ORDER_TOO_LARGE")] {
        let app = App::new(&pool);
        let request = request();
        app.world.sell(lines);
        for _ in 0..2 {
            let refused = app.place(&request).await;
            assert!(matches!(refused, Err(PlaceError::Refused(why)) if why.reason == reason));
        }
        assert_eq!(app.world.held(app.world.order_of(request.cart).unwrap()), (false, false, false));
    }
}

/// A request that died between the cut and the row, repeated after the cart has asked and put the lines back.
#[sqlx::test(migrations = false)]
async fn a_cut_too_old_does_not_become_an_order(pool: PgPool) {
    migrate(&pool).await;
    let app = App::with_limit(&pool, Arc::new(World::default()), Duration::ZERO);
    let refused = app.place(&request()).await;
    assert!(matches!(refused, Err(PlaceError::Refused(why)) if why.reason == "CHECKOUT_EXPIRED"));
    let orders: i64 = sqlx::query_scalar("select count(*) from customer_order").fetch_one(&pool).await.unwrap();
    assert_eq!(orders, 0);
}
