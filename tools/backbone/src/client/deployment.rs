//! Where the running system is.

use std::net::SocketAddr;
use std::path::PathBuf;

use ids::Region;

use super::session::SessionKey;
use crate::platform::{Layout, Prefix, Settings};

/// Flags that find the system.
#[derive(Clone, Debug, clap::Args)]
pub struct DeploymentArgs {
    /// Addresses of region east [default: as it was brought up, or 127.1.0]
    #[arg(long, value_name = "PREFIX")]
    pub east: Option<Prefix>,
    /// Addresses of region west [default: as it was brought up, or 127.2.0]
    #[arg(long, value_name = "PREFIX")]
    pub west: Option<Prefix>,
    /// Where `backbone up` keeps its state and secrets.
    #[arg(long, default_value = ".run")]
    pub run_dir: PathBuf,
}

/// The addresses of one region that a client uses.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// REST.
    pub bff: SocketAddr,
    /// gRPC: catalogue and stock, for loading them.
    pub inventory: SocketAddr,
}

/// A running system.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Region east.
    pub east: Endpoint,
    /// Region west.
    pub west: Endpoint,
    /// Signs sessions.
    pub session_key: SessionKey,
    /// Where the system keeps its state and secrets.
    pub run_dir: PathBuf,
}

impl Deployment {
    /// The addresses of `region`.
    pub const fn endpoint(&self, region: Region) -> &Endpoint {
        match region {
            Region::East => &self.east,
            Region::West => &self.west,
        }
    }
}

impl DeploymentArgs {
    /// Reads the session key and derives the addresses.
    ///
    /// # Errors
    /// The session key cannot be read.
    pub fn find(&self) -> anyhow::Result<Deployment> {
        let session_key = SessionKey::read(&self.run_dir.join("secrets/session.key"))?;
        // A system that was started by other means has no record; then the flags or the defaults say where it is.
        let recorded = Layout::load(&self.run_dir).map(|layout| layout.settings).unwrap_or_default();
        let (east, west) = (self.east.unwrap_or(recorded.east), self.west.unwrap_or(recorded.west));
        let layout = Layout::new(&self.run_dir, Settings { east, west, ..recorded })?;
        let endpoint = |region| Endpoint { bff: layout.bff(region).into(), inventory: layout.inventory(region).into() };
        Ok(Deployment {
            east: endpoint(Region::East),
            west: endpoint(Region::West),
            session_key,
            run_dir: self.run_dir.clone(),
        })
    }
}
