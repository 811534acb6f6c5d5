//! What makes a request this request and no other.

use sha2::{Digest as _, Sha256};

/// SHA-256 over the parts of a request that make it this request and no other. Each part is length-prefixed, so that
/// no two lists of parts run into the same bytes.
pub(super) fn digest(parts: &[&str]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_vec()
}
