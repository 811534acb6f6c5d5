//! Every metric of the event spine, declared once. Labels: `lane` is `local` or `peer`; `consumer` is the consumer
//! group.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counter, events, by `lane`: acknowledged by all in-sync replicas of that lane's Kafka.
pub const PUBLISHED: &str = "outbox_published_total";
/// Counter, attempts, by `lane`: a batch that was not acknowledged whole; what is left of it is published again.
pub const PUBLISH_FAILURES: &str = "outbox_publish_failures_total";
/// Histogram, seconds, by `lane`: from the append of an event to its acknowledgement.
pub const PUBLISH_DELAY: &str = "outbox_publish_delay_seconds";
/// Gauge, events, by `lane`: waiting to be published; stops counting at [`BACKLOG_COUNTED_MAX`].
pub const BACKLOG: &str = "outbox_backlog_events";
/// Gauge, seconds, by `lane`: age of the event that has waited longest; 0 when none waits.
pub const BACKLOG_AGE: &str = "outbox_backlog_age_seconds";
/// Gauge, aggregates, by `lane`: waiting because the broker refuses an event of theirs for good.
pub const REFUSED: &str = "outbox_refused_events";
/// Counter, records, by `consumer`: fetched from Kafka. Each of them becomes one of the handled, duplicates, foreign or dead
/// letters below, unless the process ends first. More of ours than there are effects means that some came again.
pub const DELIVERED: &str = "inbox_delivered_total";
/// Counter, events, by `consumer`: effect and inbox row committed.
pub const HANDLED: &str = "inbox_handled_total";
/// Counter, events, by `consumer`: delivered again, recognised by their inbox row, skipped.
pub const DUPLICATES: &str = "inbox_duplicates_total";
/// Counter, events, by `consumer`: another region's to act on, skipped.
pub const FOREIGN: &str = "inbox_foreign_total";
/// Counter, tries, by `consumer`: failed and were tried again.
pub const RETRIES: &str = "inbox_retries_total";
/// Counter, waits, by `consumer`: the database or the dead letters' broker was away, nothing was counted against the
/// event.
pub const STALLS: &str = "inbox_stalls_total";
/// Counter, waits, by `consumer`: an event waits because somebody else holds what it needs, or its dead letter was not stored.
pub const BLOCKED: &str = "inbox_blocked_total";
/// Gauge, records, by `consumer`: waiting, those behind the same key among them.
pub const PARKED: &str = "inbox_parked_records";
/// Gauge, seconds, by `consumer`: how long the one that has waited longest has waited; 0 when none waits.
pub const PARKED_AGE: &str = "inbox_parked_seconds";
/// Counter, by `consumer`: clients that were replaced because their broker did not answer them.
pub const CLIENTS_REPLACED: &str = "consumer_clients_replaced_total";
/// Counter, partitions, by `consumer` and `topic`: the broker's log ended below what the consumer had read, or had other records there.
pub const TRUNCATIONS: &str = "consumer_truncations_total";
/// Counter, events, by `consumer` and `class` (`poison`, `retries_exhausted`, `undecodable`): sent to the dead letters.
pub const DEAD_LETTERS: &str = "inbox_dead_letters_total";
/// Counter, rows, by `consumer`: forgotten because no broker can deliver them again.
pub const TRIMMED: &str = "inbox_trimmed_total";
/// Gauge, records, by `consumer`, `topic` and `partition`: behind the end of the partition.
pub const LAG: &str = "consumer_lag_records";

/// Where counting a backlog stops, in rows. Counting is a scan; past this the exact number changes nobody's decision.
pub const BACKLOG_COUNTED_MAX: i64 = 100_000;

/// Registers units and help texts with the metrics recorder. Harmless to repeat.
pub(crate) fn describe() {
    describe_counter!(PUBLISHED, Unit::Count, "Events acknowledged by Kafka");
    describe_counter!(PUBLISH_FAILURES, Unit::Count, "Batches not acknowledged whole");
    describe_histogram!(PUBLISH_DELAY, Unit::Seconds, "From the append of an event to its acknowledgement");
    describe_gauge!(BACKLOG, Unit::Count, "Events waiting to be published");
    describe_gauge!(BACKLOG_AGE, Unit::Seconds, "Age of the event that has waited longest");
    describe_gauge!(REFUSED, Unit::Count, "Aggregates that wait for an event the broker refuses");
    describe_counter!(DELIVERED, Unit::Count, "Records fetched from Kafka");
    describe_counter!(HANDLED, Unit::Count, "Events whose effect committed");
    describe_counter!(DUPLICATES, Unit::Count, "Events delivered again and skipped");
    describe_counter!(FOREIGN, Unit::Count, "Events of another region, skipped");
    describe_counter!(RETRIES, Unit::Count, "Tries that failed and were repeated");
    describe_counter!(STALLS, Unit::Count, "Waits for a dependency that was away");
    describe_counter!(BLOCKED, Unit::Count, "Waits of an event for what somebody else holds");
    describe_gauge!(PARKED, Unit::Count, "Records that wait");
    describe_gauge!(PARKED_AGE, Unit::Seconds, "How long the oldest of them has waited");
    describe_counter!(CLIENTS_REPLACED, Unit::Count, "Clients replaced because their broker was silent");
    describe_counter!(TRUNCATIONS, Unit::Count, "Partitions whose log lost its end");
    describe_counter!(DEAD_LETTERS, Unit::Count, "Events sent to the dead letters");
    describe_counter!(TRIMMED, Unit::Count, "Inbox rows forgotten");
    describe_gauge!(LAG, Unit::Count, "Records behind the end of the partition");
}
