//! How large a cart may grow.

pub use ::limits::{
    CART_PRICES_MAX, JOINED_LINES_MAX, JOINED_PRICES_MAX, LINE_PRICES_MAX, LINES_MAX, ORDERED_TWICE_MAX,
};

/// Most units that one edit may add or set.
pub const UNITS_PER_EDIT_MAX: i64 = 10_000;
/// Most units of one line, however many edits made it.
pub const LINE_UNITS_MAX: u64 = ::limits::LINE_UNITS_MAX.unsigned_abs();

/// Most orders of one cart that are undecided at a time. Each is read with every edit of its cart, and each may leave a set of a line
/// behind, of which a line holds 64 of one region ([`crdt::has_room`]).
pub const CHECKOUTS_OPEN_MAX: usize = 50;

/// Units of one edit: 1 to [`UNITS_PER_EDIT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity(u64);

/// The number of units is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 10,000 units; to empty a line remove it")]
pub struct UnitsOutOfRange;

impl Quantity {
    /// The units.
    pub const fn units(self) -> u64 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = UnitsOutOfRange;

    fn try_from(units: i64) -> Result<Self, UnitsOutOfRange> {
        let in_range = (1..=UNITS_PER_EDIT_MAX).contains(&units);
        u64::try_from(units).ok().filter(|_| in_range).map(Self).ok_or(UnitsOutOfRange)
    }
}
