//! Which way along the link.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way along the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From region east to region west.
    EastWest,
    /// From region west to region east.
    WestEast,
}

/// The text names no direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a direction is east-west or west-east")]
pub struct InvalidDirection;

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::EastWest, Self::WestEast];

    /// The way back.
    pub const fn reverse(self) -> Self {
        match self {
            Self::EastWest => Self::WestEast,
            Self::WestEast => Self::EastWest,
        }
    }

    /// The name in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EastWest => "east-west",
            Self::WestEast => "west-east",
        }
    }
}

/// For people: `east->west`.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EastWest => "east->west",
            Self::WestEast => "west->east",
        })
    }
}

impl FromStr for Direction {
    type Err = InvalidDirection;

    fn from_str(name: &str) -> Result<Self, InvalidDirection> {
        Self::ALL.into_iter().find(|direction| direction.name() == name).ok_or(InvalidDirection)
    }
}

/// One value per direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directed<T> {
    /// From east to west.
    pub east_west: T,
    /// From west to east.
    pub west_east: T,
}

impl<T> Directed<T> {
    /// Makes each value from its direction.
    pub fn from_fn(mut make: impl FnMut(Direction) -> T) -> Self {
        Self { east_west: make(Direction::EastWest), west_east: make(Direction::WestEast) }
    }

    /// The value of a direction.
    pub const fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::EastWest => &self.east_west,
            Direction::WestEast => &self.west_east,
        }
    }

    /// The value of a direction, to change.
    pub const fn of_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::EastWest => &mut self.east_west,
            Direction::WestEast => &mut self.west_east,
        }
    }
}
