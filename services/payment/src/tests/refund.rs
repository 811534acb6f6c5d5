//! Refunds, one after the other.

use ids::OrderId;
use sqlx::PgPool;

use super::provider::Fault;
use super::world::{World, refund, terms};
use crate::domain::refund::RefundRejected;
use crate::driver::DriveError;
use crate::store::{RefundState, StoreError};

#[sqlx::test(migrations = false)]
async fn refunds_in_pieces_bring_the_ledger_back_to_zero(pool: PgPool) {
    let world = World::new(pool).await;
    let order = world.captured(&[("acme", 1_005), ("globex", 333)]).await;
    let pieces: [&[(&str, i64)]; 4] =
        [&[("acme", 5)], &[("acme", 333), ("globex", 1)], &[("globex", 332)], &[("acme", 667)]];
    for piece in pieces {
        let refunded = world.driver.refund(&refund(order, piece)).await.unwrap();
        assert_eq!(refunded.state, RefundState::Succeeded);
        assert_eq!(refunded.payment.refunded_minor, world.provider.refunded_minor());
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
        let refunded = world.driver.refund(&request).await.unwrap();
        assert_eq!((refunded.state, refunded.payment.refunded_minor), (RefundState::Succeeded, 60));
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
