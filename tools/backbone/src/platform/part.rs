//! A part of the system: one process, where it listens, how one sees that it is ready, how it is stopped.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ids::Region;
use serde::{Deserialize, Serialize};

/// Where a part belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// One of our regions.
    Region(Region),
    /// What belongs to no region: the payment provider, the link between the regions.
    Outside,
}

impl Zone {
    /// The name in part names and paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Region(region) => region.name(),
            Self::Outside => "outside",
        }
    }
}

/// Names a part: `<zone>/<name>`, such as `east/cart` or `outside/psp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PartName {
    /// Where it belongs.
    pub zone: Zone,
    /// What it is: `postgres`, `redis`, `kafka` (`kafka-2`, `kafka-3`), `psp`, `wan` or a service.
    pub name: String,
}

/// The text does not name a part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part is named like east/cart, west/postgres or outside/psp")]
pub struct InvalidPartName;

impl PartName {
    /// A part of a zone.
    pub fn new(zone: Zone, name: impl Into<String>) -> Self {
        Self { zone, name: name.into() }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.zone.name(), self.name)
    }
}

impl FromStr for PartName {
    type Err = InvalidPartName;

    fn from_str(text: &str) -> Result<Self, InvalidPartName> {
        let (zone, name) = text.split_once('/').ok_or(InvalidPartName)?;
        let zone = match zone {
            "outside" => Zone::Outside,
            region => Zone::Region(region.parse().map_err(|_| InvalidPartName)?),
        };
        // The name becomes part of paths.
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(InvalidPartName);
        }
        Ok(Self::new(zone, name))
    }
}

impl TryFrom<String> for PartName {
    type Error = InvalidPartName;

    fn try_from(text: String) -> Result<Self, InvalidPartName> {
        text.parse()
    }
}

impl From<PartName> for String {
    fn from(name: PartName) -> Self {
        name.to_string()
    }
}

/// When a part starts. All parts of a wave start together; the next wave starts when they are ready, and stopping goes the
/// other way round. A service comes after those it calls, although it would also start without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wave {
    /// Postgres, Redis, Kafka, the payment provider, the link between the regions.
    Servers,
    /// Inventory and payment.
    Leaves,
    /// Cart, which asks the catalogue.
    Carts,
    /// Order, which drives the three.
    Orders,
    /// The front doors.
    Doors,
}

impl Wave {
    /// In the order they start.
    pub const ALL: [Self; 5] = [Self::Servers, Self::Leaves, Self::Carts, Self::Orders, Self::Doors];
}

/// What must be made before the process can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Needs `initdb` once.
    Postgres,
    /// Needs nothing.
    Redis,
    /// Needs its storage formatted once.
    Kafka,
    /// Needs a folder for its ledger.
    Psp,
    /// Needs nothing: it starts as a good line and remembers nothing.
    Wan,
    /// Needs its migrations, which `up` runs.
    Service,
}

/// How one sees that a part does its work.
#[derive(Clone)]
pub enum Probe {
    /// Answers `select 1` at this URL.
    Postgres(String),
    /// Answers `PING`.
    Redis(SocketAddrV4),
    /// Is named in the cluster metadata that it hands out.
    Kafka(SocketAddrV4),
    /// Answers this URL with 200.
    Http(String),
    /// Says ready at this URL, and SERVING to `grpc.health.v1` at this address.
    Grpc {
        /// `/readyz`
        ready_url: String,
        /// The gRPC address.
        address: SocketAddrV4,
    },
}

/// Which signal asks the process to end in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopSignal {
    /// What most understand.
    Terminate,
    /// Postgres: SIGTERM would wait for every client to leave, SIGINT rolls their transactions back and ends.
    Interrupt,
}

/// One process of the system. Its environment holds secrets: no `Debug`.
#[derive(Clone)]
pub struct Part {
    /// Its name.
    pub name: PartName,
    /// What must be made first.
    pub kind: Kind,
    /// When it starts.
    pub wave: Wave,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments; visible to everyone on the machine, so never a secret.
    pub arguments: Vec<OsString>,
    /// Its environment beside `PATH` and `LANG`.
    pub environment: Vec<(&'static str, String)>,
    /// A rendered configuration file to write to [`super::Layout::conf`] first.
    pub configuration: Option<String>,
    /// Every address it binds; the first is the one to show.
    pub listens: Vec<SocketAddrV4>,
    /// How one sees that it is ready.
    pub probe: Probe,
    /// How it is asked to end.
    pub stop_signal: StopSignal,
}

/// How long a part may take to get ready. A cold broker needs 2 s on two idle cores; the rest is for a busy machine.
pub const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a part may take to end before it is killed: longer than a service's drain and a Postgres checkpoint.
pub const STOP_LIMIT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_names_round_trip_and_cannot_leave_the_run_directory() {
        for name in ["east/cart", "west/kafka-2", "outside/psp"] {
            assert_eq!(name.parse::<PartName>().unwrap().to_string(), name);
        }
        for refused in ["cart", "north/cart", "east/", "east/../x", "east/a/b"] {
            assert_eq!(refused.parse::<PartName>(), Err(InvalidPartName), "{refused:?}");
        }
    }
}
