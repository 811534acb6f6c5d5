//! Which broker leads how many partitions of the event topics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ids::Region;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::platform::{Layout, PartName, TOPICS, Zone};

/// For the brokers' metadata.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The broker of `region` that leads most partitions of the event topics, as a part's name, and how many it leads.
///
/// # Errors
/// The brokers do not say.
pub async fn of_most(layout: &Layout, region: Region) -> Result<(String, usize)> {
    let brokers = layout.kafka_bootstrap(region);
    let counted = tokio::task::spawn_blocking(move || count(&brokers)).await??;
    let (node, led) = counted.into_iter().max_by_key(|(_, led)| *led).context("no broker leads anything")?;
    Ok((name(node), led))
}

/// Partitions led, by broker.
fn count(brokers: &str) -> Result<BTreeMap<i32, usize>> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set_log_level(RDKafkaLogLevel::Critical)
        .create()
        .context("no Kafka client")?;
    let metadata = client.fetch_metadata(None, ANSWER_WITHIN).context("the brokers do not say who leads")?;
    let mut led = BTreeMap::new();
    for topic in metadata.topics().iter().filter(|topic| TOPICS.contains(&topic.name())) {
        for partition in topic.partitions() {
            *led.entry(partition.leader()).or_default() += 1;
        }
    }
    Ok(led)
}

/// Every broker of both regions.
pub fn brokers(layout: &Layout) -> Vec<PartName> {
    let nodes = 1..=i32::from(layout.settings.brokers);
    nodes.flat_map(|node| Region::ALL.map(|region| PartName::new(Zone::Region(region), name(node)))).collect()
}

/// The part's name of a broker: `kafka`, `kafka-2`, `kafka-3`.
fn name(node: i32) -> String {
    if node == 1 { "kafka".to_owned() } else { format!("kafka-{node}") }
}
