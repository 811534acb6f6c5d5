//! The services as processes: exchanged for those that can be sabotaged and back, their crash points armed, dead ones started again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ids::Region;
use sabotage::Guard;
use serde::Deserialize;

use crate::platform::part::Part;
use crate::platform::{self, Layout, PartName, Progress, Service, Zone};

/// For one question to a process on this machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The services that have binaries which can be sabotaged: those with a database.
pub fn sabotageable() -> impl Iterator<Item = Service> {
    Service::ALL.into_iter().filter(|service| service.has_database())
}

/// The part of a service.
pub fn part(region: Region, service: Service) -> PartName {
    PartName::new(Zone::Region(region), service.name())
}

/// What a service runs as during a drill.
#[derive(Clone, Debug)]
pub struct Sabotage {
    guards: Vec<Guard>,
}

impl Sabotage {
    /// Crash points that can be armed, and these guards taken away.
    ///
    /// # Errors
    /// The binaries were not built.
    pub fn of(layout: &Layout, guards: &[Guard]) -> Result<Self> {
        for service in sabotageable() {
            let program = layout.bin_dir.join(binary(service));
            ensure!(program.is_file(), "{} is not there; `make sabotaged` builds it", program.display());
        }
        Ok(Self { guards: guards.to_vec() })
    }

    /// Nothing is taken away; the binaries need not be there.
    #[cfg(test)]
    pub const fn none() -> Self {
        Self { guards: Vec::new() }
    }

    /// Turns a part into its sabotaged self; one that cannot be stays as it is.
    pub fn apply(&self, layout: &Layout, part: &mut Part) {
        let Some(service) = sabotageable().find(|service| service.name() == part.name.name) else { return };
        part.program = layout.bin_dir.join(binary(service));
        let guards = self.guards.iter().map(|guard| guard.name()).collect::<Vec<_>>().join(",");
        part.environment.push((sabotage::GUARDS_VARIABLE, guards));
    }

    /// Exchanges every service of both regions.
    ///
    /// # Errors
    /// One does not get ready.
    pub async fn begin(&self, layout: &Layout, progress: Progress<'_>) -> Result<()> {
        let guards: Vec<&str> = self.guards.iter().map(|guard| guard.name()).collect();
        let without = if guards.is_empty() { String::new() } else { format!(", without {}", guards.join(", ")) };
        progress(&format!("exchanging the services for those with crash points{without}"));
        for (region, service) in both(sabotageable()) {
            platform::restart(layout, &part(region, service), false, &|_| {}, |part| self.apply(layout, part)).await?;
        }
        Ok(())
    }
}

/// Exchanges every service back for the real one.
///
/// # Errors
/// One may still be the sabotaged one.
pub async fn restore(layout: &Layout, progress: Progress<'_>) -> Result<()> {
    progress("exchanging the services back");
    for (region, service) in both(sabotageable()) {
        let part = part(region, service);
        let restored = platform::restart(layout, &part, false, &|_| {}, |_| {}).await;
        restored.with_context(|| format!("{part} may still be the sabotaged one; stop and start it"))?;
    }
    Ok(())
}

/// Each service in each region.
pub fn both(services: impl Iterator<Item = Service>) -> Vec<(Region, Service)> {
    services.flat_map(|service| Region::ALL.map(|region| (region, service))).collect()
}

fn binary(service: Service) -> String {
    format!("{}-sabotaged", service.name())
}

/// A crash point as its process tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Point {
    /// Its name.
    pub name: String,
}

/// The crash points of one process.
pub struct Points {
    http: reqwest::Client,
    url: String,
}

impl Points {
    /// Of a sabotaged service; not asked yet.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub fn of(layout: &Layout, region: Region, service: Service) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).pool_max_idle_per_host(0).build()?;
        Ok(Self { http, url: format!("http://{}/sabotage/points", service.admin(layout, region)) })
    }

    /// Those that were passed or are armed.
    ///
    /// # Errors
    /// The process does not answer, or is not a sabotaged one.
    pub async fn list(&self) -> Result<Vec<Point>> {
        Ok(self.http.get(&self.url).send().await?.error_for_status()?.json().await?)
    }

    /// Orders a point to act.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn arm(&self, order: &sabotage::Order) -> Result<()> {
        self.http.post(&self.url).body(order.to_string()).send().await?.error_for_status()?;
        Ok(())
    }
}
