//! Digests of carts and of pages of carts.

/// 16 bytes of a cryptographic hash over a cart's id *and* its canonical bytes.
///
/// The id must go in, because digests of a page are combined by exclusive or: without it, two carts of equal content cancel out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of several carts, in any order. Replicas trust each other not to construct collisions; by chance two different pages
    /// agree once in 2^128.
    pub fn of_page(carts: impl IntoIterator<Item = Self>) -> Self {
        carts.into_iter().fold(Self::default(), |page, cart| {
            Self((u128::from_ne_bytes(page.0) ^ u128::from_ne_bytes(cart.0)).to_ne_bytes())
        })
    }
}
