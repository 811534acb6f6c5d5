//! The whole system as a list of parts.

use ids::Region;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Part, PartName, Wave};
use super::services::{self, Service};
use super::{kafka, postgres, redis, wan};

/// How much of the system is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Both regions, the provider, and the link between the regions.
    System,
    /// Both regions' servers, to run services by hand against them.
    Servers,
    /// Postgres, Redis and Kafka of region east, for tests that need a server but no system.
    TestServers,
}

/// Every part of the scope.
///
/// # Errors
/// Postgres is not installed, or the secrets were not made yet.
pub fn parts(layout: &Layout, scope: Scope) -> Result<Vec<Part>, PlatformError> {
    let regions: &[Region] = if scope == Scope::TestServers { &[Region::East] } else { &Region::ALL };
    let mut parts = Vec::new();
    for region in regions.iter().copied() {
        parts.extend([postgres::part(layout, region)?, redis::part(layout, region)]);
        parts.extend(kafka::parts(layout, region));
        if scope == Scope::System {
            for service in Service::ALL {
                parts.push(services::part(layout, region, service)?);
            }
        }
    }
    if scope == Scope::System {
        parts.extend([services::psp(layout), wan::part(layout)]);
    }
    Ok(parts)
}

/// The regions that have parts.
pub fn regions(parts: &[Part]) -> Vec<Region> {
    let has_parts = |region: &Region| parts.iter().any(|part| part.name.zone == super::Zone::Region(*region));
    Region::ALL.into_iter().filter(has_parts).collect()
}

/// The parts of one wave.
pub fn wave(parts: &[Part], wave: Wave) -> Vec<Part> {
    parts.iter().filter(|part| part.wave == wave).cloned().collect()
}

/// Finds a part by its name.
///
/// # Errors
/// There is none of that name.
pub fn find(parts: Vec<Part>, name: &PartName) -> Result<Part, PlatformError> {
    let known = || parts.iter().map(|part| part.name.to_string()).collect::<Vec<_>>().join(", ");
    match parts.iter().find(|part| part.name == *name) {
        Some(part) => Ok(part.clone()),
        None => Err(PlatformError::UnknownPart { asked: name.clone(), known: known() }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `make up` builds what it runs and no more; the list stands in a script.
    #[test]
    fn the_build_makes_every_program_of_ours_that_is_started_and_no_other() {
        let script = include_str!("../../../../deploy/local/build");
        let list = script.lines().find_map(|line| line.strip_prefix("programs=(")?.strip_suffix(')')).unwrap();
        let built: BTreeSet<&str> = list.split_whitespace().collect();
        let services = Service::ALL.iter().map(|service| service.name());
        let started: BTreeSet<&str> = services.chain(["backbone", "psp", "wan"]).collect();
        assert_eq!(built, started);
    }
}
