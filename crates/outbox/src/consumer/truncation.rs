//! Notices that a broker lost the tail of its log: after a power loss it comes back without its last records, and gives their
//! offsets to new ones. A consumer that only knows its offset goes on behind them and never sees them.
//!
//! The record before each position is read again and compared with its [`Mark`], whenever the brokers may not be those that were
//! there before: at the start, when partitions move, after a connection was lost, and every few minutes. When it is not there, or
//! is another one, the partition is read from its beginning: how much was lost nobody can tell, and the inbox, which remembers for
//! longer than the topic does, skips what was applied. What the broker lost for everybody `backbone events replay` brings back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::batch::Item;
use super::mark::Mark;
use crate::kafka::{self, SpineContext};
use crate::record::Delivered;

/// For each question to the broker.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A partition whose log is not the one that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truncated {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The offset of the record that is gone.
    pub(super) offset: i64,
    /// Where the log begins and ends now.
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Truncated {
    /// The record lies in that partition: it is delivered again.
    pub(super) fn holds(&self, item: &Item) -> bool {
        (self.topic.as_str(), self.partition) == (item.delivered.record.topic.as_str(), item.delivered.partition)
    }
}

/// What became of a record that was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It is there.
    Same,
    /// Its topic keeps records for a time only: nothing can be told.
    Expired,
    Gone,
}

/// By the extent of the log, and the mark of the record at the offset, if the extent makes it necessary to read that.
fn judge(mark: Mark, low: i64, high: i64, there: Option<Mark>) -> Found {
    if mark.offset >= high {
        Found::Gone
    } else if mark.offset < low {
        Found::Expired
    } else if there.is_none_or(|there| there == mark) {
        Found::Same
    } else {
        Found::Gone
    }
}

/// Compares the records before the consumer's positions with those that are there. `known`: marks of this process; for the other
/// partitions it has, those that were committed. Blocks: for `spawn_blocking`.
///
/// # Errors
/// A broker did not answer: nothing can be told yet.
pub(super) fn check(
    consumer: &StreamConsumer<SpineContext>,
    brokers: &str,
    group: &'static str,
    known: &BTreeMap<(String, i32), Mark>,
) -> Result<Vec<Truncated>, KafkaError> {
    let mut marks = BTreeMap::new();
    for place in consumer.committed(ANSWER_WITHIN)?.elements() {
        let at = (place.topic().to_owned(), place.partition());
        let mark = known.get(&at).copied().or_else(|| place.metadata().parse().ok());
        marks.extend(mark.map(|mark| (at, mark)));
    }
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    let reader: Reader = kafka::reader(brokers, group).create_with_context(SpineContext::of(group))?;
    let reader = kafka::OffRuntime::new(reader);
    let mut truncated = Vec::new();
    for ((topic, partition), mark) in marks {
        let (low, high) = reader.fetch_watermarks(&topic, partition, ANSWER_WITHIN)?;
        let is_there = (low..high).contains(&mark.offset);
        let there = if is_there { read(&reader, &topic, partition, mark.offset)? } else { None };
        if judge(mark, low, high, there) == Found::Gone {
            truncated.push(Truncated { topic, partition, offset: mark.offset, low, high });
        }
    }
    Ok(truncated)
}

type Reader = BaseConsumer<SpineContext>;

/// The mark of the record at this offset. None when it went meanwhile.
fn read(reader: &Reader, topic: &str, partition: i32, offset: i64) -> Result<Option<Mark>, KafkaError> {
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    reader.assign(&place)?;
    let message = reader.poll(ANSWER_WITHIN).transpose()?;
    let mark = message.as_ref().map(|message: &BorrowedMessage<'_>| Mark::of(&Delivered::copy_of(message)));
    drop(message);
    reader.unassign()?;
    Ok(mark.filter(|mark| mark.offset == offset))
}

/// Has the partition delivered from its beginning. Blocks: for `spawn_blocking`.
///
/// # Errors
/// The broker did not answer in time, or the partition has moved away.
pub(super) fn start_over(
    consumer: &Arc<StreamConsumer<SpineContext>>,
    truncated: &Truncated,
) -> Result<(), KafkaError> {
    consumer.seek(&truncated.topic, truncated.partition, Offset::Offset(truncated.low), ANSWER_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_not_there_or_is_another_is_gone_and_one_that_expired_tells_nothing() {
        let mark = |text: &str| text.parse::<Mark>().map_err(|_| "a mark").unwrap();
        let read = mark("41:0000000000000001");
        let other = mark("41:0000000000000002");
        assert_eq!(judge(read, 0, 42, Some(read)), Found::Same);
        assert_eq!(judge(read, 0, 50, Some(other)), Found::Gone);
        assert_eq!(judge(read, 0, 41, None), Found::Gone);
        assert_eq!(judge(read, 42, 60, None), Found::Expired);
        // It went between the two questions: the next look tells.
        assert_eq!(judge(read, 0, 50, None), Found::Same);
    }
}
