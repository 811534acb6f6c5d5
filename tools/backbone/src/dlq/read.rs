//! Reads the letters of a region, and what its inboxes know of them.

use std::ops::ControlFlow;

use ids::Region;
use rdkafka::message::Message as _;

use super::letter::Letter;
use super::position::{Place, SUFFIX};
use super::standing::{AppliedAt, events};
use crate::audit::sources::{Read, Unreadable};
use crate::platform::Layout;
use crate::spine::inbox;
use crate::spine::topics::{Since, Topics};

/// Letters read of a topic; what is beyond is counted. About half a kilobyte each.
const LETTERS_MAX: usize = 100_000;

/// The letters of a region.
#[derive(Debug, Default)]
pub struct Letters {
    pub letters: Vec<Letter>,
    /// Topics whose letters are more than are read at once.
    pub cut_short: Vec<&'static str>,
}

/// Reads the letters of `topics` in a region's Kafka.
///
/// # Errors
/// [`Unreadable`]: the broker or a topic is not there.
pub async fn letters(layout: &Layout, region: Region, topics: Vec<&'static str>) -> Read<Letters> {
    let brokers = layout.kafka_bootstrap(region);
    let unreadable = |why: String| Unreadable::new(format!("the {region} Kafka"), why);
    let read = tokio::task::spawn_blocking(move || {
        let reader = Topics::of(&brokers)?;
        let mut found = Letters::default();
        for topic in topics {
            let before = found.letters.len();
            let extent = reader.read(&format!("{topic}{SUFFIX}"), Since::Beginning, |record| {
                let place = Place { topic, partition: record.partition(), offset: record.offset() };
                found.letters.push(Letter::of(place.of(region), record));
                if found.letters.len() - before < LETTERS_MAX {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            if extent.is_cut_short {
                found.cut_short.push(topic);
            }
        }
        Ok::<_, rdkafka::error::KafkaError>(found)
    });
    read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
}

/// What the consumers of a region that refused these letters have applied since. Without letters nothing is asked.
///
/// # Errors
/// [`Unreadable`]: a database with one of their inboxes.
pub async fn applied(layout: &Layout, region: Region, letters: &[Letter]) -> Read<AppliedAt> {
    let refused = |group: &str| letters.iter().any(|letter| letter.consumer == group);
    let applied = inbox::applied(layout, region, &events(letters), |consumer| refused(consumer.group)).await?;
    Ok(applied.into_iter().map(|one| ((region, one.consumer, one.event), one.at)).collect())
}
