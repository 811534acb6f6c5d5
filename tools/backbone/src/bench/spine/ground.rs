//! Where it is measured: a database and a topic of its own on the servers of region east, removed afterwards.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use ids::Region;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::load::commits::{admin_url, connect};
use crate::platform::Layout;

const DATABASE: &str = "backbone_spine";
/// As many as the topics of the services have.
const PARTITIONS: i32 = 4;
/// Writers at once: enough for the rate at ten milliseconds a commit.
const CONNECTIONS: u32 = 16;
const KAFKA_DEADLINE: Duration = Duration::from_secs(20);
/// The effect of an event says so by this channel. Postgres delivers a notification once its transaction has committed.
pub const CHANNEL: &str = "spine_effect";

/// A change and its event are one transaction; the effect is a row.
const TABLES: &str = "create table change (number bigint not null); create table effect (number bigint not null);";

/// A database, a topic, and the effects that were made there.
pub struct Ground {
    /// The database's URL.
    pub url: String,
    /// The writers' connections.
    pub pool: PgPool,
    /// Brokers of the region.
    pub brokers: String,
    /// The topic, which is the type of its events.
    pub topic: &'static str,
    /// What has been seen so far.
    pub effects: Arc<Effects>,
    listening: JoinHandle<()>,
    admin_url: String,
}

/// When the effect of each event had committed, by the event's number.
#[derive(Default)]
pub struct Effects {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    at: HashMap<i64, Instant>,
    repeated: usize,
}

impl Effects {
    /// When the event's effect had committed.
    pub fn at(&self, number: i64) -> Option<Instant> {
        self.lock().at.get(&number).copied()
    }

    /// Events that had their effect.
    pub fn count(&self) -> usize {
        self.lock().at.len()
    }

    /// Effects beyond the first of an event.
    pub fn repeated(&self) -> usize {
        self.lock().repeated
    }

    /// Waits until there are `count`, for as long as one comes within `patience` of the last. Whether there are.
    pub async fn reach(&self, count: usize, patience: Duration) -> bool {
        let (mut last, mut since) = (self.count(), Instant::now());
        while last < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = self.count();
            if now > last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > patience {
                return false;
            }
        }
        true
    }

    fn note(&self, number: i64) {
        let (mut seen, now) = (self.lock(), Instant::now());
        match seen.at.entry(number) {
            Entry::Vacant(entry) => drop(entry.insert(now)),
            Entry::Occupied(_) => seen.repeated += 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ground {
    /// Makes them.
    ///
    /// # Errors
    /// A server cannot be used.
    pub async fn make(layout: &Layout) -> anyhow::Result<Self> {
        let admin_url = admin_url(&layout.run_dir, Region::East)?;
        let mut admin = connect(&admin_url).await?;
        // Left behind by a run that was killed.
        drop_database(&mut admin).await?;
        admin.execute("create database backbone_spine").await?;
        admin.close().await?;
        let mut url: reqwest::Url = admin_url.parse().context("the address of Postgres is not a URL")?;
        url.set_path(DATABASE);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url.as_str()).await?;
        outbox::MIGRATIONS.run(&pool).await?;
        pool.execute(TABLES).await?;

        // One for each run: a consumer starts with the oldest event.
        let topic: &'static str = format!("bench.spine-{}.v1", uuid::Uuid::now_v7().simple()).leak();
        let brokers = layout.kafka_bootstrap(Region::East);
        let names = [topic.to_owned(), format!("{topic}.dlq")];
        let replicas = i32::from(layout.settings.brokers);
        let topic_of = |name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(replicas));
        let topics: Vec<_> = names.iter().map(|name| topic_of(name)).collect();
        for made in kafka(&brokers)?.create_topics(&topics, &options()).await? {
            made.map_err(|(name, code)| anyhow::anyhow!("cannot make topic {name}: {code}"))?;
        }

        let mut listener = PgListener::connect(url.as_str()).await?;
        listener.listen(CHANNEL).await?;
        let effects = Arc::<Effects>::default();
        let noted = Arc::clone(&effects);
        let listening = tokio::spawn(async move {
            while let Ok(notification) = listener.recv().await {
                if let Ok(number) = notification.payload().parse() {
                    noted.note(number);
                }
            }
        });
        Ok(Self { url: url.to_string(), pool, brokers, topic, effects, listening, admin_url })
    }

    /// Removes them.
    ///
    /// # Errors
    /// A server cannot be used.
    pub async fn remove(self) -> anyhow::Result<()> {
        self.listening.abort();
        self.pool.close().await;
        let mut admin = connect(&self.admin_url).await?;
        drop_database(&mut admin).await?;
        let names = [self.topic.to_owned(), format!("{}.dlq", self.topic)];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        kafka(&self.brokers)?.delete_topics(&names, &options()).await?;
        Ok(())
    }
}

/// With the slots in it, which would hold it and the server's log.
async fn drop_database(admin: &mut PgConnection) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        admin
            .execute(
                "select pg_terminate_backend(active_pid) from pg_replication_slots where database = 'backbone_spine'",
            )
            .await?;
        let drop_slots =
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = 'backbone_spine'";
        // One that is in use still is dropped in the next round.
        match admin.execute(drop_slots).await {
            Ok(_) => break,
            Err(error) => {
                tries += 1;
                anyhow::ensure!(tries < 50, "cannot drop the slots in {DATABASE}: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    admin.execute("drop database if exists backbone_spine with (force)").await?;
    Ok(())
}

fn kafka(brokers: &str) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", brokers).create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(KAFKA_DEADLINE))
}
