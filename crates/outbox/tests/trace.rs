//! The handler works in the trace of the request that appended the event. A process of its own, as telemetry is set up
//! once.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "spine/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the other scenarios, which need more of it")]
mod support;

use chassis::config::ServiceConfig;
use chassis::trace_context::{current_trace_id, span_with_parent};
use ids::Region;
use outbox::{Consumer, HandleError, Handler, NewEvent, Received, append};
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use support::{PATIENCE, Topic, relay, settings, unique};

struct TraceIds {
    topics: &'static [&'static str],
    seen: mpsc::UnboundedSender<Option<String>>,
}

impl Handler for TraceIds {
    fn topics(&self) -> &'static [&'static str] {
        self.topics
    }

    async fn handle(&self, _: &mut PgConnection, _: &Received) -> Result<(), HandleError> {
        self.seen.send(current_trace_id()).map_err(|error| HandleError::Retry(error.to_string()))
    }
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn the_handler_continues_the_trace_of_the_append(pool: PgPool) {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let config = ServiceConfig {
        region: Region::East,
        listen: anywhere,
        admin_listen: anywhere,
        otlp_endpoint: None,
        log: "off".to_owned(),
        drain_grace_ms: 0,
        requests_in_flight_max: 1,
        connections_max: 4_096,
        client_share_percent: 90,
    };
    let telemetry = chassis::telemetry::init("test", &config).unwrap();
    let topic = Topic::create(&[]).await;

    let request = span_with_parent("request", Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    async {
        let mut tx = pool.begin().await.unwrap();
        append(&mut tx, Region::East, &[NewEvent::new(topic.0, "test", "a", &())]).await.unwrap();
        tx.commit().await.unwrap();
    }
    .instrument(request)
    .await;

    let (seen, mut trace_ids) = mpsc::unbounded_channel();
    let handler = TraceIds { topics: Box::leak(Box::new([topic.0])), seen };
    let consumer = Consumer::new(pool.clone(), &settings(), Region::East, unique("traced"), handler);
    let token = CancellationToken::new();
    let consuming = tokio::spawn({
        let token = token.clone();
        async move { consumer.run(token).await }
    });
    let relaying = relay(&pool, &settings());
    let trace_id = tokio::time::timeout(PATIENCE, trace_ids.recv()).await.unwrap().unwrap();
    token.cancel();
    consuming.await.unwrap().unwrap();
    relaying.stop().await;
    telemetry.flush();
    assert_eq!(trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
}
