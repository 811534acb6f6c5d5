//! The version of a cart that a client holds.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crdt::CausalContext;
use crdt::codec::{decode_context, encode_context};

/// The causal past of a view, as an opaque token. Both regions understand it, because it names operations, not a region's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub CausalContext);

/// How a version that a client holds compares to a cart's. What is ordered is what was seen, no more and no less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The client has seen the cart as it is.
    Current,
    /// The cart has moved on since.
    Stale,
    /// The client has seen something that has not arrived here yet.
    Ahead,
}

impl Version {
    /// Compares it to the version of the cart in this region.
    pub fn compared_to(&self, cart: &CausalContext) -> Compared {
        match &self.0 {
            seen if seen == cart => Compared::Current,
            seen if cart.covers(seen) => Compared::Stale,
            _ => Compared::Ahead,
        }
    }
}

/// The text is not a version token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cart version; give back the `version` that came with the cart")]
pub struct MalformedVersion;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(encode_context(&self.0)))
    }
}

impl FromStr for Version {
    type Err = MalformedVersion;

    fn from_str(token: &str) -> Result<Self, MalformedVersion> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| MalformedVersion)?;
        decode_context(&bytes).map(Self).map_err(|_| MalformedVersion)
    }
}
