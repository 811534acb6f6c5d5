//! Carts that both regions write, and what their clients are told of them: for drills and benchmarks of replication.

mod carts;
mod contexts;
mod fresh;
pub mod goods;
mod stores;
mod version;

pub use carts::{Carts, Filled};
pub use contexts::Contexts;
pub use fresh::Fresh;
pub use stores::{LOOK_EVERY, Stored, StoredCarts, Stores, differing};
pub use version::{Dot, Past};

/// What is asked of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Add units.
    Add(u64),
    /// Replace the quantity.
    Set(u64),
    /// Remove the line.
    Remove,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add(units) => write!(f, "add {units}"),
            Self::Set(units) => write!(f, "set {units}"),
            Self::Remove => f.write_str("remove"),
        }
    }
}

/// Which line of which cart; both by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    /// The cart.
    pub cart: usize,
    /// The offer.
    pub offer: usize,
}

#[cfg(test)]
pub mod tests {
    pub use super::version::tests::past;
}
