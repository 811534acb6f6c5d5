//! How long an event must be remembered: as long as it can be delivered again. Derived from the topics, checked before
//! consuming. A consumer that refuses leaves its service alive, says why, and begins by itself once the settings have changed.

use std::time::Duration;

use chassis::conditions;
use chassis::retry::Backoff;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio_util::sync::CancellationToken;

use super::apply::APPLY_DEADLINE;
use super::batch::BATCH_EVENTS_MAX;
use super::{RETRY_DELAY_MAX, TRIES_MAX, standing};
use crate::config::SpineConfig;
use crate::error::SpineError;
use crate::kafka::{self, PUBLISH_DEADLINE, SpineContext};
use crate::waiting::back_off;

/// For asking the broker.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(10);
/// While the broker is away or the topics have not been created.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// How soon a consumer that refused to begin sees that it may. The question costs the broker a millisecond.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A broker that could not be asked so often in a row, some twenty seconds, is said aloud.
const UNREADABLE_SAID: u32 = 8;
/// For what the broker does late and clocks that differ: it looks for expired segments every five minutes and deletes
/// their files a minute later (`log.retention.check.interval.ms`, `file.delete.delay.ms`).
const MARGIN: Duration = Duration::from_secs(3600);

/// How long a topic keeps a record, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    AtMost(Duration),
    Unbounded,
}

/// How long a record can be read, from the topic's settings. `None` when one is missing or malformed.
///
/// `retention.ms` alone would be too short: Kafka deletes whole segments, and a segment only when its *newest* record
/// has expired. Its oldest is then older by up to `segment.ms`.
fn lifetime(setting: impl Fn(&str) -> Option<String>) -> Option<Lifetime> {
    let deletes = setting("cleanup.policy")?.split(',').any(|policy| policy.trim() == "delete");
    let retention: i64 = setting("retention.ms")?.parse().ok()?;
    let segment: u64 = setting("segment.ms")?.parse().ok()?;
    match u64::try_from(retention) {
        Ok(retention) if deletes => Some(Lifetime::AtMost(Duration::from_millis(retention.saturating_add(segment)))),
        // Compacted, or -1: for ever.
        _ => Some(Lifetime::Unbounded),
    }
}

/// What the clients' own tries add. A producer's request may be stored as late as its deadline, and the record be fetched in the
/// last moment of its life; its consumer then holds it through all tries of all events of its batch before it.
const RETRY_BUDGETS: Duration = PUBLISH_DEADLINE
    .saturating_add(APPLY_DEADLINE.saturating_add(RETRY_DELAY_MAX).saturating_mul(TRIES_MAX * BATCH_EVENTS_MAX as u32));

/// How long an event of such a topic must be remembered. The clock starts when the effect commits; a relay that had
/// died, or whose broker was away, may then publish the event once more up to `republish_window` later, and that record lives for
/// a whole lifetime.
fn required(lifetime: Duration, republish_window: Duration) -> Duration {
    lifetime.saturating_add(republish_window).saturating_add(RETRY_BUDGETS).saturating_add(MARGIN)
}

/// Waits until the inbox remembers for as long as the topics can deliver again, and the broker has said so. Returns false when
/// `token` was cancelled first. While it waits, the condition and the log say for what.
///
/// # Errors
/// [`SpineError::Client`].
pub(super) async fn wait(
    config: &SpineConfig,
    consumer: &'static str,
    topics: &'static [&'static str],
    token: &CancellationToken,
) -> Result<bool, SpineError> {
    let admin: AdminClient<SpineContext> =
        kafka::admin(&config.kafka_brokers).create_with_context(SpineContext::of(consumer))?;
    let admin = kafka::OffRuntime::new(admin);
    let (mut failures, mut said) = (0, None);
    loop {
        let described = tokio::select! {
            () = token.cancelled() => return Ok(false),
            described = describe(&admin, topics) => described,
        };
        let refusal = match described {
            Ok(lifetimes) => match compare(config, consumer, lifetimes) {
                Ok(()) => return Ok(true),
                Err(refusal) => refusal,
            },
            Err(error) => {
                failures += 1;
                tracing::warn!(
                    consumer,
                    failures,
                    error = &error as &dyn std::error::Error,
                    "cannot read the topics' retention, waiting"
                );
                if failures >= UNREADABLE_SAID {
                    conditions::report(&standing::part(consumer), &format!("has not begun: {error}"));
                }
                back_off(BACKOFF, failures, token).await;
                continue;
            }
        };
        failures = 0;
        let why = format!("refuses to begin: {refusal}");
        if said.as_ref() != Some(&why) {
            tracing::error!(consumer, "{why}; it begins once that has changed");
            said = Some(why.clone());
        }
        conditions::report(&standing::part(consumer), &why);
        tokio::select! {
            () = token.cancelled() => return Ok(false),
            () = tokio::time::sleep(LOOK_AGAIN_AFTER) => {}
        }
    }
}

/// Whether the inbox remembers for long enough.
fn compare(config: &SpineConfig, consumer: &'static str, lifetimes: Vec<(String, Lifetime)>) -> Result<(), SpineError> {
    for (topic, lifetime) in lifetimes {
        let Lifetime::AtMost(lifetime) = lifetime else {
            return Err(SpineError::UnboundedRetention { consumer, topic });
        };
        let required = required(lifetime, config.republish_window());
        let configured = config.inbox_retention();
        if configured < required {
            return Err(SpineError::InboxRetentionTooShort { consumer, topic, configured, required });
        }
    }
    Ok(())
}

/// Why the topics' settings are not known yet.
#[derive(Debug, thiserror::Error)]
enum DescribeError {
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    #[error("topic: {0}")]
    Topic(RDKafkaErrorCode),
    #[error("the broker did not say how long topic {0} is retained")]
    Incomplete(String),
}

async fn describe(
    admin: &AdminClient<SpineContext>,
    topics: &[&str],
) -> Result<Vec<(String, Lifetime)>, DescribeError> {
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(DESCRIBE_DEADLINE));
    let described = admin.describe_configs(&resources, &options).await?;
    let mut lifetimes = Vec::with_capacity(topics.len());
    // Results come in the order of the request.
    for (topic, resource) in topics.iter().zip(described) {
        let resource: ConfigResource = resource.map_err(DescribeError::Topic)?;
        let lifetime = lifetime(|name| resource.get(name).and_then(|entry| entry.value.clone()))
            .ok_or_else(|| DescribeError::Incomplete((*topic).to_owned()))?;
        lifetimes.push(((*topic).to_owned(), lifetime));
    }
    Ok(lifetimes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(policy: &str, retention_ms: &str, segment_ms: &str) -> Option<Lifetime> {
        lifetime(|name| {
            let value = match name {
                "cleanup.policy" => policy,
                "retention.ms" => retention_ms,
                "segment.ms" => segment_ms,
                _ => return None,
            };
            Some(value.to_owned()).filter(|value| !value.is_empty())
        })
    }

    #[test]
    fn a_record_outlives_the_retention_by_its_segment() {
        assert_eq!(topic("delete", "1000", "500"), Some(Lifetime::AtMost(Duration::from_millis(1500))));
        assert_eq!(topic("compact,delete", "1000", "0"), Some(Lifetime::AtMost(Duration::from_secs(1))));
    }

    #[test]
    fn a_topic_that_never_deletes_is_unbounded() {
        assert_eq!(topic("delete", "-1", "500"), Some(Lifetime::Unbounded));
        assert_eq!(topic("compact", "1000", "500"), Some(Lifetime::Unbounded));
    }

    #[test]
    fn a_missing_setting_is_not_guessed() {
        assert_eq!(topic("delete", "", "500"), None);
        assert_eq!(topic("delete", "1000", "soon"), None);
    }

    #[test]
    fn the_retry_budgets_are_remembered_beyond_the_life_of_the_record() {
        // Four and a half hours: 64 events, 8 tries of each, 32 seconds a try.
        assert_eq!(RETRY_BUDGETS, Duration::from_secs(10 + 64 * 8 * 32));
        assert!(required(Duration::ZERO, Duration::ZERO) > RETRY_BUDGETS);
    }

    #[test]
    fn the_default_remembers_for_as_long_as_kafkas_defaults_can_redeliver() {
        let days = |count: u64| Duration::from_secs(count * 86_400);
        assert!(required(days(7 + 7), days(1)) <= days(16));
    }
}
