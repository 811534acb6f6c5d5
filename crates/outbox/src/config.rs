//! Settings of the event spine, flattened into the config of every service that speaks or listens on it.

use std::time::Duration;

/// Where the brokers are and how long to remember. Parsed and checked by clap, before any port is bound.
#[derive(Debug, Clone, clap::Args)]
pub struct SpineConfig {
    /// Kafka brokers of this region: `host:port`, comma-separated.
    #[arg(long, env = "KAFKA_BROKERS", value_parser = parse_brokers)]
    pub kafka_brokers: String,
    /// Kafka brokers of the other region. Without it, events stay in this region.
    #[arg(long, env = "PEER_KAFKA_BROKERS", value_parser = parse_brokers)]
    pub peer_kafka_brokers: Option<String>,
    /// Hours that a consumer remembers the events it acted on. Too short, and a late redelivery has its effect twice:
    /// the consumer therefore compares it with what its topics retain, and refuses to run when it does not cover them.
    ///
    /// The default covers Kafka's own defaults (a record lives up to seven days plus a segment's seven),
    /// `republish_window_hours` and the clients' retry budgets (five hours), with eighteen hours to spare.
    #[arg(long, env = "INBOX_RETENTION_HOURS", default_value_t = 16 * 24, value_parser = clap::value_parser!(u32).range(1..))]
    pub inbox_retention_hours: u32,
    /// Longest time in hours between the first publication of an event and its repeat by a relay that had died before
    /// it could delete the row, or did not hear of the acknowledgement: how long a service of ours or its broker may be
    /// down. Part of the retention above.
    #[arg(long, env = "REPUBLISH_WINDOW_HOURS", default_value_t = 24)]
    pub republish_window_hours: u32,
}

impl SpineConfig {
    /// How long an inbox row is kept.
    pub(crate) fn inbox_retention(&self) -> Duration {
        hours(self.inbox_retention_hours)
    }

    /// How late a relay may publish an event for the second time.
    pub(crate) fn republish_window(&self) -> Duration {
        hours(self.republish_window_hours)
    }
}

fn hours(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 3600)
}

/// Accepts `host:port[,host:port…]`. librdkafka would take a typing error silently and retry for ever.
fn parse_brokers(text: &str) -> Result<String, String> {
    let is_broker = |broker: &str| {
        broker
            .trim()
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if text.split(',').all(is_broker) {
        Ok(text.to_owned())
    } else {
        Err("expected host:port, several separated by commas".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_host_and_port() {
        for accepted in ["127.1.0.3:9092", "a:1,b:2", "[::1]:9092"] {
            assert_eq!(parse_brokers(accepted).as_deref(), Ok(accepted));
        }
        for refused in ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:70000", "a:1,", "a:1,b"] {
            assert!(parse_brokers(refused).is_err(), "{refused:?}");
        }
    }
}
