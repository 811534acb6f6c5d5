//! A producer that asks again and again how long an acknowledgement takes: one small record to each partition in turn, acknowledged by all
//! in-sync replicas, in a topic of its own. What the relays see, without the work around it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ids::Region;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use crate::load::latency::{Latencies, Percentiles};
use crate::platform::Layout;

const TOPIC: &str = "drill.probe";
const PARTITIONS: i32 = 4;
/// Between two records: twenty a second, five to each partition.
const EVERY: Duration = Duration::from_millis(50);
/// A record that is not acknowledged by then has failed. Longer than any election takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const ADMIN_WITHIN: Duration = Duration::from_secs(20);

/// A record that was sent.
#[derive(Debug)]
struct Sample {
    partition: i32,
    at: Instant,
    /// Until it was acknowledged; `None`: never.
    took: Option<Duration>,
}

impl Sample {
    fn acknowledged_at(&self) -> Option<Instant> {
        Some(self.at + self.took?)
    }
}

type Samples = Arc<Mutex<Vec<Sample>>>;

/// A probe at work.
pub struct Probe {
    samples: Samples,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// What it saw.
#[derive(Debug, Default)]
pub struct Produced {
    samples: Vec<Sample>,
}

impl Probe {
    /// Makes the topic and begins.
    ///
    /// # Errors
    /// The topic cannot be made.
    pub async fn start(layout: &Layout, region: Region) -> Result<Self> {
        let brokers = layout.kafka_bootstrap(region);
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(i32::from(layout.settings.brokers)));
        let made =
            admin(&brokers)?.create_topics([&topic], &options()).await.context("cannot make the probe's topic")?;
        for result in made {
            match result {
                Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => anyhow::bail!("cannot make the topic {name}: {code}"),
            }
        }
        let producer: FutureProducer = client(&brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", GIVE_UP_AFTER.as_millis().to_string())
            .create()?;
        let (samples, stop) = (Samples::default(), CancellationToken::new());
        let task = tokio::spawn(send(producer, Arc::clone(&samples), stop.clone()));
        Ok(Self { samples, stop, task })
    }

    /// Sends no more, waits for what is under way, and tells what it saw.
    pub async fn stop(self) -> Produced {
        self.stop.cancel();
        // A probe that broke down has seen what it has seen.
        let _ = self.task.await;
        Produced { samples: std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner)) }
    }
}

async fn send(producer: FutureProducer, samples: Samples, stop: CancellationToken) {
    let mut under_way = JoinSet::new();
    let (mut ticks, mut number) = (interval(EVERY), 0);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let (producer, samples, partition) = (producer.clone(), Arc::clone(&samples), number % PARTITIONS);
        number += 1;
        under_way.spawn(async move {
            let at = Instant::now();
            let record = FutureRecord::<(), [u8]>::to(TOPIC).partition(partition).payload(b"probe".as_slice());
            let took = producer.send(record, GIVE_UP_AFTER).await.ok().map(|_| at.elapsed());
            samples.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { partition, at, took });
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

impl Produced {
    /// Of the records sent between `from` and `to` after `start`.
    pub fn latency(&self, start: Instant, from: Duration, to: Duration) -> Percentiles {
        let latencies = Latencies::default();
        let sent = self.samples.iter().filter(|sample| (start + from..start + to).contains(&sample.at));
        sent.filter_map(|sample| sample.took).for_each(|took| latencies.record(took));
        latencies.percentiles()
    }

    /// Records that were never acknowledged.
    pub fn failed(&self) -> usize {
        self.samples.iter().filter(|sample| sample.took.is_none()).count()
    }

    /// How long after `died` every partition had acknowledged a record that was sent after it; `None`: one never did.
    pub fn recovered(&self, died: Instant) -> Option<Duration> {
        let first = |partition| {
            let sent = self.samples.iter().filter(|sample| sample.partition == partition && sample.at >= died);
            Some(sent.filter_map(Sample::acknowledged_at).min()?.saturating_duration_since(died))
        };
        (0..PARTITIONS).map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// Deletes the topic; one that stays does no harm.
pub async fn remove(layout: &Layout, region: Region) {
    if let Ok(admin) = admin(&layout.kafka_bootstrap(region)) {
        let _ = admin.delete_topics(&[TOPIC], &options()).await;
    }
}

fn admin(brokers: &str) -> Result<AdminClient<DefaultClientContext>> {
    client(brokers).create().context("no Kafka client")
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set_log_level(RDKafkaLogLevel::Critical);
    config
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ADMIN_WITHIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn recovery_ends_when_the_last_partition_takes_records_again() {
        let died = Instant::now() + Duration::from_secs(10);
        let seconds = Duration::from_secs_f64;
        let sample = |partition, at: f64, took: f64| Sample {
            partition,
            at: if at < 0.0 { died - seconds(-at) } else { died + seconds(at) },
            took: Some(seconds(took)),
        };
        let mut samples = vec![
            // Sent before the loss: it may be acknowledged by what is lost.
            sample(1, -0.5, 0.6),
            sample(1, 0.5, 8.5),
            sample(1, 8.9, 0.1),
            sample(0, 0.0, 0.003),
            sample(2, 0.1, 3.9),
        ];
        assert_eq!(Produced::default().recovered(died), None);
        samples.push(sample(3, 0.2, 0.1));
        let produced = Produced { samples };
        assert_eq!(produced.recovered(died), Some(seconds(9.0)));
        assert_eq!(produced.latency(died, seconds(8.0), seconds(9.0)).count, 1);
        assert_eq!(produced.failed(), 0);
    }
}
