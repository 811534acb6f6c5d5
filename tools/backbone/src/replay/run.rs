//! What the phases of a replay share: the plan, the shoppers, the regions' clients, and what went wrong.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use ids::{OrderId, Region};

use super::names;
use super::plan::Month;
use super::shoppers::{self, Shopper};
use crate::client::{Api, Deployment, Retries, Shelf};
use crate::load::latency::Latencies;

/// Sessions outlive any replay.
const SESSIONS_LAST: Duration = Duration::from_secs(6 * 60 * 60);

/// A replay under way.
#[derive(Debug)]
pub struct Run {
    /// What is replayed.
    pub month: Month,
    /// Offer ids, as [`Month::offers`].
    pub offer_ids: Vec<String>,
    /// Who shops, longest first.
    pub shoppers: Vec<Shopper>,
    /// How many of them at once.
    pub concurrency: usize,
    /// Latency of adding a line, tries included.
    pub adds: Latencies,
    /// Latency of a checkout until the order is placed, tries included.
    pub checkouts: Latencies,
    /// Tries that were repeats.
    pub retries: Retries,
    east: (Api, Shelf),
    west: (Api, Shelf),
    failures: Mutex<Vec<String>>,
    orders: Mutex<Vec<Option<OrderId>>>,
}

impl Run {
    /// Prepares a replay of `month` against a running system.
    ///
    /// # Errors
    /// The system's addresses make no URLs.
    pub fn new(deployment: &Deployment, month: Month, concurrency: usize) -> anyhow::Result<Self> {
        let side = |region| {
            let shelf = Shelf::of(deployment, region)?;
            anyhow::Ok((Api::new(deployment.endpoint(region), concurrency), shelf))
        };
        Ok(Self {
            offer_ids: month.offers.iter().map(|offer| names::offer_id(&month.name, &offer.key)).collect(),
            shoppers: shoppers::list(&month, &deployment.session_key, Utc::now() + SESSIONS_LAST),
            concurrency,
            adds: Latencies::default(),
            checkouts: Latencies::default(),
            retries: Retries::default(),
            east: side(Region::East)?,
            west: side(Region::West)?,
            failures: Mutex::default(),
            orders: Mutex::new(vec![None; month.orders.len()]),
            month,
        })
    }

    /// The REST client of a region.
    pub const fn api(&self, region: Region) -> &Api {
        match region {
            Region::East => &self.east.0,
            Region::West => &self.west.0,
        }
    }

    /// Catalogue and stock of a region.
    pub const fn shelf(&self, region: Region) -> &Shelf {
        match region {
            Region::East => &self.east.1,
            Region::West => &self.west.1,
        }
    }

    /// Notes that something failed for good. The replay goes on, so that one report names all of it.
    pub fn fail(&self, what: impl Into<String>) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    /// What failed so far.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the id of the order at `position`.
    pub fn placed(&self, position: usize, order: OrderId) {
        if let Some(slot) = self.orders.lock().unwrap_or_else(PoisonError::into_inner).get_mut(position) {
            *slot = Some(order);
        }
    }

    /// The id of the order at `position`, once it is placed.
    pub fn order_id(&self, position: usize) -> Option<OrderId> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).get(position).copied().flatten()
    }
}
