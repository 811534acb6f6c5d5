//! What the writers were told, operation by operation. All that the judges and the reference model know of a run.
//!
//! An acknowledged change comes with a version, which names the change itself and all that its region had seen. So a history needs no
//! clock and no look inside the service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ids::Region;

use crate::shared_cart::{Dot, Kind, LineId, Past};

/// An acknowledged operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What it changed.
    pub line: LineId,
    /// Where.
    pub region: Region,
    /// How.
    pub kind: Kind,
    /// All operations that the region had seen when it was done; itself too, unless it changed nothing.
    pub past: Past,
    /// When it was due, from the drill's beginning; zero for what filled the carts beforehand.
    pub due: Duration,
    /// When it was acknowledged, from the drill's beginning.
    pub acknowledged: Duration,
}

impl Operation {
    /// Its own name. Not that of a removal which found nothing to remove: it takes none, so this is then an older operation's.
    pub fn dot(&self) -> Option<Dot> {
        self.past.newest(self.region)
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = self.dot().map(|dot| dot.to_string()).unwrap_or_default();
        let Self { kind, region, acknowledged, .. } = self;
        write!(f, "{kind} in {region} (operation {dot}, acknowledged at {:.1} s)", acknowledged.as_secs_f64())
    }
}

/// All operations of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Acknowledged.
    pub operations: Vec<Operation>,
    /// Lines with an operation whose outcome nobody knows: what they must hold cannot be told.
    pub unknown: BTreeSet<LineId>,
}

impl History {
    /// The acknowledged operations of each line.
    pub fn by_line(&self) -> BTreeMap<LineId, Vec<&Operation>> {
        let mut lines: BTreeMap<LineId, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            lines.entry(operation.line).or_default().push(operation);
        }
        lines
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::shared_cart::tests::past;

    /// An operation on the one line of the one cart.
    pub fn operation(region: Region, kind: Kind, dots: &[(u8, u64)]) -> Operation {
        let line = LineId { cart: 0, offer: 0 };
        Operation { line, region, kind, past: past(dots), due: Duration::ZERO, acknowledged: Duration::ZERO }
    }
}
