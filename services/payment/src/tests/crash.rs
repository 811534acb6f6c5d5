//! Crashes at the worst moments: after the provider did it and before we wrote it down, and takeovers of what only looked dead.

use ids::OrderId;
use sqlx::PgPool;

use super::world::{World, refund, terms};
use crate::driver::turn;
use crate::store::{Begun, Done, Recorded, RefundState, Reserved, Work};

const SHARES: &[(&str, i64)] = &[("acme", 100), ("globex", 200)];

async fn begin(world: &World, order: OrderId) -> Work {
    match world.store().begin(order, &terms("tok_visa", SHARES), 1_000).await.unwrap() {
        Begun::Started(claimed) => Work::Payment(claimed),
        Begun::Exists(payment) => panic!("there was one: {payment:?}"),
    }
}

#[sqlx::test(migrations = false)]
async fn a_crash_between_intent_and_call_holds_the_money_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    begin(&world, order).await;
    world.pass_time().await;
    world.work_until_idle().await;
    assert_eq!(world.state(order).await, "authorised");
    assert_eq!(world.provider.count("requires_capture"), 1);
}

#[sqlx::test(migrations = false)]
async fn a_crash_between_call_and_outcome_holds_the_money_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    let work = begin(&world, order).await;
    let (never_recorded, _) = turn(&**world.driver.provider(), work).await;
    assert!(matches!(never_recorded, Done::Payment { .. }));
    // Until the lease ends nobody else touches it.
    assert!(world.store().claim_payment(order).await.unwrap().is_none());
    world.pass_time().await;
    world.work_until_idle().await;
    assert_eq!(world.state(order).await, "authorised");
    assert_eq!(world.provider.count("requires_capture"), 1);
    assert_eq!(world.provider.books().calls.len(), 1, "asking was enough");
}

#[sqlx::test(migrations = false)]
async fn a_crash_between_capture_and_outcome_posts_and_tells_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    world.ship(order).await.unwrap();
    let work = world.store().claim_due(8).await.unwrap().remove(0);
    let (_never_recorded, _) = turn(&**world.driver.provider(), work).await;
    assert_eq!(world.provider.count("succeeded"), 1);
    world.pass_time().await;
    world.work_until_idle().await;
    assert_eq!(world.count("select count(*) from journal_entry").await, 1);
    assert_eq!(world.events().await, ["payment.captured.v1"]);
}

#[sqlx::test(migrations = false)]
async fn a_crash_between_refund_and_outcome_pays_back_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = world.captured(SHARES).await;
    let request = refund(order, &[("acme", 60)]);
    let Reserved::New(claimed, _) = world.store().reserve_refund(&request).await.unwrap() else {
        panic!("there was one")
    };
    let (_never_recorded, _) = turn(&**world.driver.provider(), Work::Refund(claimed)).await;
    assert_eq!(world.driver.refund(&request).await.unwrap().state, RefundState::Pending, "its lease still runs");
    world.pass_time().await;
    assert_eq!(world.driver.refund(&request).await.unwrap().state, RefundState::Succeeded);
    assert_eq!(world.provider.refunded_minor(), 60);
    assert_eq!(world.events().await, ["payment.captured.v1", "payment.refunded.v1"]);
}

/// A driver that is only slow comes back after its claim was taken over: what it brings is not stored a second time.
#[sqlx::test(migrations = false)]
async fn an_outcome_under_a_lost_claim_is_not_stored(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    world.ship(order).await.unwrap();
    let slow = world.store().claim_due(8).await.unwrap().remove(0);
    world.pass_time().await;
    let takeover = Work::Payment(world.store().claim_payment(order).await.unwrap().unwrap());
    let (slow, _) = turn(&**world.driver.provider(), slow).await;
    let (takeover, _) = turn(&**world.driver.provider(), takeover).await;
    assert_eq!(world.store().record(&slow).await.unwrap(), Recorded::ClaimLost);
    assert!(matches!(world.store().record(&takeover).await.unwrap(), Recorded::Payment(_)));
    assert_eq!(world.store().record(&takeover).await.unwrap(), Recorded::ClaimLost, "nor the same one twice");
    assert_eq!(world.count("select count(*) from journal_entry").await, 1);
    assert_eq!(world.provider.count("succeeded"), 1);
}

/// Outcomes are recorded together; one that cannot be must not hold up the others.
#[sqlx::test(migrations = false)]
async fn one_bad_outcome_does_not_hold_up_the_batch(pool: PgPool) {
    let world = World::new(pool).await;
    let orders: Vec<_> = (0..3).map(|_| OrderId::generate()).collect();
    for order in &orders {
        world.driver.authorise(*order, &terms("tok_visa", SHARES)).await.unwrap();
        world.ship(*order).await.unwrap();
    }
    let mut done = Vec::new();
    for work in world.store().claim_due(8).await.unwrap() {
        done.push(turn(&**world.driver.provider(), work).await.0);
    }
    // Of a payment that is short of all that it costs, the database says that it cannot be.
    let Done::Payment { claimed, .. } = &mut done[1] else { panic!("a payment") };
    claimed.amount = claimed.amount.checked_mul(2).unwrap();
    world.store().record_all(&done).await;
    assert_eq!(world.count("select count(*) from payment where state = 'captured'").await, 2);
    assert_eq!(world.count("select count(*) from journal_entry").await, 2);
    assert_eq!(world.events().await.len(), 2);
}
