//! Voiding: whatever state a payment is in, nothing stays held.

use std::time::Duration;

use ids::OrderId;
use sqlx::PgPool;

use super::provider::Fault;
use super::world::{REQUEST_TIMEOUT, World, terms};
use crate::domain::State;
use crate::driver::{AuthoriseError, VoidError};

const SHARES: &[(&str, i64)] = &[("acme", 100)];

#[sqlx::test(migrations = false)]
async fn an_authorised_payment_is_let_go_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.driver.void(order).await.unwrap().state, State::Voided);
    }
    assert_eq!(world.provider.books().calls, [format!("authorise:{order}"), format!("void:{order}")]);
    assert_eq!((world.provider.count("requires_capture"), world.provider.count("canceled")), (0, 1));
    let late = world.driver.authorise(order, &terms("tok_visa", SHARES)).await;
    assert!(matches!(late, Err(AuthoriseError::Voided)), "{late:?}");
}

#[sqlx::test(migrations = false)]
async fn a_void_that_comes_first_leaves_a_tombstone(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    assert_eq!(world.driver.void(order).await.unwrap().state, State::Voided);
    let late = world.driver.authorise(order, &terms("tok_visa", SHARES)).await;
    assert!(matches!(late, Err(AuthoriseError::Voided)), "{late:?}");
    assert!(world.provider.books().calls.is_empty());
}

#[sqlx::test(migrations = false)]
async fn a_declined_payment_is_voided_without_a_call(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_expired", SHARES)).await.unwrap_err();
    assert_eq!(world.driver.void(order).await.unwrap().state, State::Voided);
    assert_eq!(world.provider.books().calls.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn captured_money_is_not_voided(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    world.ship(order).await.unwrap();
    assert!(matches!(world.driver.void(order).await, Err(VoidError::Captured)), "it is being captured");
    world.work_until_idle().await;
    assert!(matches!(world.driver.void(order).await, Err(VoidError::Captured)));
    assert_eq!(world.provider.count("succeeded"), 1);
}

/// In doubt with nobody driving: the doubt is settled first, by the repeat under the same key, then the hold is let go.
#[sqlx::test(migrations = false)]
async fn a_payment_in_doubt_is_settled_and_then_let_go(pool: PgPool) {
    let world = World::new(pool).await;
    for faults in [
        vec![Fault::SilentAfterWork; 3],
        vec![Fault::ErrorBeforeWork; 3],
        // Lands after the void was asked for. Without the repeat we would have believed that there was nothing to let go.
        vec![Fault::LandsLate(REQUEST_TIMEOUT * 5), Fault::SilentBeforeWork, Fault::SilentBeforeWork],
    ] {
        let order = OrderId::generate();
        world.provider.plan(faults.clone());
        let deadline = tokio::time::Instant::now() + Duration::from_millis(200);
        let terms = terms("tok_visa", SHARES);
        let payment = chassis::deadline::scope(deadline, world.driver.authorise(order, &terms)).await.unwrap();
        assert_eq!(payment.state, State::Authorising);
        world.driver.void(order).await.unwrap();
        world.work_until_idle().await;
        assert_eq!(world.state(order).await, "voided", "{faults:?}");
        world.provider.books().forget_plan();
    }
    tokio::time::sleep(REQUEST_TIMEOUT * 3).await;
    assert_eq!(world.provider.count("requires_capture"), 0, "nothing stays held");
}

/// While another request is still waiting for the provider: it meets the wish when it records what it heard.
#[sqlx::test(migrations = false)]
async fn a_void_meets_an_authorisation_under_way(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.provider.plan([Fault::Slow(Duration::from_millis(250))]);
    let terms = terms("tok_visa", SHARES);
    let (authorised, voided) = tokio::join!(world.driver.authorise(order, &terms), async {
        while sqlx::query("select 1 from payment").fetch_optional(&world.pool).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.driver.void(order).await
    });
    assert_eq!(voided.unwrap().state, State::Abandoning, "in doubt, and known to be unwanted");
    assert!(matches!(authorised, Err(AuthoriseError::Voided)), "{authorised:?}");
    assert_eq!(world.state(order).await, "voided");
    assert_eq!((world.provider.count("requires_capture"), world.provider.count("canceled")), (0, 1));
}

#[sqlx::test(migrations = false)]
async fn a_void_with_an_unknown_outcome_ends_voided(pool: PgPool) {
    let world = World::new(pool).await;
    for fault in [Fault::SilentAfterWork, Fault::SilentBeforeWork, Fault::ErrorAfterWork, Fault::ErrorBeforeWork] {
        let order = OrderId::generate();
        world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
        world.provider.plan([fault]);
        world.driver.void(order).await.unwrap();
        world.work_until_idle().await;
        assert_eq!(world.state(order).await, "voided", "{fault:?}");
    }
    assert_eq!((world.provider.count("requires_capture"), world.provider.count("canceled")), (0, 4));
}

#[sqlx::test(migrations = false)]
async fn a_void_and_an_authorisation_at_once_leave_nothing_held(pool: PgPool) {
    let world = World::new(pool).await;
    for _ in 0..20 {
        let order = OrderId::generate();
        let terms = terms("tok_visa", SHARES);
        let (_, voided) = tokio::join!(world.driver.authorise(order, &terms), world.driver.void(order));
        voided.unwrap();
        world.work_until_idle().await;
        assert_eq!(world.state(order).await, "voided");
    }
    assert_eq!(world.provider.count("requires_capture"), 0);
}
