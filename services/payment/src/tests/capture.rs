//! Capturing what shipped.

use std::sync::Arc;
use std::time::Duration;

use ids::OrderId;
use outbox::HandleError;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::provider::Fault;
use super::world::{World, refund, terms};
use crate::domain::refund::RefundRejected;
use crate::driver::{DriveError, turn};
use crate::store::{RefundState, StoreError};
use crate::workers::{drive_due, listen};

const SHARES: &[(&str, i64)] = &[("acme", 1_005), ("globex", 200)];

#[sqlx::test(migrations = false)]
async fn a_capture_owes_each_seller_its_share_less_the_commission(pool: PgPool) {
    let world = World::new(pool).await;
    world.captured(SHARES).await;
    // 10 % of 1,005 is 100.5: half a penny rounds up.
    let expected =
        ["commission_revenue=-121", "psp_receivable=1205", "seller_payable:acme=-904", "seller_payable:globex=-180"];
    assert_eq!(world.balances().await, expected);
    assert_eq!(world.events().await, ["payment.captured.v1"]);
}

#[sqlx::test(migrations = false)]
async fn an_order_that_ships_again_is_captured_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = world.captured(SHARES).await;
    world.ship(order).await.unwrap();
    world.work_until_idle().await;
    let captures = world.provider.books().calls.iter().filter(|key| key.starts_with("capture:")).count();
    assert_eq!(captures, 1);
    assert_eq!(world.count("select count(*) from journal_entry").await, 1);
}

#[sqlx::test(migrations = false)]
async fn a_capture_with_an_unknown_outcome_takes_the_money_once(pool: PgPool) {
    let world = World::new(pool).await;
    for fault in [Fault::SilentAfterWork, Fault::SilentBeforeWork, Fault::ErrorAfterWork, Fault::ErrorBeforeWork] {
        let order = OrderId::generate();
        world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
        world.ship(order).await.unwrap();
        world.provider.plan([fault]);
        world.work_until_idle().await;
        assert_eq!(world.state(order).await, "captured", "{fault:?}");
    }
    assert_eq!(world.provider.count("succeeded"), 4);
    assert_eq!(world.count("select count(*) from journal_entry").await, 4);
    assert_eq!(world.events().await.len(), 4);
}

/// Of 1,205 the provider takes 1,000: that is booked, told and owed, each seller bearing its part, and no refund gives back more.
#[sqlx::test(migrations = false)]
async fn a_short_capture_is_booked_as_what_came_in(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    world.ship(order).await.unwrap();
    world.provider.plan([Fault::TakesOnly(1_000)]);
    world.work_until_idle().await;
    assert_eq!(world.state(order).await, "captured");
    // 1,005 of 1,205 thousand is 834, 200 of them 166; 10 % of each is the commission.
    let expected =
        ["commission_revenue=-100", "psp_receivable=1000", "seller_payable:acme=-751", "seller_payable:globex=-149"];
    assert_eq!(world.balances().await, expected);
    assert_eq!(world.count("select short_minor from payment").await, 205);
    assert_eq!(world.count("select sum(short_minor)::bigint from payment_share").await, 205);

    let too_much = world.driver.refund(&refund(order, &[("acme", 1_006)])).await;
    assert!(
        matches!(
            too_much,
            Err(DriveError::Store(StoreError::RefundRejected(RefundRejected::ExceedsShare { left_minor: 1_005, .. })))
        ),
        "{too_much:?}"
    );
    // Everything comes back: what came in is paid at once, and the rest, which nobody has, is not waited for.
    let all = refund(order, SHARES);
    for _ in 0..2 {
        let refunded = world.driver.refund(&all).await.unwrap();
        assert_eq!((refunded.state, refunded.paid_minor), (RefundState::Succeeded, 1_000));
    }
    assert_eq!(world.provider.refunded_minor(), 1_000);
    assert!(world.balances().await.is_empty(), "{:?}", world.balances().await);
    assert_eq!(world.in_flight().await, 0);
}

/// Pieces: the last of them find nothing left, call nobody, tell nobody, and are done all the same.
#[sqlx::test(migrations = false)]
async fn pieces_of_a_short_capture_pay_what_came_in_and_end(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", &[("acme", 900)])).await.unwrap();
    world.ship(order).await.unwrap();
    world.provider.plan([Fault::TakesOnly(400)]);
    world.work_until_idle().await;
    let mut paid = Vec::new();
    for _ in 0..3 {
        let refunded = world.driver.refund(&refund(order, &[("acme", 300)])).await.unwrap();
        assert_eq!(refunded.state, RefundState::Succeeded);
        paid.push(refunded.paid_minor);
    }
    assert_eq!(paid, [300, 100, 0]);
    assert_eq!(world.provider.books().refunds.len(), 2);
    assert!(world.balances().await.is_empty());
    assert_eq!(world.events().await, ["payment.captured.v1", "payment.refunded.v1", "payment.refunded.v1"]);
}

/// The same, heard only by asking.
#[sqlx::test(migrations = false)]
async fn a_short_capture_with_an_unknown_outcome_is_noticed_too(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    world.ship(order).await.unwrap();
    let work = world.store().claim_due(8).await.unwrap().remove(0);
    world.provider.plan([Fault::TakesOnly(1)]);
    let (_never_recorded, _) = turn(&**world.driver.provider(), work).await;
    world.pass_time().await;
    world.work_until_idle().await;
    assert_eq!(world.count("select short_minor from payment").await, 1_204);
    // A penny has one seller, and no commission.
    assert_eq!(world.balances().await, ["psp_receivable=1", "seller_payable:acme=-1"]);
}

#[sqlx::test(migrations = false)]
async fn the_commit_of_a_shipped_order_wakes_the_worker(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    let (token, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
    let worker = tokio::spawn(drive_due(world.driver.clone(), Arc::clone(&wake), token.clone()));
    let listener = tokio::spawn(listen(world.store().clone(), wake, token.clone()));
    // Past the first sweep, so that what follows is not one.
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.ship(order).await.unwrap();
    let captured = async {
        while world.state(order).await != "captured" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_millis(700), captured).await.expect("sooner than the next sweep");
    token.cancel();
    worker.await.unwrap().unwrap();
    listener.await.unwrap().unwrap();
}

/// Two workers, as two processes would be, and more captures than turns.
#[sqlx::test(migrations = false)]
async fn workers_side_by_side_capture_each_order_once(pool: PgPool) {
    let world = World::new(pool).await;
    for _ in 0..40 {
        let order = OrderId::generate();
        world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
        world.ship(order).await.unwrap();
    }
    tokio::join!(world.work_until_idle(), world.work_until_idle());
    assert_eq!(world.provider.count("succeeded"), 40);
    let captures = world.provider.books().calls.iter().filter(|key| key.starts_with("capture:")).count();
    assert_eq!(captures, 40, "no order was driven by both");
    assert_eq!(world.count("select count(*) from journal_entry").await, 40);
    assert_eq!(world.count("select coalesce(sum(amount_minor), 0)::bigint from posting").await, 0);
}

#[sqlx::test(migrations = false)]
async fn goods_that_ship_without_money_are_poison(pool: PgPool) {
    let world = World::new(pool).await;
    assert!(matches!(world.ship(OrderId::generate()).await, Err(HandleError::Poison(_))));
    let voided = OrderId::generate();
    world.driver.void(voided).await.unwrap();
    assert!(matches!(world.ship(voided).await, Err(HandleError::Poison(_))));
    let declined = OrderId::generate();
    world.driver.authorise(declined, &terms("tok_chargeDeclined", SHARES)).await.unwrap_err();
    assert!(matches!(world.ship(declined).await, Err(HandleError::Poison(_))));
}
