//! A region's Kafka: one broker, or three that replicate to each other.

use std::time::Duration;

use ids::Region;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::types::RDKafkaErrorCode;

use super::account::Account;
use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Kind, Part, PartName, Probe, StopSignal, Wave, Zone};
use super::template::fill;
use super::tool;

const TEMPLATE: &str = include_str!("../../../../deploy/local/kafka/server.properties");
const LOGGING: &str = include_str!("../../../../deploy/local/kafka/log4j2.yaml");

/// The event types that cross between services, each a topic of its own with `<topic>.dlq` beside it.
pub const TOPICS: [&str; 5] =
    ["order.placed.v1", "order.cancelled.v1", "order.shipped.v1", "payment.captured.v1", "payment.refunded.v1"];
/// Partitions of a topic: how many members of a group can work side by side.
const PARTITIONS: i32 = 4;

/// Port of the listener for clients of the other region, who come through the link. It is apart from the usual one because a broker
/// tells its clients where the brokers are, by the listener that they asked: those of the other region must be told the link's
/// addresses, or they would go around it after the first question.
pub const WAN_PORT: u16 = 9094;

/// The region's brokers.
pub fn parts(layout: &Layout, region: Region) -> Vec<Part> {
    (0..layout.settings.brokers).map(|index| broker(layout, region, index)).collect()
}

/// The name of a region's broker; the first one is plainly `kafka`.
fn name(region: Region, index: u8) -> PartName {
    let name = if index == 0 { "kafka".to_owned() } else { format!("kafka-{}", index + 1) };
    PartName::new(Zone::Region(region), name)
}

fn broker(layout: &Layout, region: Region, index: u8) -> Part {
    let name = name(region, index);
    let address = layout.address(region, 3 + index, 9092);
    let brokers = layout.settings.brokers;
    let voters: Vec<String> =
        (0..brokers).map(|voter| format!("{}@{}", voter + 1, layout.address(region, 3 + voter, 9093))).collect();
    let configuration = fill(
        TEMPLATE,
        &[
            ("node_id", &(index + 1).to_string()),
            ("voters", &voters.join(",")),
            ("address", &address.ip().to_string()),
            ("wan_port", &WAN_PORT.to_string()),
            ("wan_address", &layout.wan_to(region, 3 + index, 9092).to_string()),
            ("data", &layout.data(&name).join("log").display().to_string()),
            ("replication", &brokers.to_string()),
            ("in_sync_min", &(brokers / 2 + 1).to_string()),
            ("auto_create", &layout.settings.throwaway.to_string()),
        ],
    );
    let mut arguments = jvm_arguments(layout, &name);
    arguments.extend(["kafka.Kafka".into(), layout.conf(&name).into()]);
    Part {
        kind: Kind::Kafka,
        wave: Wave::Servers,
        program: "java".into(),
        arguments,
        environment: Vec::new(),
        configuration: Some(configuration),
        listens: [9092, 9093, WAN_PORT].map(|port| layout.address(region, 3 + index, port)).into(),
        probe: Probe::Kafka(address),
        stop_signal: StopSignal::Terminate,
        name,
    }
}

/// Heap and compiler for a broker that shares a laptop: measured at 140 MB resident when idle and started in 1.6 s.
/// One collector thread and one compiler tier do for some thousand events a second, and leave the cores to the services.
fn jvm_arguments(layout: &Layout, name: &PartName) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = [
        "-Xms32m",
        "-Xmx192m",
        "-Xss256k",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
    ]
    .map(Into::into)
    .into();
    arguments.push(format!("-Dlog4j2.configurationFile={}", logging(layout, name).display()).into());
    arguments.extend(["-cp".into(), layout.kafka_dir.join("*").into()]);
    arguments
}

fn logging(layout: &Layout, name: &PartName) -> std::path::PathBuf {
    layout.conf(name).with_extension("log4j2.yaml")
}

/// Formats the broker's storage once. Kafka refuses to start on storage without a cluster id, and refuses to format twice.
///
/// # Errors
/// The tool failed; the error has what it said.
pub async fn initialise(layout: &Layout, account: &Account, part: &Part) -> Result<(), PlatformError> {
    account.write(&logging(layout, &part.name), LOGGING)?;
    let data = layout.data(&part.name);
    account.make_dir(&data)?;
    if data.join("log/meta.properties").exists() {
        return Ok(());
    }
    let mut command = account.command(part.program.as_os_str());
    command.args(jvm_arguments(layout, &part.name)).args(["kafka.tools.StorageTool", "format", "--ignore-formatted"]);
    command.arg("-t").arg(cluster_id(part.name.zone)).arg("-c").arg(layout.conf(&part.name));
    tool::run(command, layout, &part.name, "formatting its storage").await
}

/// All brokers of a region must be formatted with the same id, and those of the other region with another, so that a broker
/// that is pointed at the wrong region refuses to join.
fn cluster_id(zone: Zone) -> &'static str {
    match zone {
        Zone::Region(Region::West) => "d2VzdC1iYWNrYm9uZS0wMQ",
        Zone::Region(Region::East) | Zone::Outside => "ZWFzdC1iYWNrYm9uZS0wMQ",
    }
}

/// Makes the topics that are missing, with their dead-letter topics.
///
/// # Errors
/// What the broker said.
pub async fn create_topics(layout: &Layout, region: Region) -> Result<(), PlatformError> {
    let failed = |why: String| tool::failed(layout, &name(region, 0), format!("cannot make the topics: {why}"));
    let admin: AdminClient<DefaultClientContext> =
        client(&layout.kafka_bootstrap(region)).create().map_err(|error| failed(error.to_string()))?;
    let names: Vec<String> = TOPICS.iter().flat_map(|topic| [(*topic).to_owned(), format!("{topic}.dlq")]).collect();
    let replicas = i32::from(layout.settings.brokers);
    let topic = |name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(replicas));
    let topics: Vec<NewTopic<'_>> = names.iter().map(|name| topic(name)).collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let results = admin.create_topics(&topics, &options).await.map_err(|error| failed(error.to_string()))?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(failed(format!("{topic}: {code}"))),
        }
    }
    Ok(())
}

/// Client settings for a question or two.
fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("socket.timeout.ms", "10000").set_log_level(RDKafkaLogLevel::Critical);
    config
}

/// Asks a broker for the cluster's metadata; it must name itself there. Blocks for up to two seconds.
///
/// # Errors
/// Why not yet.
pub fn probe(address: std::net::SocketAddrV4) -> Result<(), String> {
    let client: rdkafka::consumer::BaseConsumer<Silent> =
        client(&address.to_string()).create_with_context(Silent).map_err(|error| error.to_string())?;
    let metadata = rdkafka::consumer::Consumer::fetch_metadata(&client, None, Duration::from_secs(2))
        .map_err(|error| error.to_string())?;
    let ip = address.ip().to_string();
    if metadata.brokers().iter().any(|broker| broker.host() == ip) {
        Ok(())
    } else {
        Err("it has not joined its cluster".to_owned())
    }
}

/// A refused connection is the answer we ask for, not worth a line.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn error(&self, _error: rdkafka::error::KafkaError, _reason: &str) {}
}

impl rdkafka::consumer::ConsumerContext for Silent {}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::platform::Settings;

    #[test]
    fn three_brokers_vote_and_keep_every_event_twice_at_least() {
        let settings = Settings { brokers: 3, ..Settings::default() };
        let parts = parts(&Layout::new(Path::new("/run-dir"), settings).unwrap(), Region::East);
        let names: Vec<String> = parts.iter().map(|part| part.name.to_string()).collect();
        assert_eq!(names, ["east/kafka", "east/kafka-2", "east/kafka-3"]);
        let last = parts[2].configuration.clone().unwrap();
        for expected in [
            "node.id=3\n",
            "controller.quorum.voters=1@127.1.0.3:9093,2@127.1.0.4:9093,3@127.1.0.5:9093\n",
            "\nmin.insync.replicas=2\n",
            "\nadvertised.listeners=PLAINTEXT://127.1.0.5:9092,WAN://127.3.0.105:9092\n",
            "auto.create.topics.enable=false\n",
        ] {
            assert!(last.contains(expected), "{expected:?} in\n{last}");
        }
        assert!(!last.contains("{{"), "{last}");
    }
}
