//! Identifiers that are UUIDs. Those we make are version 7: they sort by time and need no sequence that two regions share.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The text is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID; expected the form 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct InvalidUuid;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that was made elsewhere (read from a store, derived from a name).
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for stores.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// A new time-ordered id. Call it at the edge; rules take ids as arguments.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = InvalidUuid;

            fn from_str(text: &str) -> Result<Self, InvalidUuid> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidUuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

uuid_id! {
    /// A cart.
    CartId,
    /// The subject of a session: whose carts and orders these are.
    CustomerId,
    /// An event on the spine; consumers remember it.
    EventId,
    /// An order; also its payment and its reservation, of which it has one each.
    OrderId,
    /// A refund; also the return that caused it.
    RefundId,
    /// A transfer of stock rights between regions.
    TransferId,
}

impl CartId {
    /// The cart that a creation request makes: the same in both regions, so that a request which is repeated in the other region, or
    /// sent to both, makes one cart.
    pub fn of_creation(owner_id: CustomerId, key: &crate::IdempotencyKey) -> Self {
        Self(Uuid::new_v5(&owner_id.as_uuid(), key.as_str().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_rubbish_is_refused() {
        let id = OrderId::generate();
        assert_eq!(id.to_string().parse::<OrderId>().unwrap(), id);
        assert_eq!("17".parse::<OrderId>(), Err(InvalidUuid));
    }
}
