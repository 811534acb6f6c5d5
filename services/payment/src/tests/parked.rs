//! What the provider refuses needs a person: it is parked, listed, and ended by what that person says became of the money.

use ids::OrderId;
use sqlx::PgPool;

use super::provider::Fault;
use super::world::{World, refund, terms};
use crate::driver::turn;
use crate::store::{Decision, Parked, Recorded, RefundState, SettleError};

const SHARES: &[(&str, i64)] = &[("acme", 900), ("globex", 100)];

fn decision(key: &str) -> Decision {
    Decision { operator: "ada".to_owned(), reason: "asked the provider".to_owned(), key: key.to_owned() }
}

/// One turn at what is due.
async fn one_turn(world: &World) -> Recorded {
    let work = world.store().claim_due(1).await.unwrap().remove(0);
    let (done, _) = turn(&**world.driver.provider(), work).await;
    world.store().record(&done).await.unwrap()
}

async fn parked(world: &World) -> Vec<Parked> {
    let (parked, total) = world.store().parked(None, 10).await.unwrap();
    assert_eq!(total, i64::try_from(parked.len()).unwrap());
    parked
}

/// An authorised order whose hold the provider then let go, or took, without being asked.
async fn authorised(world: &World, status_there: &str) -> OrderId {
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
    for intent in &mut world.provider.books().intents {
        if intent["reference"] == order.to_string() {
            intent["status"] = status_there.into();
        }
    }
    order
}

#[sqlx::test(migrations = false)]
async fn a_capture_that_the_provider_refuses_is_parked_and_ends_as_what_came_in(pool: PgPool) {
    let world = World::new(pool).await;
    for (nth, (captured_minor, after, balance)) in
        [(0, "uncollected", vec![]), (700, "captured", vec!["psp_receivable=700"])].into_iter().enumerate()
    {
        let order = authorised(&world, "canceled").await;
        world.ship(order).await.unwrap();
        assert_eq!(one_turn(&world).await, Recorded::Parked);
        let [stuck] = parked(&world).await.try_into().unwrap();
        assert_eq!((stuck.order, stuck.refund, stuck.state.as_str()), (order, None, "capturing"));
        assert!(stuck.reason.contains("refused"), "{stuck:?}");
        assert!(world.store().claim_due(1).await.unwrap().is_empty(), "and is not looked at at once again");
        // It is still looked at: the provider may think better of it.
        world.pass_time().await;
        assert_eq!(one_turn(&world).await, Recorded::Released);

        let key = format!("k-{nth}");
        let too_much = world.store().settle_payment(order, 1_001, &decision("k")).await;
        assert!(matches!(too_much, Err(SettleError::CaptureImpossible { .. })), "{too_much:?}");
        for _ in 0..2 {
            let settled = world.store().settle_payment(order, captured_minor, &decision(&key)).await.unwrap();
            assert_eq!(settled, after);
        }
        assert_eq!(world.state(order).await, after);
        assert!(parked(&world).await.is_empty());
        assert_eq!(world.in_flight().await, 0);
        let booked: Vec<_> = world.balances().await.into_iter().filter(|line| line.starts_with("psp")).collect();
        assert_eq!(booked, balance);
        // The goods come back all the same: what came in is owed, and nobody waits for more.
        world.ship(order).await.unwrap();
        let all = world.driver.refund(&refund(order, SHARES)).await.unwrap();
        assert_eq!(all.paid_minor, captured_minor);
        world.pass_time().await;
    }
    assert_eq!(world.count("select count(*) from payment_action where operator = 'ada'").await, 2);
}

#[sqlx::test(migrations = false)]
async fn a_void_or_an_authorisation_that_the_provider_refuses_ends_with_nothing_held(pool: PgPool) {
    let world = World::new(pool).await;
    let taken = authorised(&world, "succeeded").await;
    world.driver.void(taken).await.unwrap();
    let doubtful = OrderId::generate();
    world.provider.plan([Fault::Refuses]);
    world.driver.authorise(doubtful, &terms("tok_visa", SHARES)).await.unwrap();
    let abandoned = OrderId::generate();
    world.provider.plan([Fault::Refuses, Fault::Refuses, Fault::Refuses, Fault::Refuses]);
    world.driver.authorise(abandoned, &terms("tok_visa", SHARES)).await.unwrap();
    world.driver.void(abandoned).await.unwrap();
    for (order, before, after) in
        [(taken, "voiding", "voided"), (doubtful, "authorising", "declined"), (abandoned, "abandoning", "voided")]
    {
        let stuck = parked(&world).await.into_iter().find(|parked| parked.order == order).unwrap();
        assert_eq!(stuck.state, before);
        let key = order.to_string();
        let impossible = world.store().settle_payment(order, 5, &decision(&key)).await;
        assert!(matches!(impossible, Err(SettleError::CaptureImpossible { captured_minor: 5, .. })), "{impossible:?}");
        assert_eq!(world.store().settle_payment(order, 0, &decision(&key)).await.unwrap(), after);
    }
    assert!(parked(&world).await.is_empty());
    assert_eq!(world.count("select count(*) from payment where card_token is not null").await, 0);
}

#[sqlx::test(migrations = false)]
async fn a_refund_that_the_provider_refuses_ends_as_paid_or_not(pool: PgPool) {
    let world = World::new(pool).await;
    for (receipt, after, state, paid_minor) in
        [(Some("re_by_hand"), "succeeded", RefundState::Succeeded, 900), (None, "cancelled", RefundState::Cancelled, 0)]
    {
        let order = world.captured(SHARES).await;
        let request = refund(order, &[("acme", 900)]);
        world.provider.plan([Fault::Refuses]);
        assert_eq!(world.driver.refund(&request).await.unwrap().state, RefundState::Pending);
        let [stuck] = parked(&world).await.try_into().unwrap();
        assert_eq!((stuck.refund, stuck.amount_minor), (Some(request.refund), 900));
        let key = request.refund.to_string();
        assert_eq!(world.store().settle_refund(request.refund, receipt, &decision(&key)).await.unwrap(), after);
        let refunded = world.driver.refund(&request).await.unwrap();
        assert_eq!(
            (refunded.state, refunded.paid_minor, refunded.payment.refunded_minor),
            (state, paid_minor, paid_minor)
        );
        assert!(parked(&world).await.is_empty());
    }
    assert_eq!(world.provider.books().refunds.len(), 0);
    assert_eq!(world.events().await.iter().filter(|event| *event == "payment.refunded.v1").count(), 1);
}

#[sqlx::test(migrations = false)]
async fn only_what_is_parked_is_settled_and_a_key_is_one_decision(pool: PgPool) {
    let world = World::new(pool).await;
    let unknown = world.store().settle_payment(OrderId::generate(), 0, &decision("a")).await;
    assert!(matches!(unknown, Err(SettleError::NotFound)), "{unknown:?}");
    let order = authorised(&world, "canceled").await;
    for refused in [
        world.store().settle_payment(order, 0, &decision("a")).await.map(drop),
        world.store().retry(order, &decision("a")).await,
    ] {
        assert!(matches!(refused, Err(SettleError::NotParked)), "{refused:?}");
    }
    world.ship(order).await.unwrap();
    assert_eq!(one_turn(&world).await, Recorded::Parked);
    world.store().retry(order, &decision("a")).await.unwrap();
    assert_eq!(one_turn(&world).await, Recorded::Released, "it was due at once, and is parked still");
    let reused = world.store().settle_payment(order, 0, &decision("a")).await;
    assert!(matches!(reused, Err(SettleError::KeyReused)), "{reused:?}");
}
