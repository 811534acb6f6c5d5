//! The fault: a real cut of the link between the regions.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wan::wire::{Change, Changes, View};
use wan::{Directed, Direction};

use crate::platform::Layout;
use crate::wan::Panel;

/// The link heals by itself so long after it should have been healed: whatever becomes of the drill, also `kill -9`.
const HEALS_ITSELF_LATE: Duration = Duration::from_secs(15);

/// The link and which ways the drill cuts it.
pub struct Link {
    panel: Panel,
    ways: Vec<Direction>,
}

impl Link {
    /// The link of this system; both ways unless one is named.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub fn of(layout: &Layout, one_way: Option<Direction>) -> Result<Self> {
        let ways = one_way.map_or_else(|| Direction::ALL.to_vec(), |way| vec![way]);
        Ok(Self { panel: Panel::of(layout)?, ways })
    }

    /// The ways that are cut.
    pub fn ways(&self) -> &[Direction] {
        &self.ways
    }

    /// What the link is like and what it has carried.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn show(&self) -> Result<Directed<View>> {
        self.panel.show().await
    }

    /// Makes sure that nothing is cut.
    ///
    /// # Errors
    /// Something is, or the link does not answer.
    pub async fn require_open(&self) -> Result<()> {
        let view = self.show().await?;
        let cut = Direction::ALL.into_iter().find(|way| view.of(*way).cut_for_ms.is_some());
        ensure!(cut.is_none(), "the link is cut already; `backbone wan heal` first");
        Ok(())
    }

    /// Cuts. It is to be healed after `planned`; if nobody does, it heals by itself a little later.
    ///
    /// # Errors
    /// The link does not answer.
    pub async fn cut(&self, planned: Duration) -> Result<()> {
        let heal_after = u64::try_from((planned + HEALS_ITSELF_LATE).as_millis()).unwrap_or(u64::MAX);
        self.change(Change { cut: Some(true), heal_after_ms: Some(heal_after), ..Change::default() }).await
    }

    /// Heals what was cut; harmless when nothing is.
    ///
    /// # Errors
    /// The link does not answer.
    pub async fn heal(&self) -> Result<()> {
        self.change(Change { cut: Some(false), ..Change::default() }).await
    }

    /// Heals, and makes sure of it.
    ///
    /// # Errors
    /// It is not healed.
    pub async fn clean_up(&self) -> Result<()> {
        let healed = async {
            self.heal().await?;
            self.require_open().await
        };
        healed.await.context("the link may still be cut; see `backbone wan show`")
    }

    async fn change(&self, change: Change) -> Result<()> {
        self.panel.change(&Changes::of(&self.ways, change)).await.map(|_| ())
    }
}
