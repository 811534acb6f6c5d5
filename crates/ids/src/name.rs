//! Identifiers that are short names chosen by someone else: offers, sellers, idempotency keys.

use std::fmt;
use std::str::FromStr;

/// Longest offer or seller id, in bytes. It is a key of every cart line and stock row, so it is kept short.
const NAME_BYTES_MAX: usize = 64;
/// Longest idempotency key, in bytes: room for a UUID or two and a prefix.
const KEY_BYTES_MAX: usize = 128;

/// The text does not fit the identifier's alphabet or length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {bytes_max} characters of {alphabet}")]
pub struct InvalidName {
    what: &'static str,
    bytes_max: usize,
    alphabet: &'static str,
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

macro_rules! name_id {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $max:expr, $alphabet:literal, $allowed:path);* $(;)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if text.is_empty() || text.len() > $max || !text.bytes().all($allowed) {
                    return Err(InvalidName { what: $what, bytes_max: $max, alphabet: $alphabet });
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

name_id! {
    /// What is sold: one product of one seller at one price.
    OfferId: "an offer id", NAME_BYTES_MAX, "A-Z a-z 0-9 . _ ~ -", is_unreserved;
    /// Who sells it and is owed the proceeds.
    SellerId: "a seller id", NAME_BYTES_MAX, "A-Z a-z 0-9 . _ ~ -", is_unreserved;
    /// Names one request of one client, so that a repeat of it has no second effect.
    IdempotencyKey: "an idempotency key", KEY_BYTES_MAX, "visible ASCII", is_visible;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabet_and_length_are_enforced() {
        assert!("85123A-255".parse::<OfferId>().is_ok());
        for refused in ["", "a b", "é", "a/b", &"x".repeat(65)] {
            assert!(refused.parse::<OfferId>().is_err(), "{refused:?}");
        }
        assert!("order:536365/1".parse::<IdempotencyKey>().is_ok());
        assert!("line\nbreak".parse::<IdempotencyKey>().is_err());
    }
}
