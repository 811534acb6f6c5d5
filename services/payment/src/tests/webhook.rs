//! Webhooks: forged, repeated, out of order, lying. They can make us ask, and nothing else.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chassis::database::DatabaseClock;
use hmac::{Hmac, Mac as _};
use ids::OrderId;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::provider::Fault;
use super::world::{World, terms};
use crate::domain::State;
use crate::webhook::router;
use crate::webhook::signature::WebhookSecret;

const SECRET: &str = "whsec_test";

fn signed(secret: &str, body: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let code = mac.chain_update(format!("{now}.{body}")).finalize().into_bytes();
    format!("t={now},v1={}", hex::encode(code))
}

async fn post(world: &World, signature: &str, body: &str) -> StatusCode {
    let secret = WebhookSecret::new(SECRET).unwrap();
    let clock = DatabaseClock::unread();
    let router = router(world.store().clone(), secret, clock, Arc::new(Notify::new()));
    let request = Request::post("/webhooks/psp").header("psp-signature", signature).body(Body::from(body.to_owned()));
    router.oneshot(request.unwrap()).await.unwrap().status()
}

fn event(id: &str, event_type: &str, order: OrderId) -> String {
    let object = json!({"id": "pi_forged", "reference": order.to_string(), "status": "succeeded", "amount": 1});
    json!({"id": id, "type": event_type, "created": 0, "data": {"object": object}}).to_string()
}

/// A payment that timed out and now waits a long backoff.
async fn in_doubt(world: &World) -> OrderId {
    let order = OrderId::generate();
    world.provider.plan([Fault::SilentAfterWork]);
    let deadline = tokio::time::Instant::now() + Duration::from_millis(200);
    let terms = terms("tok_visa", &[("acme", 100)]);
    let payment = chassis::deadline::scope(deadline, world.driver.authorise(order, &terms)).await.unwrap();
    assert_eq!(payment.state, State::Authorising);
    world.driver.finish(Duration::from_secs(5)).await;
    // As if its own turns had come to nothing: back in doubt, with the next look an hour away.
    sqlx::query(
        "update payment set state = 'authorising', card_token = 'tok_visa', attempts = 3, due_at = now() + interval '1 hour'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    order
}

#[sqlx::test(migrations = false)]
async fn a_hint_makes_us_ask_now(pool: PgPool) {
    let world = World::new(pool).await;
    let order = in_doubt(&world).await;
    assert!(world.store().claim_due(8).await.unwrap().is_empty());
    let body = event("evt_1", "payment_intent.authorised", order);
    for _ in 0..3 {
        assert_eq!(post(&world, &signed(SECRET, &body), &body).await, StatusCode::OK);
    }
    assert_eq!(world.count("select count(*) from webhook_event").await, 1);
    world.work_until_idle().await;
    assert_eq!(world.state(order).await, "authorised");
    assert_eq!(world.provider.count("requires_capture"), 1);
}

#[sqlx::test(migrations = false)]
async fn one_event_hints_once(pool: PgPool) {
    let world = World::new(pool).await;
    let order = in_doubt(&world).await;
    let body = event("evt_1", "payment_intent.authorised", order);
    post(&world, &signed(SECRET, &body), &body).await;
    sqlx::query("update payment set due_at = now() + interval '1 hour'").execute(&world.pool).await.unwrap();
    post(&world, &signed(SECRET, &body), &body).await;
    assert!(world.store().claim_due(8).await.unwrap().is_empty(), "a repeat is no new hint");
    let next = event("evt_2", "payment_intent.authorised", order);
    post(&world, &signed(SECRET, &next), &next).await;
    assert_eq!(world.store().claim_due(8).await.unwrap().len(), 1);
}

/// "Captured" arrives for a payment that was only authorised, then "authorised", then all of it again: the provider is never
/// believed, so nothing moves.
#[sqlx::test(migrations = false)]
async fn lies_repeats_and_disorder_change_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let order = OrderId::generate();
    world.driver.authorise(order, &terms("tok_visa", &[("acme", 100)])).await.unwrap();
    for event_type in
        ["payment_intent.captured", "payment_intent.authorised", "payment_intent.canceled", "refund.succeeded"]
    {
        for _ in 0..2 {
            let body = event("evt_1", event_type, order);
            assert_eq!(post(&world, &signed(SECRET, &body), &body).await, StatusCode::OK);
        }
    }
    assert_eq!(world.state(order).await, "authorised");
    assert_eq!(world.in_flight().await, 0);
    assert!(world.balances().await.is_empty());
    assert_eq!(world.count("select count(*) from webhook_event").await, 0, "nothing was worth a commit");
}

#[sqlx::test(migrations = false)]
async fn what_is_not_the_providers_is_refused(pool: PgPool) {
    let world = World::new(pool).await;
    let body = event("evt_1", "payment_intent.authorised", OrderId::generate());
    for forged in [String::new(), "t=1,v1=00".into(), signed("another secret", &body), signed(SECRET, "another body")] {
        assert_eq!(post(&world, &forged, &body).await, StatusCode::UNAUTHORIZED);
    }
    for (genuine, expected) in [
        ("not json", StatusCode::BAD_REQUEST),
        ("{}", StatusCode::BAD_REQUEST),
        (r#"{"id":"evt_1","type":"payout.paid","data":{"object":{}}}"#, StatusCode::OK),
    ] {
        assert_eq!(post(&world, &signed(SECRET, genuine), genuine).await, expected);
    }
    let huge = "x".repeat(65 * 1024);
    assert_eq!(post(&world, &signed(SECRET, &huge), &huge).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[sqlx::test(migrations = false)]
async fn old_events_are_forgotten(pool: PgPool) {
    let world = World::new(pool).await;
    sqlx::query("insert into webhook_event values ('old', now() - interval '8 days'), ('new', now())")
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(world.store().forget_webhooks(Duration::from_secs(7 * 24 * 3_600), 10).await.unwrap(), 1);
    assert_eq!(world.count("select count(*) from webhook_event where event_id = 'new'").await, 1);
}
