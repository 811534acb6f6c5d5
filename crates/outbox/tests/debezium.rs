//! The outbox relayed by Debezium's connector, as `deploy/debezium/` configures it, instead of by our relay.
//! `deploy/debezium/try` fetches the connector and runs this.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "spine/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the other scenarios, which need more of it")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use ids::Region;
use outbox::{NewEvent, append, telemetry};
use rdkafka::message::{Message as _, OwnedMessage};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::process::{Child, Command};

use support::{Topic, consume, counter, create_effects, effects, eventually, header, relay, settings, unique};

const SLOT: &str = "outbox_debezium";
const SOURCE: &str = "/regions/east/services/test";
/// A JVM that loads seventy jars on a busy machine.
const CONNECT_STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Stands in for the requests: every other event gets a trace.
async fn trace_some(pool: &PgPool) {
    sqlx::raw_sql(
        "create function trace() returns trigger language plpgsql as $$ begin
             if new.position % 2 = 0 then
                 new.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-' || lpad(new.position::text, 16, '0') || '-01';
             end if;
             return new;
         end $$;
         create trigger trace before insert on outbox for each row execute function trace();",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// Kafka Connect with the connector, until it is dropped.
fn connect(pool: &PgPool, state: &Path) -> Child {
    let jars = std::env::var("DEBEZIUM_DIR").unwrap_or_else(|_| panic!("DEBEZIUM_DIR names the connector's jars"));
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/debezium");
    let database = pool.connect_options().to_url_lossy();
    Command::new("java")
        .args(["-Xmx256m", "-XX:+UseSerialGC"])
        .arg(format!("-Dlog4j2.configurationFile={}", configuration.join("log4j2.xml").display()))
        .args(["-cp", &format!("{jars}/*"), "org.apache.kafka.connect.cli.ConnectStandalone"])
        .args([configuration.join("worker.properties"), configuration.join("outbox.properties")])
        .env("KAFKA_BROKERS", settings().kafka_brokers)
        // Of all ports the system picks one; nobody asks it anything.
        .env("CONNECT_LISTEN", "127.0.0.1:0")
        .env("CONNECT_OFFSETS", state.join("offsets"))
        .env("OUTBOX_DATABASE_HOST", database.host_str().unwrap())
        .env("OUTBOX_DATABASE_PORT", database.port().unwrap_or(5432).to_string())
        .env("OUTBOX_DATABASE_NAME", database.path().trim_start_matches('/'))
        .env("OUTBOX_DATABASE_USER", database.username())
        .env("OUTBOX_DATABASE_PASSWORD", database.password().unwrap_or_default())
        .env("OUTBOX_SLOT", SLOT)
        .env("OUTBOX_SOURCE", SOURCE)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Appends events of five aggregates, numbered from `first` on, each in a transaction of its own.
async fn append_some(pool: &PgPool, topic: Topic, first: usize, count: usize) {
    for number in first..first + count {
        let event = NewEvent {
            event_type: topic.0,
            aggregate_type: "test",
            aggregate_id: (number % 5).to_string(),
            payload: number.to_string().into_bytes(),
        };
        let mut tx = pool.begin().await.unwrap();
        append(&mut tx, Region::East, &[event]).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// What a consumer can see of a record: partition, key, payload, headers, time of the event in microseconds.
type Seen = (i32, Vec<u8>, Vec<u8>, Vec<String>, i64);

/// By the event's id. Of several under one id all must be the same.
fn by_id(records: &[OwnedMessage]) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    for record in records {
        let headers = ["ce_type", "ce_source", "ce_homeregion", "content-type", "traceparent"];
        let headers = headers.map(|name| header(record, name)).into();
        let time = DateTime::parse_from_rfc3339(&header(record, "ce_time")).unwrap().timestamp_micros();
        let (key, payload) = (record.key().unwrap().to_vec(), record.payload().unwrap().to_vec());
        let value = (record.partition(), key, payload, headers, time);
        if let Some(other) = seen.insert(header(record, "ce_id"), value.clone()) {
            assert_eq!(other, value);
        }
    }
    seen
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
#[ignore = "needs the connector; deploy/debezium/try"]
async fn events_relayed_by_debezium_have_one_effect_each_and_look_like_those_of_our_relay(pool: PgPool) {
    create_effects(&pool).await;
    trace_some(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("debezium"));
    assert_eq!(counter(telemetry::DUPLICATES, group), 0);
    let state = tempfile::tempdir().unwrap();

    // Those that wait before it first runs, and those that come while it does.
    append_some(&pool, topic, 0, 20).await;
    let mut connect_process = connect(&pool, state.path());
    let started = std::time::Instant::now();
    while topic.records().await.len() < 20 {
        assert!(started.elapsed() < CONNECT_STARTS_WITHIN, "the connector publishes nothing");
        assert_eq!(connect_process.try_wait().unwrap(), None, "the connector has ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let consumer = consume(&pool, &settings(), group, topic);
    append_some(&pool, topic, 20, 80).await;
    eventually("each has its effect", async || effects(&pool).await.len() == 100).await;

    // Killed and started again: it goes on from its slot.
    connect_process.kill().await.unwrap();
    append_some(&pool, topic, 100, 20).await;
    let mut connect_process = connect(&pool, state.path());
    eventually("those of the meantime have theirs", async || effects(&pool).await.len() == 120).await;
    connect_process.kill().await.unwrap();
    let by_debezium = by_id(&topic.records().await);
    assert_eq!(by_debezium.len(), 120);

    // The rows are still there. Our relay publishes them again, the same in all that a consumer can see.
    let before = topic.records().await.len();
    let relaying = relay(&pool, &settings());
    let left = || async { sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(&pool).await };
    eventually("the relay has taken over", async || left().await.unwrap() == 0).await;
    relaying.stop().await;
    let records = topic.records().await;
    assert_eq!(records.len(), before + 120);
    assert_eq!(by_id(&records), by_debezium);
    let delivered = || counter(telemetry::HANDLED, group) + counter(telemetry::DUPLICATES, group);
    eventually("all is consumed", async || delivered() == records.len() as u64).await;
    consumer.stop().await;
    assert!(topic.dead_letters().await.is_empty());

    let effects = effects(&pool).await;
    for aggregate in 0..5 {
        let of_it = effects.iter().filter(|(id, _)| *id == aggregate.to_string()).map(|(_, payload)| payload.clone());
        let expected = (aggregate..120).step_by(5).map(|number: usize| number.to_string());
        assert_eq!(of_it.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    // It would keep the database from being dropped, and the log from being cut.
    let drop_slot = || sqlx::query("select pg_drop_replication_slot($1)").bind(SLOT).execute(&pool);
    eventually("the slot is free", async || drop_slot().await.is_ok()).await;
}
