//! The battery of the saga that places orders: each step repeated, each step failing, each compensation repeated, a crash at
//! every point; after each a clean slate, looked at in every store.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use ids::OrderId;
use order::domain::{OrderState, PlaceRequest};
use order::sagas::place_order::PlaceError;
use order::workers::Queue as _;
use sqlx::PgPool;
use support::world::refusal;
use support::{App, Fault, Method, World, cut_line, migrate, request};
use tokio_util::sync::CancellationToken;

/// How a request is meant to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Placed,
    OutOfStock,
    Declined,
}

const ENDS: [End; 3] = [End::Placed, End::OutOfStock, End::Declined];

impl End {
    /// A world and a request that end so.
    fn scene(self, pool: &PgPool) -> (App, PlaceRequest) {
        let app = App::new(pool);
        let mut request = request();
        match self {
            Self::Placed => {}
            Self::OutOfStock => app.world.sell(vec![cut_line("sold-out", "potter", 255, "GBP", 1)]),
            Self::Declined => request.card_token = order::domain::CardToken::new("tok_chargeDeclined".to_owned()),
        }
        (app, request)
    }

    const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Placed => None,
            Self::OutOfStock => Some("OUT_OF_STOCK"),
            Self::Declined => Some("CARD_DECLINED"),
        }
    }
}

/// The client's request once more gives the end; and nothing else is left anywhere.
async fn assert_ended(app: &App, request: &PlaceRequest, end: End) {
    let reason = match app.place(request).await {
        Ok(order) => {
            assert_eq!(order.state, OrderState::Placed);
            None
        }
        Err(PlaceError::Refused(refusal)) => Some(refusal.reason),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(reason.as_deref(), end.reason());
    let id = app.world.order_of(request.cart).unwrap();
    assert_clean_slate(app, id, end == End::Placed).await;
}

async fn assert_clean_slate(app: &App, id: OrderId, is_placed: bool) {
    assert_eq!(app.world.held(id), (is_placed, is_placed, is_placed), "cut, stock, money held");
    let events: &[&str] = if is_placed { &["order.placed.v1"] } else { &[] };
    assert_eq!(app.outbox(id).await, events);
    let (state, leftovers): (String, bool) = sqlx::query_as(
        "select state, card_token is not null or unwind_from is not null or drive_after is not null or driver is not null
         from customer_order where order_id = $1",
    )
    .bind(id.as_uuid())
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!((state.as_str(), leftovers), (if is_placed { "placed" } else { "rejected" }, false));
}

#[sqlx::test(migrations = false)]
async fn it_ends_as_it_should(pool: PgPool) {
    migrate(&pool).await;
    for end in ENDS {
        let (app, request) = end.scene(&pool);
        assert_ended(&app, &request, end).await;
        let calls = app.world.calls();
        assert_ended(&app, &request, end).await;
        assert_eq!(app.world.calls(), calls, "a repeat of the request calls nobody");
    }
}

#[sqlx::test(migrations = false)]
async fn it_makes_only_the_calls_it_needs(pool: PgPool) {
    use Method::{AbandonCheckout, Authorise, BeginCheckout, Release, Reserve};
    migrate(&pool).await;
    let expected: [&[Method]; 3] = [
        &[BeginCheckout, Reserve, Authorise],
        &[BeginCheckout, Reserve, AbandonCheckout],
        &[BeginCheckout, Reserve, Authorise, Release, AbandonCheckout],
    ];
    for (end, expected) in ENDS.into_iter().zip(expected) {
        let (app, request) = end.scene(&pool);
        let _ = app.place(&request).await;
        assert_eq!(app.world.calls(), expected, "{end:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn it_ends_the_same_when_each_step_and_compensation_repeats(pool: PgPool) {
    migrate(&pool).await;
    for end in ENDS {
        let (app, request) = end.scene(&pool);
        app.world.deliver_everything_twice();
        assert_ended(&app, &request, end).await;
    }
}

#[sqlx::test(migrations = false)]
async fn it_ends_the_same_when_any_call_is_lost_on_either_way(pool: PgPool) {
    migrate(&pool).await;
    for end in ENDS {
        let (app, request) = end.scene(&pool);
        let _ = app.place(&request).await;
        for call in 0..app.world.calls().len() {
            for fault in [Fault::LoseRequest, Fault::LoseAnswer] {
                let (app, request) = end.scene(&pool);
                app.world.fail_call(call, fault.clone());
                let first = app.place(&request).await;
                // Without a row nothing can be driven on: the client is told to send the request again.
                assert_eq!(matches!(first, Err(PlaceError::Unavailable { .. })), call == 0, "{end:?} {fault:?} {call}");
                assert_ended(&app, &request, end).await;
            }
        }
    }
}

#[sqlx::test(migrations = false)]
async fn it_unwinds_when_each_step_is_refused(pool: PgPool) {
    migrate(&pool).await;
    for method in [Method::Reserve, Method::Authorise] {
        let app = App::new(&pool);
        let request = request();
        app.world.fail(method, Fault::Refuse(refusal("NO")));
        for _ in 0..2 {
            let refused = app.place(&request).await;
            assert!(matches!(refused, Err(PlaceError::Refused(why)) if why == refusal("NO")), "{method:?}");
        }
        assert_clean_slate(&app, app.world.order_of(request.cart).unwrap(), false).await;
    }
}

#[sqlx::test(migrations = false)]
async fn it_recovers_from_a_crash_at_every_point(pool: PgPool) {
    migrate(&pool).await;
    for end in ENDS {
        let (app, request) = end.scene(&pool);
        let _ = app.place(&request).await;
        for call in 0..app.world.calls().len() {
            for fault in [Fault::HoldBefore, Fault::HoldAfter] {
                let (app, request) = end.scene(&pool);
                app.world.fail_call(call, fault.clone());
                tokio::select! {
                    _ = app.place(&request) => panic!("{end:?} {fault:?} {call}: did not crash"),
                    () = app.world.reached.notified() => {}
                }
                app.recover().await;
                assert_ended(&app, &request, end).await;
            }
        }
    }
}

/// With the real lease and the real worker: nobody helps time along.
#[sqlx::test(migrations = false)]
async fn a_restarted_process_picks_up_what_it_left_within_two_seconds(pool: PgPool) {
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
    tokio::time::timeout(Duration::from_secs(2), decided).await.unwrap();
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
    assert_ended(&app, &request, End::Placed).await;
}

#[sqlx::test(migrations = false)]
async fn two_requests_with_one_key_make_one_order(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    let answers = futures::future::join_all((0..8).map(|_| app.place(&request))).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap()).map(|order| (order.id, order.state)).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.1 == OrderState::Placed), "{ids:?}");
    assert_ended(&app, &request, End::Placed).await;
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
    assert_ended(&app, &request, End::Placed).await;
}

#[sqlx::test(migrations = false)]
async fn a_cut_that_cannot_be_an_order_goes_back_into_the_cart(pool: PgPool) {
    migrate(&pool).await;
    let mixed = vec![cut_line("mug", "potter", 255, "GBP", 1), cut_line("tasse", "potter", 300, "EUR", 1)];
    let vast = vec![cut_line("mug", "potter", i64::MAX, "GBP", 2)];
    for (lines, reason) in [(mixed, "MIXED_CURRENCIES"), (vast, "TOTAL_TOO_LARGE")] {
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
