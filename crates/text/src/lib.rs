//! Text that people type: what of it may be kept. The rules of every edge, REST and gRPC alike; pure, and a leaf.
//!
//! - [`legible`]: a text that people will read has something to see, and nothing that garbles what stands around it.
//! - [`card_number`]: the number of a payment card is never taken, in whichever field it was typed.
//! - [`card_token`]: what stands for a card instead.

pub mod card_number;
pub mod card_token;
pub mod legible;

pub use legible::{Illegible, check};
