//! The rules of carts. Pure.

mod address;
mod address_edit;
mod edit;
mod item;
mod join;
mod limits;
mod mend;
mod ordered_twice;
mod snapshot;
mod version;
mod view;

pub use address::{Address, Text, TextOutOfBounds};
pub use address_edit::{AddressEdit, AddressState};
pub use edit::{Edit, EditedLine, LineState, Rejection, currencies_of_line, decide, prices_of_line};
pub use item::Item;
pub use join::{Joining, RefusedDelta};
pub use limits::{
    CART_PRICES_MAX, CHECKOUTS_OPEN_MAX, JOINED_LINES_MAX, JOINED_PRICES_MAX, LINE_PRICES_MAX, LINE_UNITS_MAX,
    LINES_MAX, ORDERED_TWICE_MAX, Quantity, UNITS_PER_EDIT_MAX, UnitsOutOfRange,
};
pub use mend::{CannotMend, Kept, Mended, SKIPPED, mend};
pub use ordered_twice::{OrderedTwice, PlacedCut, newest, ordered_twice};
pub use snapshot::Snapshot;
pub use version::{Compared, MalformedVersion, Version};
pub use view::{TooLarge, ViewLine, currencies_of, fits_an_order, total, view};

/// A cart's state: offers to lines, and the delivery address.
pub type CartState = crdt::Cart<Item, Snapshot, Address>;
/// A delta or a cut.
pub type CartDelta = crdt::Delta<Item, Snapshot, Address>;
/// A line's entries.
pub type LineEntries = crdt::Line<Snapshot>;
