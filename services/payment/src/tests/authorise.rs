//! Authorising against a provider that times out, fails, answers late or is not there: one hold on the card, never two.

use std::time::Duration;

use chassis::breaker::BreakerConfig;
use futures::future::join_all;
use ids::{OrderId, Region};
use sqlx::PgPool;

use super::provider::Fault;
use super::world::{REQUEST_TIMEOUT, World, client, never_opens, terms};
use crate::domain::State;
use crate::driver::{AuthoriseError, Driver};
use crate::store::Store;

const SHARES: &[(&str, i64)] = &[("acme", 100), ("globex", 200)];

#[sqlx::test(migrations = false)]
async fn a_good_card_takes_one_call_and_the_token_is_forgotten(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    for _ in 0..3 {
        let payment = world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
        assert!(matches!(payment.state, State::Authorised { .. }), "{payment:?}");
        assert_eq!(payment.amount.unwrap().to_string(), "3.00 GBP");
    }
    assert_eq!(world.provider.books().calls, [format!("authorise:{order}")]);
    assert_eq!(world.provider.books().asks, 0);
    assert_eq!(world.count("select count(*) from payment where card_token is not null").await, 0);
}

#[sqlx::test(migrations = false)]
async fn a_declined_card_stays_declined(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    for _ in 0..2 {
        let refused = world.driver.authorise(order, &terms("tok_chargeDeclined", SHARES)).await;
        assert!(
            matches!(&refused, Err(AuthoriseError::Declined { code }) if **code == *"insufficient_funds"),
            "{refused:?}"
        );
    }
    assert_eq!(world.provider.books().calls.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn other_terms_under_the_same_order_are_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    for other in [terms("tok_other", SHARES), terms("tok_visa", &[("acme", 200), ("globex", 100)])] {
        assert!(matches!(world.driver.authorise(order, &other).await, Err(AuthoriseError::OtherTerms)));
    }
    assert_eq!(world.provider.count("requires_capture"), 1);
}

/// Every way an outcome can be unknown, once and twice in a row.
#[sqlx::test(migrations = false)]
async fn an_unknown_outcome_is_resolved_without_a_second_hold(pool: PgPool) {
    let world = World::new(pool).await;
    let faults = [
        Fault::SilentAfterWork,
        Fault::SilentBeforeWork,
        Fault::ErrorAfterWork,
        Fault::ErrorBeforeWork,
        Fault::LandsLate(REQUEST_TIMEOUT + Duration::from_millis(250)),
    ];
    let mut orders = 0;
    for first in faults {
        for second in [None, Some(Fault::ErrorBeforeWork), Some(Fault::SilentAfterWork)] {
            world.provider.books().calls.clear();
            world.provider.plan([Some(first), second].into_iter().flatten());
            let order = OrderId::generate();
            orders += 1;
            let payment = world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
            if payment.state == State::Authorising {
                world.work_until_idle().await;
            }
            assert_eq!(world.state(order).await, "authorised", "{first:?} {second:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(world.provider.count("requires_capture"), orders, "{first:?} {second:?}");
            let calls = world.provider.books().calls.clone();
            assert!(calls.iter().all(|key| *key == format!("authorise:{order}")), "another key: {calls:?}");
            world.provider.books().forget_plan();
        }
    }
}

/// The story behind "repeat under the same key": we give up waiting, ask, and truly hear "nothing"; then the call lands. The
/// repeat is slower than the straggler, so both are at the provider at once. Returns the holds that come of it.
async fn straggler_meets_repeat(world: &World) -> usize {
    let straggler = Fault::LandsLate(REQUEST_TIMEOUT + Duration::from_millis(400));
    world.provider.plan([straggler, Fault::Slow(Duration::from_millis(350))]);
    let payment = world.driver.authorise(OrderId::generate(), &terms("tok_visa", SHARES)).await.unwrap();
    assert!(matches!(payment.state, State::Authorised { .. }));
    assert_eq!(world.provider.books().calls.len(), 2, "it was asked, had nothing, and the call was repeated");
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.provider.count("requires_capture")
}

#[sqlx::test(migrations = false)]
async fn a_call_that_lands_after_we_asked_is_not_a_second_hold(pool: PgPool) {
    let world = World::new(pool).await;
    assert_eq!(straggler_meets_repeat(&world).await, 1);
}

/// The guard taken away: the key, and nothing else, is what kept it at one.
#[sqlx::test(migrations = false)]
async fn without_the_key_the_straggler_would_be_a_second_hold(pool: PgPool) {
    let world = World::new(pool).await;
    world.provider.books().ignores_keys = true;
    assert_eq!(straggler_meets_repeat(&world).await, 2);
}

#[sqlx::test(migrations = false)]
async fn a_caller_who_hangs_up_leaves_no_doubt(pool: PgPool) {
    let world = World::new(pool).await;
    world.provider.plan([Fault::Slow(Duration::from_millis(150))]);
    let order = OrderId::generate();
    let terms = terms("tok_visa", SHARES);
    let call_came = async {
        while world.provider.books().calls.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answered = world.driver.authorise(order, &terms) => panic!("answered before it hung up: {answered:?}"),
        () = call_came => {}
    }
    world.driver.finish(Duration::from_secs(5)).await;
    assert_eq!(world.state(order).await, "authorised");
}

#[sqlx::test(migrations = false)]
async fn a_request_answers_in_doubt_before_its_deadline(pool: PgPool) {
    let world = World::new(pool).await;
    world.provider.plan([Fault::Slow(Duration::from_millis(350))]);
    let order = OrderId::generate();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(300);
    let terms = terms("tok_visa", SHARES);
    let payment = chassis::deadline::scope(deadline, world.driver.authorise(order, &terms)).await.unwrap();
    assert_eq!(payment.state, State::Authorising);
    assert!(tokio::time::Instant::now() < deadline);
    world.driver.finish(Duration::from_secs(5)).await;
    assert!(matches!(world.driver.authorise(order, &terms).await.unwrap().state, State::Authorised { .. }));
    assert_eq!(world.provider.books().calls.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn many_requests_for_one_order_make_one_call(pool: PgPool) {
    let world = World::new(pool).await;
    world.provider.plan([Fault::Slow(Duration::from_millis(200))]);
    let order = OrderId::generate();
    let terms = terms("tok_visa", SHARES);
    let answers = join_all((0..10).map(|_| world.driver.authorise(order, &terms))).await;
    let authorised =
        answers.iter().filter(|answer| matches!(answer.as_ref().unwrap().state, State::Authorised { .. })).count();
    // The one that drove it, and any that came after its outcome; the others hear that it is in doubt.
    assert!(authorised >= 1);
    assert_eq!(world.provider.books().calls.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn a_provider_that_is_not_there_is_called_once_it_is(pool: PgPool) {
    let world = World::new(pool).await;
    // Bound and dropped: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = Store::new(world.pool.clone(), Region::East);
    let away = Driver::new(store, client(&format!("http://{nobody}"), never_opens()), 1_000);
    let order = OrderId::generate();
    let refused = away.authorise(order, &terms("tok_visa", SHARES)).await;
    assert!(matches!(refused, Err(AuthoriseError::ProviderAway)), "{refused:?}");
    assert_eq!(world.state(order).await, "authorising");
    world.work_until_idle().await;
    assert_eq!(world.state(order).await, "authorised");
    assert_eq!(world.provider.count("requires_capture"), 1);
}

#[sqlx::test(migrations = false)]
async fn while_the_breaker_is_open_nothing_is_touched(pool: PgPool) {
    let world = World::new(pool).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let breaker = BreakerConfig {
        calls_min: 1,
        open_for: Duration::from_secs(60),
        open_for_max: Duration::from_secs(60),
        ..BreakerConfig::default()
    };
    let store = Store::new(world.pool.clone(), Region::East);
    let away = Driver::new(store, client(&format!("http://{nobody}"), breaker), 1_000);
    for _ in 0..3 {
        let refused = away.authorise(OrderId::generate(), &terms("tok_visa", SHARES)).await;
        assert!(matches!(refused, Err(AuthoriseError::ProviderAway)), "{refused:?}");
    }
    assert_eq!(world.count("select count(*) from payment").await, 1, "the one whose call opened it");
}
