//! Drivers that are held up past their lease and wake after another took over. They wake at a crash point, so orders of the process
//! are one at a time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::process::Command;
use std::time::Duration;

use ids::OrderId;
use order::domain::{OrderState, PlaceRequest};
use order::sagas::place_order::PlaceError;
use order::store::Cancelled;
use order::workers::Queue as _;
use sabotage::{Action, Guard, is_removed};
use sqlx::PgPool;
use support::{App, Fault, Method, migrate, request};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Crash points are the whole process's.
static TURNS: Mutex<()> = Mutex::const_new(());

/// How long a zombie sleeps; the other driver needs some 50 ms.
const SLEEP: Duration = Duration::from_secs(2);

fn hold_up(point: &str) {
    let passing = std::num::NonZeroU32::MIN;
    sabotage::arm(sabotage::Order { point: point.to_owned(), action: Action::Pause(SLEEP), passing });
}

fn held_up(point: &str) -> u64 {
    sabotage::points().into_iter().find(|known| known.name == point).map_or(0, |known| known.carried_out)
}

/// Runs `zombie` into `point`, and `other` while it sleeps there.
async fn overtaken<T>(point: &str, zombie: impl Future<Output = T>, other: impl AsyncFnOnce()) -> T {
    let before = held_up(point);
    hold_up(point);
    let other = async {
        while held_up(point) == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let woke_at = Instant::now() + SLEEP;
        other().await;
        assert!(Instant::now() < woke_at, "the other driver was too slow: it proves nothing");
    };
    tokio::time::timeout(4 * SLEEP, async { tokio::join!(zombie, other) }).await.unwrap().0
}

/// A zombie with everything done but the pivot, while another driver goes the same way.
async fn both_place(app: &App) -> (PlaceRequest, OrderId) {
    let request = request();
    let zombie = app.sagas.place.place(&request, Instant::now() + 3 * SLEEP);
    let order = overtaken("order.place.before-commit", zombie, async || app.restarted().recover().await).await;
    let order = order.unwrap();
    assert_eq!(order.state, OrderState::Placed, "whoever placed it");
    (request, order.id)
}

/// The same, while another driver gives up and unwinds.
async fn one_unwinds(app: &App) -> (Result<OrderState, PlaceError>, OrderId) {
    let request = request();
    let zombie = app.sagas.place.place(&request, Instant::now() + 3 * SLEEP);
    let other = async || App::with_limit(&app.pool, app.world.clone(), Duration::ZERO).recover().await;
    let answer = overtaken("order.authorise-payment.after-call", zombie, other).await;
    (answer.map(|order| order.state), app.world.order_of(request.cart).unwrap())
}

/// A zombie that has given up and is about to turn the order round, while another driver places it.
async fn one_turns_round(app: &App) -> OrderId {
    let request = request();
    let impatient = App::with_limit(&app.pool, app.world.clone(), Duration::from_millis(300));
    for _ in 0..100 {
        app.world.fail(Method::Authorise, Fault::LoseAnswer);
    }
    let zombie = impatient.sagas.place.place(&request, Instant::now() + 3 * SLEEP);
    let other = async || {
        app.world.mend();
        app.restarted().recover().await;
    };
    let _ = overtaken("order.mark-compensating.before-commit", zombie, other).await;
    impatient.recover().await;
    app.world.order_of(request.cart).unwrap()
}

#[sqlx::test(migrations = false)]
async fn a_zombie_does_not_place_an_order_again(pool: PgPool) {
    let _turn = TURNS.lock().await;
    migrate(&pool).await;
    let app = App::new(&pool);
    let (_, order) = both_place(&app).await;
    assert_eq!(app.outbox(order).await, ["order.placed.v1"]);
}

#[sqlx::test(migrations = false)]
async fn a_zombie_does_not_place_an_order_that_was_unwound(pool: PgPool) {
    let _turn = TURNS.lock().await;
    migrate(&pool).await;
    let app = App::new(&pool);
    let (answer, order) = one_unwinds(&app).await;
    assert!(matches!(answer, Err(PlaceError::Refused(why)) if why.reason == "PLACEMENT_TIMED_OUT"));
    assert!(app.outbox(order).await.is_empty());
    assert_eq!(app.world.held(order), (false, false, false));
}

#[sqlx::test(migrations = false)]
async fn a_zombie_does_not_unwind_an_order_that_was_placed(pool: PgPool) {
    let _turn = TURNS.lock().await;
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = one_turns_round(&app).await;
    assert_eq!(app.sagas.store.state(order).await.unwrap(), Some(OrderState::Placed));
    assert_eq!(app.world.held(order), (true, true, true));
}

/// The token, and not the state, refuses it: the order stands where the zombie left it.
#[sqlx::test(migrations = false)]
async fn a_zombie_does_not_write_even_when_nothing_has_happened_since(pool: PgPool) {
    let _turn = TURNS.lock().await;
    migrate(&pool).await;
    let app = App::new(&pool);
    let request = request();
    let zombie = app.sagas.place.place(&request, Instant::now() + SLEEP + Duration::from_millis(300));
    let claim_only = async || {
        app.let_leases_lapse().await;
        assert_eq!(app.recovery.claim(10).await.unwrap().len(), 1, "claimed, and nothing done");
        // Or the zombie, refused, would look after its order and claim it anew, as it may.
        app.let_leases_last().await;
    };
    let order = overtaken("order.authorise-payment.after-call", zombie, claim_only).await.unwrap();
    assert_eq!(order.state, OrderState::Pending, "its lease is another driver's");
    assert!(app.outbox(order.id).await.is_empty());
}

#[sqlx::test(migrations = false)]
async fn a_zombie_does_not_end_the_void_that_another_driver_has(pool: PgPool) {
    let _turn = TURNS.lock().await;
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = app.place(&request()).await.unwrap();
    assert_eq!(app.sagas.cancel.cancel(order.id, order.customer).await.unwrap(), Cancelled::Now);
    let zombie = async {
        app.let_leases_lapse().await;
        for task in app.recovery.claim(1).await.unwrap() {
            app.recovery.turn(task).await;
        }
    };
    let claim_only = async || {
        app.let_leases_lapse().await;
        assert_eq!(app.recovery.claim(10).await.unwrap().len(), 1, "claimed, and nothing done");
    };
    overtaken("order.void-cancelled.after-call", zombie, claim_only).await;
    let is_driven: bool = sqlx::query_scalar("select drive_after is not null from customer_order where order_id = $1")
        .bind(order.id.as_uuid())
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(is_driven, "it is the other driver's to end");
    app.recover().await;
}

#[sqlx::test(migrations = false)]
async fn a_driver_that_waits_keeps_its_lease_and_one_that_lost_it_stops_waiting(pool: PgPool) {
    let _turn = TURNS.lock().await;
    migrate(&pool).await;
    let app = App::new(&pool);
    for is_lost in [false, true] {
        let request = request();
        app.world.fail(Method::Authorise, Fault::HoldBefore);
        let waiting = app.place(&request);
        let other = async {
            app.world.reached.notified().await;
            if is_lost {
                app.let_leases_lapse().await;
                assert_eq!(app.recovery.claim(10).await.unwrap().len(), 1);
                return;
            }
            // Two renewals and the lease as it was made.
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            assert!(app.recovery.claim(10).await.unwrap().is_empty(), "it is held");
            app.world.let_go.notify_one();
        };
        let (order, ()) = tokio::join!(waiting, other);
        let expected = if is_lost { OrderState::Pending } else { OrderState::Placed };
        assert_eq!(order.unwrap().state, expected);
    }
}

/// Guards are gone from a process's start or not at all, so the damage is done in another one: this binary again.
#[test]
fn without_the_guard_zombies_do_damage() {
    for damage in ["damage_placed_twice", "damage_placed_after_unwinding", "damage_unwound_after_placing"] {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", damage, "--ignored", "--test-threads=1"])
            .env(sabotage::GUARDS_VARIABLE, Guard::FencingCheck.name())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&status.stdout);
        assert!(status.status.success() && said.contains("1 passed"), "{damage}: {said}");
    }
}

#[sqlx::test(migrations = false)]
#[ignore = "run without the guard, by without_the_guard_zombies_do_damage"]
async fn damage_placed_twice(pool: PgPool) {
    assert!(is_removed(Guard::FencingCheck));
    migrate(&pool).await;
    let app = App::new(&pool);
    let (_, order) = both_place(&app).await;
    assert_eq!(app.outbox(order).await, ["order.placed.v1", "order.placed.v1"]);
}

#[sqlx::test(migrations = false)]
#[ignore = "run without the guard, by without_the_guard_zombies_do_damage"]
async fn damage_placed_after_unwinding(pool: PgPool) {
    assert!(is_removed(Guard::FencingCheck));
    migrate(&pool).await;
    let app = App::new(&pool);
    let (answer, order) = one_unwinds(&app).await;
    assert_eq!(answer.unwrap(), OrderState::Placed);
    assert_eq!(app.outbox(order).await, ["order.placed.v1"]);
    assert_eq!(app.world.held(order), (false, false, false), "nothing is reserved or paid for it");
}

#[sqlx::test(migrations = false)]
#[ignore = "run without the guard, by without_the_guard_zombies_do_damage"]
async fn damage_unwound_after_placing(pool: PgPool) {
    assert!(is_removed(Guard::FencingCheck));
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = one_turns_round(&app).await;
    assert_eq!(app.outbox(order).await, ["order.placed.v1"]);
    assert!(matches!(app.sagas.store.state(order).await.unwrap(), Some(OrderState::Rejected(_))));
    assert_eq!(app.world.held(order), (false, false, false), "a placed order has lost its stock and its money");
}
