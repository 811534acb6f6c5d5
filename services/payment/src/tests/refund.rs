//! Refunds: however many at once, never more goes out than came in.

use std::sync::Arc;

use futures::future::join_all;
use ids::OrderId;
use sqlx::PgPool;
use tokio::sync::Barrier;

use super::provider::Fault;
use super::world::{World, refund, terms};
use crate::domain::refund::RefundRejected;
use crate::driver::{DriveError, Driver};
use crate::store::{RefundState, StoreError};

#[sqlx::test(migrations = false)]
async fn refunds_in_pieces_bring_the_ledger_back_to_zero(pool: PgPool) {
    let world = World::new(pool).await;
    let order = world.captured(&[("acme", 1_005), ("globex", 333)]).await;
    let pieces: [&[(&str, i64)]; 4] =
        [&[("acme", 5)], &[("acme", 333), ("globex", 1)], &[("globex", 332)], &[("acme", 667)]];
    for piece in pieces {
        let (state, payment) = world.driver.refund(&refund(order, piece)).await.unwrap();
        assert_eq!(state, RefundState::Succeeded);
        assert_eq!(payment.refunded_minor, world.provider.refunded_minor());
    }
    assert_eq!(world.provider.refunded_minor(), 1_338);
    assert!(world.balances().await.is_empty(), "{:?}", world.balances().await);
    assert_eq!(world.events().await.len(), 5);
}

#[sqlx::test(migrations = false)]
async fn a_repeat_returns_the_same_refund_and_another_under_its_id_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let order = world.captured(&[("acme", 100)]).await;
    let other_order = world.captured(&[("acme", 100)]).await;
    let request = refund(order, &[("acme", 60)]);
    for _ in 0..3 {
        let (state, payment) = world.driver.refund(&request).await.unwrap();
        assert_eq!((state, payment.refunded_minor), (RefundState::Succeeded, 60));
    }
    assert_eq!(world.provider.books().refunds.len(), 1);
    let mut larger = refund(order, &[("acme", 61)]);
    larger.refund = request.refund;
    let mut elsewhere = refund(other_order, &[("acme", 60)]);
    elsewhere.refund = request.refund;
    for reused in [larger, elsewhere] {
        let refused = world.driver.refund(&reused).await;
        assert!(matches!(refused, Err(DriveError::Store(StoreError::RefundIdReused))), "{refused:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn what_is_not_captured_or_not_there_is_not_refunded(pool: PgPool) {
    let world = World::new(pool).await;
    let unknown = world.driver.refund(&refund(OrderId::generate(), &[("acme", 1)])).await;
    assert!(matches!(unknown, Err(DriveError::Store(StoreError::NotFound))));
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", &[("acme", 100)])).await.unwrap();
    let early = world.driver.refund(&refund(order, &[("acme", 1)])).await;
    assert!(matches!(
        early,
        Err(DriveError::Store(StoreError::RefundRejected(RefundRejected::NotCaptured { state: "authorised" })))
    ));
    let tombstone = OrderId::generate();
    world.driver.void(tombstone).await.unwrap();
    let voided = world.driver.refund(&refund(tombstone, &[("acme", 1)])).await;
    assert!(matches!(voided, Err(DriveError::Store(StoreError::RefundRejected(RefundRejected::NotCaptured { .. })))));
}

#[sqlx::test(migrations = false)]
async fn a_refund_with_an_unknown_outcome_pays_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = world.captured(&[("acme", 100)]).await;
    for fault in [Fault::SilentAfterWork, Fault::SilentBeforeWork, Fault::ErrorAfterWork, Fault::ErrorBeforeWork] {
        world.provider.plan([fault]);
        world.driver.refund(&refund(order, &[("acme", 25)])).await.unwrap();
        world.work_until_idle().await;
    }
    assert_eq!(world.provider.books().refunds.len(), 4);
    assert_eq!(world.provider.refunded_minor(), 100);
    assert!(world.balances().await.is_empty());
}

/// What is left unguarded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Without {
    Nothing,
    /// The lock under which the domain decides.
    Lock,
    /// The lock, and the database's own checks.
    LockAndChecks,
}

/// Refunds of 30 out of a seller's 100, all at once. Without the lock: as many as the pool of a test has connections for, and
/// none is stored before all are decided, so that the race is one every time.
const RUSH: usize = 30;
const UNGUARDED_RUSH: usize = 4;

/// Returns what the provider paid, and how many refunds were stopped by the database alone.
async fn rush(pool: PgPool, without: Without) -> (i64, usize) {
    let mut world = World::new(pool).await;
    let order = world.captured(&[("acme", 100), ("globex", 20)]).await;
    let mut count = RUSH;
    if without != Without::Nothing {
        count = UNGUARDED_RUSH;
        let mut store = world.store().clone();
        store.unguarded_refunds = Some(Arc::new(Barrier::new(count)));
        world.driver = Driver::new(store, Arc::clone(world.driver.provider()), 1_000);
    }
    if without == Without::LockAndChecks {
        for sql in [
            "alter table payment drop constraint payment_refunds_within_capture",
            "alter table payment_share drop constraint payment_share_refunds_within_share",
        ] {
            sqlx::query(sql).execute(&world.pool).await.unwrap();
        }
    }
    let requests: Vec<_> = (0..count).map(|_| refund(order, &[("acme", 30)])).collect();
    let answers = join_all(requests.iter().map(|request| world.driver.refund(request))).await;
    world.work_until_idle().await;
    let caught = answers
        .iter()
        .filter(|answer| matches!(answer, Err(DriveError::Store(StoreError::RefundExceedsCapture { .. }))))
        .count();
    (world.provider.refunded_minor(), caught)
}

#[sqlx::test(migrations = false)]
async fn concurrent_refunds_never_pay_out_more_than_a_share(pool: PgPool) {
    assert_eq!(rush(pool, Without::Nothing).await, (90, 0));
}

#[sqlx::test(migrations = false)]
async fn without_the_lock_the_database_is_the_last_line(pool: PgPool) {
    assert_eq!(rush(pool, Without::Lock).await, (90, 1));
}

/// The guards taken away: the tests above can fail.
#[sqlx::test(migrations = false)]
async fn without_any_guard_the_rush_pays_out_too_much(pool: PgPool) {
    assert_eq!(rush(pool, Without::LockAndChecks).await, (120, 0));
}
