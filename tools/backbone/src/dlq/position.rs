//! Where a letter lies, as people write it: `east/order.shipped.v1/2/0`. Pure.

use std::fmt;
use std::str::FromStr;

use ids::Region;

use crate::platform::TOPICS;

/// What every dead-letter topic's name ends with, behind that of the topic it is beside.
pub const SUFFIX: &str = ".dlq";

/// Where a letter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// In whose Kafka.
    pub region: Region,
    /// Where in it.
    pub place: Place,
}

/// A place that both regions may have. The topic is the one that the letter was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub topic: &'static str,
    pub partition: i32,
    pub offset: i64,
}

/// A position on the command line: the region may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub region: Option<Region>,
    pub place: Place,
}

/// The text is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPosition {
    /// It does not have the parts.
    #[error("a letter's position is written like east/order.shipped.v1/2/0: region, topic, partition, offset")]
    Form,
    /// There is no such topic.
    #[error("there is no topic {0}; there are {known}", known = TOPICS.join(", "))]
    Topic(String),
}

impl Place {
    /// The name of the dead-letter topic itself.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}{SUFFIX}", self.topic)
    }

    /// The same place in a region.
    pub const fn of(self, region: Region) -> Position {
        Position { region, place: self }
    }
}

/// The topic of that name, with or without the dead letters' suffix.
///
/// # Errors
/// [`InvalidPosition::Topic`].
pub fn topic(name: &str) -> Result<&'static str, InvalidPosition> {
    let bare = name.strip_suffix(SUFFIX).unwrap_or(name);
    TOPICS.into_iter().find(|topic| *topic == bare).ok_or_else(|| InvalidPosition::Topic(bare.to_owned()))
}

impl FromStr for Asked {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parts: Vec<&str> = text.split('/').collect();
        let (region, rest) = match parts.as_slice() {
            [region, rest @ ..] if rest.len() == 3 => (Some(region.parse().map_err(|_| InvalidPosition::Form)?), rest),
            rest => (None, rest),
        };
        let [name, partition, offset] = rest else { return Err(InvalidPosition::Form) };
        let partition: i32 = partition.parse().map_err(|_| InvalidPosition::Form)?;
        let offset: i64 = offset.parse().map_err(|_| InvalidPosition::Form)?;
        if partition < 0 || offset < 0 {
            return Err(InvalidPosition::Form);
        }
        Ok(Self { region, place: Place { topic: topic(name)?, partition, offset } })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { topic: "order.shipped.v1", partition: 2, offset: 17 };

    #[test]
    fn a_position_reads_back_as_it_is_written() {
        let written = PLACE.of(Region::West).to_string();
        assert_eq!(written, "west/order.shipped.v1/2/17");
        assert_eq!(written.parse::<Asked>().unwrap(), Asked { region: Some(Region::West), place: PLACE });
    }

    #[test]
    fn the_region_and_the_suffix_may_be_left_out() {
        for written in ["order.shipped.v1/2/17", "order.shipped.v1.dlq/2/17"] {
            assert_eq!(written.parse::<Asked>().unwrap(), Asked { region: None, place: PLACE }, "{written}");
        }
    }

    #[test]
    fn what_is_no_position_is_refused_with_what_would_be_one() {
        for refused in ["", "2/17", "north/order.shipped.v1/2/17", "order.shipped.v1/-1/0", "order.shipped.v1/2/x"] {
            assert_eq!(refused.parse::<Asked>(), Err(InvalidPosition::Form), "{refused:?}");
        }
        let error = "order.shiped.v1/2/0".parse::<Asked>().unwrap_err().to_string();
        assert!(
            error.contains("order.shiped.v1") && error.contains("order.shipped.v1, payment.captured.v1"),
            "{error}"
        );
    }
}
