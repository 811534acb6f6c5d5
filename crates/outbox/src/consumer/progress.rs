//! How far each partition has been settled.
//!
//! Records are not settled in the order of their offsets: those of a key that waits stay behind, those of other keys go on. The
//! position of a partition is its lowest offset that is not settled, so what a crash repeats begins there; the inbox skips what
//! was settled beyond it.

use std::collections::BTreeMap;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::batch::Item;
use super::mark::Mark;
use crate::kafka::SpineContext;

type Place = (String, i32);
/// The record before the position of each partition.
pub(super) type Marks = BTreeMap<Place, Mark>;

/// One partition.
#[derive(Debug, Default)]
struct Extent {
    /// Behind the last record taken.
    next: i64,
    /// The last record taken.
    last: Option<Mark>,
    /// Records taken and not settled, each with the mark of the one before it.
    undone: BTreeMap<i64, Option<Mark>>,
    is_changed: bool,
}

impl Extent {
    /// Where to go on from, and the record before it.
    fn position(&self) -> (i64, Option<Mark>) {
        self.undone.first_key_value().map_or((self.next, self.last), |(offset, before)| (*offset, *before))
    }
}

/// Every partition that records were taken of.
#[derive(Debug, Default)]
pub(super) struct Progress(BTreeMap<Place, Extent>);

/// The broker delivered a record below one that it had delivered before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WentBack {
    pub(super) expected: i64,
}

impl Progress {
    /// The record is in hand.
    ///
    /// # Errors
    /// [`WentBack`]: what was known of its partition is forgotten, the record is in hand all the same.
    pub(super) fn took(&mut self, item: &Item) -> Result<(), WentBack> {
        let offset = item.delivered.offset;
        let extent = self.0.entry(place(item)).or_default();
        let expected = extent.next;
        let went_back = offset < expected;
        if went_back {
            *extent = Extent::default();
        }
        extent.undone.insert(offset, extent.last);
        extent.next = offset + 1;
        extent.last = Some(Mark::of(&item.delivered));
        extent.is_changed = true;
        if went_back { Err(WentBack { expected }) } else { Ok(()) }
    }

    /// The record is settled.
    pub(super) fn settled(&mut self, item: &Item) {
        if let Some(extent) = self.0.get_mut(&place(item)) {
            extent.undone.remove(&item.delivered.offset);
            extent.is_changed = true;
        }
    }

    /// The partition came, went, or begins anew.
    pub(super) fn forget(&mut self, place: &Place) {
        self.0.remove(place);
    }

    /// The partition is read from this offset on.
    pub(super) fn restart(&mut self, place: Place, offset: i64) {
        self.0.insert(place, Extent { next: offset, is_changed: true, ..Extent::default() });
    }

    /// The mark of each partition's last record taken.
    pub(super) fn marks(&self) -> Marks {
        self.0.iter().filter_map(|(place, extent)| Some((place.clone(), extent.last?))).collect()
    }

    /// Notes it with the client, which tells the group once a second: a commit for each batch was the broker's largest work at
    /// a few events a batch, and what a crash repeats the inbox skips.
    ///
    /// A partition that has moved to another member is left out by the client: the new member goes on from where it is.
    pub(super) fn store(&mut self, kafka: &StreamConsumer<SpineContext>) -> KafkaResult<()> {
        let changed: Vec<_> = self.0.iter_mut().filter(|(_, extent)| extent.is_changed).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::with_capacity(changed.len());
        for ((topic, partition), extent) in changed {
            let (offset, before) = extent.position();
            let mut element = offsets.add_partition(topic, *partition);
            element.set_offset(Offset::Offset(offset))?;
            if let Some(mark) = before {
                element.set_metadata(mark.to_string());
            }
            extent.is_changed = false;
        }
        kafka.store_offsets(&offsets)
    }
}

fn place(item: &Item) -> Place {
    (item.delivered.record.topic.clone(), item.delivered.partition)
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::item;
    use super::*;

    fn position(progress: &Progress) -> (i64, Option<i64>) {
        let (offset, before) = progress.0[&("t".to_owned(), 0)].position();
        (offset, before.map(|mark| mark.offset))
    }

    #[test]
    fn the_position_is_the_lowest_offset_that_is_not_settled() {
        let mut progress = Progress::default();
        for offset in 5..9 {
            assert_eq!(progress.took(&item("a", offset)), Ok(()));
        }
        for offset in [5, 7, 8] {
            progress.settled(&item("a", offset));
        }
        assert_eq!(position(&progress), (6, Some(5)));
        progress.settled(&item("a", 6));
        assert_eq!(position(&progress), (9, Some(8)));
    }

    #[test]
    fn a_partition_that_goes_back_begins_anew() {
        let mut progress = Progress::default();
        assert_eq!(progress.took(&item("a", 5)), Ok(()));
        assert_eq!(progress.took(&item("a", 2)), Err(WentBack { expected: 6 }));
        assert_eq!(position(&progress), (2, None));
    }
}
