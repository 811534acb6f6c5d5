//! Where everything is: the folders and addresses of one system. Pure but for [`Layout::new`], which asks the environment for
//! defaults.
//!
//! Each region has an address prefix, so every part keeps its usual port and each link between regions is one address pair.
//! From one region the other is reached through the `wan` alone: at an address of the link that stands for the other's
//! ([`Layout::wan_to`]).
//! A second system stands beside the first when it has another run directory and other prefixes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ids::Region;
use serde::{Deserialize, Serialize};

use super::error::PlatformError;
use super::part::{PartName, Zone};
use super::services::Service;

/// The first three numbers of the loopback addresses of a zone, such as `127.1.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Prefix([u8; 3]);

/// The text is not a loopback prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address prefix is three numbers that begin with 127, such as 127.1.0")]
pub struct InvalidPrefix;

impl Prefix {
    /// `127.a.b`
    pub const fn new(a: u8, b: u8) -> Self {
        Self([127, a, b])
    }

    /// The address of the part with this number.
    pub const fn host(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.0[0], self.0[1], self.0[2], number)
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let address: Ipv4Addr = format!("{text}.0").parse().map_err(|_| InvalidPrefix)?;
        let [first, a, b, _] = address.octets();
        if first == 127 { Ok(Self::new(a, b)) } else { Err(InvalidPrefix) }
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0[0], self.0[1], self.0[2])
    }
}

/// What a run directory was set up with. It stays the same until the data is wiped: stores and brokers remember it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Prefix of region east.
    pub east: Prefix,
    /// Prefix of region west.
    pub west: Prefix,
    /// Prefix of the outside world: the payment provider, the link between the regions.
    pub outside: Prefix,
    /// Kafka brokers per region, 1 or 3.
    pub brokers: u8,
    /// Data that may be lost with the machine, as for tests: no fsync in Postgres, topics create themselves.
    pub throwaway: bool,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { east, west, outside, brokers, throwaway } = self;
        write!(f, "east {east}, west {west}, outside {outside}, {brokers} Kafka broker(s) a region")?;
        if *throwaway { f.write_str(", throw-away") } else { Ok(()) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            east: Prefix::new(1, 0),
            west: Prefix::new(2, 0),
            outside: Prefix::new(3, 0),
            brokers: 1,
            throwaway: false,
        }
    }
}

/// The folders and addresses of one system.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Holds all state: data, configuration, secrets, logs, `state.json`. Absolute.
    pub run_dir: PathBuf,
    /// Holds the service binaries.
    pub bin_dir: PathBuf,
    /// Holds Kafka's jars.
    pub kafka_dir: PathBuf,
    /// What the run directory was set up with.
    pub settings: Settings,
}

impl Layout {
    /// The layout of `run_dir` (made absolute). Binaries stand beside the running one unless `BACKBONE_BIN_DIR` says otherwise;
    /// Kafka is in the build cache (`BACKBONE_CACHE_DIR`, or `marketplace-backbone` in the user's cache folder).
    ///
    /// # Errors
    /// There is no current directory, or no home to find the cache in.
    pub fn new(run_dir: &Path, settings: Settings) -> Result<Self, PlatformError> {
        let run_dir = std::path::absolute(run_dir).map_err(PlatformError::io("resolve", run_dir))?;
        Ok(Self { run_dir, bin_dir: default_bin_dir()?, kafka_dir: cache_dir()?.join("kafka"), settings })
    }

    /// The layout that `up` recorded in this run directory.
    ///
    /// # Errors
    /// Nothing was brought up there, or its record cannot be read.
    pub fn load(run_dir: &Path) -> Result<Self, PlatformError> {
        let stored = super::state::State::load(run_dir)?.ok_or_else(|| PlatformError::NothingHere(run_dir.into()))?;
        Self::new(run_dir, stored.settings)
    }

    /// The prefix of a zone.
    pub const fn prefix(&self, zone: Zone) -> Prefix {
        match zone {
            Zone::Region(Region::East) => self.settings.east,
            Zone::Region(Region::West) => self.settings.west,
            Zone::Outside => self.settings.outside,
        }
    }

    /// An address in a region.
    pub const fn address(&self, region: Region, host: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.prefix(Zone::Region(region)).host(host), port)
    }

    /// Where the region's Postgres answers.
    pub const fn postgres(&self, region: Region) -> SocketAddrV4 {
        self.address(region, 1, 5432)
    }

    /// Where the region's Redis answers.
    pub const fn redis(&self, region: Region) -> SocketAddrV4 {
        self.address(region, 2, 6379)
    }

    /// Where the region's brokers answer, the first one first.
    pub fn kafka(&self, region: Region) -> Vec<SocketAddrV4> {
        (0..self.settings.brokers).map(|index| self.address(region, 3 + index, 9092)).collect()
    }

    /// The region's brokers as Kafka clients want them: `127.1.0.3:9092,…`.
    pub fn kafka_bootstrap(&self, region: Region) -> String {
        let brokers: Vec<String> = self.kafka(region).iter().map(ToString::to_string).collect();
        brokers.join(",")
    }

    /// Where the region's front door (HTTP) is.
    pub const fn bff(&self, region: Region) -> SocketAddrV4 {
        Service::Bff.listen(self, region)
    }

    /// Where the region's inventory, which also serves the catalogue, answers (gRPC).
    pub const fn inventory(&self, region: Region) -> SocketAddrV4 {
        Service::Inventory.listen(self, region)
    }

    /// Where the region's orders, and what their operators may do, answer (gRPC).
    pub const fn order(&self, region: Region) -> SocketAddrV4 {
        Service::Order.listen(self, region)
    }

    /// Where the region's payments, and what their operators may do, answer (gRPC).
    pub const fn payment(&self, region: Region) -> SocketAddrV4 {
        Service::Payment.listen(self, region)
    }

    /// Where the other region reaches number `host` of `region`: on the link, at the same port. Number 112 of the outside world
    /// stands for 12 of region east, 212 for 12 of region west. `host` is below 50.
    pub const fn wan_to(&self, region: Region, host: u8, port: u16) -> SocketAddrV4 {
        let first = match region {
            Region::East => 100,
            Region::West => 200,
        };
        SocketAddrV4::new(self.settings.outside.host(first + host), port)
    }

    /// Where the other region reaches a service of `region`.
    pub const fn wan_service(&self, region: Region, service: Service) -> SocketAddrV4 {
        let there = service.listen(self, region);
        self.wan_to(region, there.ip().octets()[3], there.port())
    }

    /// The brokers of `region` as Kafka clients in the other region want them.
    pub fn wan_kafka_bootstrap(&self, region: Region) -> String {
        let across = |there: &SocketAddrV4| self.wan_to(region, there.ip().octets()[3], there.port()).to_string();
        let brokers: Vec<String> = self.kafka(region).iter().map(across).collect();
        brokers.join(",")
    }

    /// Where the link's control panel answers (HTTP).
    pub const fn wan(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.settings.outside.host(30), 8080)
    }

    /// Where the payment provider answers (HTTP).
    pub const fn psp(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.settings.outside.host(20), 8080)
    }

    /// A part's data.
    pub fn data(&self, part: &PartName) -> PathBuf {
        self.run_dir.join("data").join(part.zone.name()).join(&part.name)
    }

    /// A part's rendered configuration file.
    pub fn conf(&self, part: &PartName) -> PathBuf {
        self.run_dir.join("conf").join(part.zone.name()).join(format!("{}.conf", part.name))
    }

    /// A part's log.
    pub fn log(&self, part: &PartName) -> PathBuf {
        self.run_dir.join("log").join(part.zone.name()).join(format!("{}.log", part.name))
    }

    /// A secret, one file each, mode 0600.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.run_dir.join("secrets").join(name)
    }

    /// The provider's ledger file, the independent witness.
    pub fn psp_ledger(&self) -> PathBuf {
        self.data(&PartName::new(Zone::Outside, "psp")).join("ledger.jsonl")
    }
}

/// The folder of the running binary; a test's binary stands one folder below the others, in `deps`.
fn default_bin_dir() -> Result<PathBuf, PlatformError> {
    if let Some(folder) = std::env::var_os("BACKBONE_BIN_DIR") {
        return Ok(folder.into());
    }
    let binary = std::env::current_exe().map_err(PlatformError::io("find", Path::new("the running binary")))?;
    let folder = binary.parent().unwrap_or(Path::new("/"));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_path_buf())
}

/// The build cache; the same rule stands in the Makefile.
fn cache_dir() -> Result<PathBuf, PlatformError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("BACKBONE_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("marketplace-backbone")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/marketplace-backbone")))
        .ok_or(PlatformError::NoCache)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_three_loopback_numbers() {
        assert_eq!("127.101.0".parse::<Prefix>().unwrap().host(11).to_string(), "127.101.0.11");
        for refused in ["", "127.1", "10.1.0", "127.1.0.1", "127.256.0", "127.1.x"] {
            assert_eq!(refused.parse::<Prefix>(), Err(InvalidPrefix), "{refused:?}");
        }
    }

    #[test]
    fn three_brokers_have_three_addresses() {
        let settings = Settings { brokers: 3, ..Settings::default() };
        let layout = Layout::new(Path::new("/nowhere"), settings).unwrap();
        assert_eq!(layout.kafka_bootstrap(Region::West), "127.2.0.3:9092,127.2.0.4:9092,127.2.0.5:9092");
        assert_eq!(layout.wan_kafka_bootstrap(Region::West), "127.3.0.203:9092,127.3.0.204:9092,127.3.0.205:9092");
    }

    #[test]
    fn the_link_stands_in_for_each_region_at_the_usual_ports() {
        let layout = Layout::new(Path::new("/nowhere"), Settings::default()).unwrap();
        let inventory = Region::ALL.map(|region| layout.wan_service(region, Service::Inventory).to_string());
        assert_eq!(inventory, ["127.3.0.112:50051", "127.3.0.212:50051"]);
    }
}
