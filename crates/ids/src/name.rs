//! Identifiers that are short names chosen by someone else: offers, sellers, idempotency keys.

use std::fmt;
use std::str::FromStr;

/// Longest offer or seller id, in bytes. It is a key of every cart line and stock row, so it is kept short.
const NAME_BYTES_MAX: usize = limits::NAME_BYTES_MAX;
/// Longest idempotency key, in bytes: room for a UUID or two and a prefix.
const KEY_BYTES_MAX: usize = limits::KEY_BYTES_MAX;

/// Why a text is no such name. It says what would be one, and nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It does not fit the identifier's alphabet or length.
    #[error("{what} must be 1 to {bytes_max} characters of {alphabet}")]
    Form {
        /// Which identifier, with its article.
        what: &'static str,
        /// Its longest, in bytes.
        bytes_max: usize,
        /// What it is made of.
        alphabet: &'static str,
    },
    /// A path cannot name it.
    #[error("{what} must not be \".\" or \"..\": in a path they mean another place")]
    Dots {
        /// Which identifier, with its article.
        what: &'static str,
    },
    /// Nothing may be named after a card.
    #[error("{what} must not have in it what looks like the number of a payment card; a UUID never does")]
    CardNumber {
        /// Which identifier, with its article.
        what: &'static str,
    },
}

/// A name that somebody outside chooses.
///
/// Parsing (`FromStr`) is for what was taken once: rows, events, the other region. It looks at alphabet and length alone, so that no rule
/// that came later makes what is stored unreadable. What comes in now has to pass [`ChosenName::chosen`].
pub trait ChosenName: Sized {
    /// Takes a name as a client sends it.
    ///
    /// # Errors
    /// [`InvalidName`].
    fn chosen(text: &str) -> Result<Self, InvalidName>;
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
                    return Err(InvalidName::Form { what: $what, bytes_max: $max, alphabet: $alphabet });
                }
                Ok(Self(text.into()))
            }
        }

        impl ChosenName for $name {
            fn chosen(chosen: &str) -> Result<Self, InvalidName> {
                let name = chosen.parse()?;
                // Clients resolve them away before they send a path, also when they are percent-encoded (WHATWG URL, 4.5).
                if matches!(chosen, "." | "..") {
                    return Err(InvalidName::Dots { what: $what });
                }
                if text::card_number::is_in(chosen) {
                    return Err(InvalidName::CardNumber { what: $what });
                }
                Ok(name)
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

    #[test]
    fn nothing_is_named_so_that_a_path_cannot_name_it_or_after_a_card() {
        for taken in ["...", "a..b", "~", "-", "85123A-255", "order-536365"] {
            assert!(OfferId::chosen(taken).is_ok(), "{taken:?}");
        }
        for dots in [".", ".."] {
            assert_eq!(OfferId::chosen(dots), Err(InvalidName::Dots { what: "an offer id" }));
            assert!(dots.parse::<OfferId>().is_ok(), "what was stored before is read");
        }
        for number in ["4242424242424242", "4242-4242-4242-4242", "card.4242424242424242"] {
            for refused in [
                OfferId::chosen(number).map(drop),
                SellerId::chosen(number).map(drop),
                IdempotencyKey::chosen(number).map(drop),
            ] {
                let refused = refused.unwrap_err();
                assert!(matches!(refused, InvalidName::CardNumber { .. }), "{number}: {refused}");
                assert!(!refused.to_string().contains("4242"), "{refused}");
            }
        }
    }
}
