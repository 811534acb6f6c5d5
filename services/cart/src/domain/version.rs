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
