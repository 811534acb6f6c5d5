//! librdkafka's settings, where ours differ from its defaults, and why.

use rdkafka::ClientConfig;

/// Largest record in bytes that our producers send, key, payload and headers together: librdkafka's default, which leaves 5 % below
/// the broker's default `message.max.bytes` for the batch around it.
pub(crate) const RECORD_BYTES_MAX: usize = 1_000_000;

/// What every client has in common.
fn common(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        // A broker that restarts is back within seconds; the default waits up to ten.
        .set("reconnect.backoff.max.ms", "2000")
        // Idle connections are closed by brokers as a matter of course.
        .set("log.connection.close", "false")
        // No usage reports to the broker (KIP-714).
        .set("enable.metrics.push", "false");
    config
}

/// A client that only asks about topics.
pub(crate) fn admin(brokers: &str) -> ClientConfig {
    common(brokers, "outbox-admin")
}

/// A producer whose messages of one partition are stored once and in order, or not at all.
///
/// - Idempotence with `acks=all`: a retried request neither duplicates nor reorders, and an acknowledged message
///   survives the loss of the leader.
/// - The gapless guarantee: an error that would leave a hole before later messages of the partition is fatal to the
///   producer, which is then replaced. Messages that expire in the queue are exempt from that guarantee, so they never
///   expire (`message.timeout.ms` 0); the publisher has a deadline of its own and drops the producer whole.
/// - `murmur2` is the partitioner of the Java client: should Debezium relay the same table, each key stays in its
///   partition.
pub(super) fn producer(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = common(brokers, client_id);
    config
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("partitioner", "murmur2")
        // The relay gathers rows itself, for all partitions at once, and hands them over in one go: there is nothing to wait for.
        .set("linger.ms", "0")
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        // Room for three batches of the relay, each at most 256 rows and 5 MiB; it hands over one and waits.
        .set("queue.buffering.max.messages", "1024")
        .set("queue.buffering.max.kbytes", "16384")
        .set("request.timeout.ms", "5000")
        // A topic that does not exist is reported as such before the publisher's deadline.
        .set("topic.metadata.propagation.max.ms", "5000");
    config
}

/// A client that reads single records of partitions that it is told. It joins no group and commits nothing; librdkafka refuses to
/// assign partitions without the name of one.
pub(crate) fn reader(brokers: &str, group: &str) -> ClientConfig {
    let mut config = common(brokers, &format!("{group}-reader"));
    config
        .set("group.id", format!("{group}-reader"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "20")
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "1024")
        .set("fetch.max.bytes", "1048576");
    config
}

/// A member of a consumer group that says itself how far it has come; the client tells the group once a second.
pub(crate) fn consumer(brokers: &str, group: &str) -> ClientConfig {
    let mut config = common(brokers, group);
    config
        .set("group.id", group)
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        // A new group starts with the oldest event: those published before it first ran are its business too.
        .set("auto.offset.reset", "earliest")
        // Partitions that stay with a member are consumed all through a rebalance.
        .set("partition.assignment.strategy", "cooperative-sticky")
        // How long a killed member's partitions stay orphaned. Heartbeats come from a thread of their own, so a slow
        // handler is not mistaken for a dead one; that is what max.poll.interval.ms is for, left at its five minutes.
        // While the database is away longer than that the member leaves the group, and joins again when it polls:
        // nothing but a repeat.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        // How long a broker that has nothing new keeps a fetch. A record that comes ends the wait at once: it is the first one of a partition that
        // has just been assigned, which the fetch in flight does not cover, that may wait so long. At 100 ms the answers that say nothing cost idle
        // brokers three quarters of their processor time.
        .set("fetch.wait.max.ms", "500")
        // Memory: the defaults buffer 64 MiB ahead per client. With small queues the default pause of a second after a
        // full one would be the throughput.
        .set("queued.min.messages", "500")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.max.bytes", "4194304")
        // For the lag gauge.
        .set("statistics.interval.ms", "15000");
    config
}
