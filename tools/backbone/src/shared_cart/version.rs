//! Versions of a cart, taken apart.
//!
//! The token that comes with every acknowledged change is the set of operations that the region had seen once it was done, each named by
//! a dot (replica, number). The newest dot of the region itself names the change, the others are what it had seen.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crdt::CausalContext;
use crdt::codec::{DecodeError, decode_context};
use ids::Region;

/// Names an operation on a cart: the `counter`-th of replica `replica`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The region's replica number.
    pub replica: u8,
    /// From 1.
    pub counter: u64,
}

impl std::fmt::Display for Dot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.replica, self.counter)
    }
}

/// A set of operations. Only the encoding is shared with the service; the arithmetic is our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Per replica: all up to here.
    contiguous: BTreeMap<u8, u64>,
    /// Beyond a gap.
    beyond: BTreeSet<Dot>,
}

/// An answer's version cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadVersion {
    /// It is not base64url.
    #[error("a version is not base64url")]
    Base64(#[from] base64::DecodeError),
    /// It is not an encoded causal context.
    #[error("a version does not decode")]
    Context(#[from] DecodeError),
}

impl Past {
    /// What a version token names.
    ///
    /// # Errors
    /// [`BadVersion`].
    pub fn of_version(token: &str) -> Result<Self, BadVersion> {
        Ok(Self::of(&decode_context(&URL_SAFE_NO_PAD.decode(token)?)?))
    }

    /// What a decoded context names.
    pub fn of(context: &CausalContext) -> Self {
        let contiguous = context.vector().iter().map(|dot| (dot.replica.0, dot.counter)).collect();
        let beyond = context.cloud().iter().map(|dot| Dot { replica: dot.replica.0, counter: dot.counter }).collect();
        Self { contiguous, beyond }
    }

    /// Whether the operation is among them.
    pub fn contains(&self, dot: Dot) -> bool {
        self.contiguous.get(&dot.replica).is_some_and(|last| dot.counter <= *last) || self.beyond.contains(&dot)
    }

    /// The region's newest operation.
    pub fn newest(&self, region: Region) -> Option<Dot> {
        let replica = region.replica();
        let beyond = self.beyond.iter().rev().find(|dot| dot.replica == replica).map_or(0, |dot| dot.counter);
        let counter = self.contiguous.get(&replica).copied().unwrap_or(0).max(beyond);
        (counter > 0).then_some(Dot { replica, counter })
    }

    /// Whether all of `other` are among them.
    pub fn covers(&self, other: &Self) -> bool {
        let last = |replica, counter| self.contains(Dot { replica, counter });
        // All up to a number are there if the last is and no gap lies before it.
        other.contiguous.iter().all(|(&replica, &counter)| {
            self.contiguous.get(&replica).is_some_and(|own| counter <= *own)
                || (1..=counter).all(|counter| last(replica, counter))
        }) && other.beyond.iter().all(|&dot| self.contains(dot))
    }
}

#[cfg(test)]
pub mod tests {
    use crdt::ReplicaId;
    use crdt::codec::encode_context;

    use super::*;

    /// The set of these dots, by way of the token that a client gets.
    pub fn past(dots: &[(u8, u64)]) -> Past {
        let context: CausalContext =
            dots.iter().map(|(replica, counter)| crdt::Dot::new(ReplicaId(*replica), *counter)).collect();
        Past::of_version(&URL_SAFE_NO_PAD.encode(encode_context(&context))).unwrap()
    }

    #[test]
    fn a_version_names_what_was_seen_and_the_operation_itself() {
        let seen = past(&[(1, 1), (1, 2), (2, 1), (2, 4)]);
        for (dot, expected) in [((1, 2), true), ((1, 3), false), ((2, 1), true), ((2, 3), false), ((2, 4), true)] {
            assert_eq!(seen.contains(Dot { replica: dot.0, counter: dot.1 }), expected, "{dot:?}");
        }
        assert_eq!(seen.newest(Region::East), Some(Dot { replica: 1, counter: 2 }));
        assert_eq!(seen.newest(Region::West), Some(Dot { replica: 2, counter: 4 }));
        assert_eq!(past(&[]).newest(Region::East), None);
        assert!(Past::of_version("*").is_err() && Past::of_version("AA").is_err());
    }

    #[test]
    fn covering_is_having_every_member() {
        let all = past(&[(1, 1), (1, 2), (1, 3), (2, 1)]);
        assert!(all.covers(&past(&[(1, 2)])) && all.covers(&all) && all.covers(&past(&[])));
        assert!(!past(&[(1, 1), (1, 3)]).covers(&past(&[(1, 1), (1, 2)])));
        assert!(!past(&[(1, 1)]).covers(&past(&[(2, 2)])));
    }
}
