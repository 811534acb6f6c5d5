//! Delta-state CRDTs of the shopping cart. Pure: no IO, no clock, no randomness.
//!
//! # What a cart must do
//! Two regions write the same cart, also while they cannot talk. When their changes meet, the cart must hold what the
//! shopper meant: concurrent adds sum, a remove undoes only what it saw, of two concurrent "set quantity" the larger
//! stands, and adds that neither had seen come on top. Of two concurrent delivery addresses neither is right by itself: both stay,
//! for the shopper to choose ([`MvRegister`]). No clock decides anything.
//!
//! # How
//! Every operation of a replica (a region) takes one fresh [`Dot`]; the [`CausalContext`] is the set of dots seen, and so
//! names the causal past: it is the *version* a client holds. A [`Line`] maps dots to [`Contribution`]s, and joins as a
//! `DotFun` of Almeida, Shoker and Baquero: an entry that one side lacks although its context covers the entry's dot was
//! removed there; an entry under the same dot on both sides joins by value.
//!
//! # Why an entry numbers its units
//! The textbook OR-set keeps one dot per add, so its size grows with edits. Compacting a replica's adds into one
//! entry under its newest dot bounds the size, but breaks intent: a remove that saw 2 units, concurrent with an add that
//! moved the 2 to a new dot as 5, leaves 5 instead of 3; what was removed comes back. So an `Add` entry keeps its birth
//! dot and two values that only grow: how many units were `added`, written by its owner alone, and which of them are `gone`
//! ([`Parts`]: ranges of unit numbers). They join by maximum and by union, and what is left is exactly what nobody has taken. Because only
//! the owner adds, the owner may drop a spent entry ([`Line::retire`]), and a tombstone lives for one round trip.
//!
//! # Prices
//! A unit keeps the snapshot (name, price) at which it was added. An entry has its units' snapshots as runs over their numbers
//! ([`Bands`]), to which its owner alone appends; whoever names units names their prices. Nothing compares amounts of two currencies: sets
//! compete within their denomination ([`Denominated`]) only.
//!
//! # Checkouts
//! A checkout holds units of the cart until its order is decided: its *cut* names them, entry by entry. The shopper is shown the
//! [`Cart::view`], the state without what undecided cuts hold. Whatever a shopper does (remove, set, another checkout) is done to what the
//! view shows and names those units alone, never "all up to here": so held units are still there if their order is rejected, and two cuts
//! that overlap in time take nothing of each other. A set that was made while a checkout held an earlier one stands *on top of* it
//! ([`Kind::Set`]) and does not compete with it. Rejected checkouts leave a line with more entries and ranges than one edit would; the
//! next remove, set or order takes all that shows, and they are one again. In between [`has_room`] bounds them.
//!
//! # Deltas
//! An operation returns a [`Delta`]: what to join here and ship there. Its context holds the operation's dot, the dots of the
//! entries it carries and the dots it removes *from the lines it names*, nothing else. So joining a delta needs only
//! the lines it names, which lets a store keep a row per line, and the address only when it touches that; property tests hold it
//! against the join of whole states.
//!
//! Sources: Shapiro et al., "A comprehensive study of convergent and commutative replicated data types", 2011; Bieniusa et
//! al., "An optimized conflict-free replicated set", 2012; Almeida, Shoker, Baquero, "Delta state replicated data
//! types", JPDC 2018.

mod bands;
mod cart;
pub mod codec;
mod context;
mod contribution;
mod counted;
mod delta;
mod dot;
mod dot_fun;
mod line;
mod parts;
mod register;
mod validate;

pub use bands::{Bands, Denominated};
pub use cart::Cart;
pub use context::CausalContext;
pub use contribution::{Contribution, Kind};
pub use delta::Delta;
pub use dot::{CountersExhausted, Dot, ReplicaId};
pub use dot_fun::{DotFun, Lattice};
pub use line::{Change, Line};
pub use parts::Parts;
pub use register::{Assignment, MvRegister};
pub use validate::{HostileDelta, Overgrown, has_room, validate_from_peer, validate_joined};
