//! What travels for a cart.

use crate::store::replica::{CartReplica, Operation};

/// Of a batch, an operation; of a repair, the whole cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// One change.
    Operation(Operation),
    /// All there is.
    Replica(CartReplica),
}
