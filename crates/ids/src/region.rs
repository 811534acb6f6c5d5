//! The regions of the deployment.

use std::fmt;
use std::str::FromStr;

/// A region. There are two; the number of each is its replica number in the carts' CRDT and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// Replica 1.
    East,
    /// Replica 2.
    West,
}

/// The name is not a region's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown region; use east or west")]
pub struct UnknownRegion;

impl Region {
    /// Every region.
    pub const ALL: [Self; 2] = [Self::East, Self::West];

    /// The name used in configuration, events and stores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::East => "east",
            Self::West => "west",
        }
    }

    /// The region's replica number in CRDTs. Stored in every dot: never change it.
    pub const fn replica(self) -> u8 {
        match self {
            Self::East => 1,
            Self::West => 2,
        }
    }

    /// The region of that replica number.
    pub fn of_replica(replica: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|region| region.replica() == replica)
    }

    /// The other region.
    pub const fn peer(self) -> Self {
        match self {
            Self::East => Self::West,
            Self::West => Self::East,
        }
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, UnknownRegion> {
        Self::ALL.into_iter().find(|region| region.name() == name).ok_or(UnknownRegion)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
