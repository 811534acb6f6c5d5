//! The same drill against a cart that is wrong on purpose: if the verdicts did not fail then, they would be worth nothing.

use anyhow::{Context as _, Result, ensure};
use ids::Region;

use crate::platform::{self, Layout, PartName, Progress, Service, Zone};

/// The binary that has the switch: the cart built with the feature `sabotage`. The real one has no such code.
const BINARY: &str = "cart-sabotaged";
/// The switch.
const SWITCH: (&str, &str) = ("CART_MERGE", "last-writer-wins");

/// How carts merge during the drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CartMerge {
    /// As built: a CRDT.
    #[default]
    Crdt,
    /// Wrong on purpose: of two versions of a cart the one written later, by the clock, replaces the other.
    LastWriterWins,
}

impl CartMerge {
    /// Restarts both regions' carts so that they merge like this.
    ///
    /// # Errors
    /// The binary is missing, or a part does not stop or start.
    pub async fn begin(self, layout: &Layout, progress: Progress<'_>) -> Result<()> {
        if self == Self::Crdt {
            return Ok(());
        }
        let program = layout.bin_dir.join(BINARY);
        let remedy = "`make sabotaged` builds it";
        ensure!(program.is_file(), "{} is not there; {remedy}", program.display());
        for part in parts() {
            platform::stop(layout, &part, progress).await?;
            platform::start_changed(layout, &part, progress, |part| {
                part.program.clone_from(&program);
                part.environment.push((SWITCH.0, SWITCH.1.to_owned()));
            })
            .await?;
        }
        Ok(())
    }

    /// Restarts them as they are meant to be.
    ///
    /// # Errors
    /// A part does not stop or start.
    pub async fn end(self, layout: &Layout, progress: Progress<'_>) -> Result<()> {
        if self == Self::Crdt {
            return Ok(());
        }
        for part in parts() {
            let restart = async {
                platform::stop(layout, &part, progress).await?;
                platform::start(layout, &part, progress).await
            };
            restart.await.with_context(|| format!("{part} may still be the sabotaged one; stop and start it"))?;
        }
        Ok(())
    }
}

fn parts() -> [PartName; 2] {
    Region::ALL.map(|region| PartName::new(Zone::Region(region), Service::Cart.name()))
}
