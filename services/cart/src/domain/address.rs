//! The delivery address.

use std::fmt;

use crdt::codec::{DecodeError, Reader, Wire};
use limits::{CITY_CHARS_MAX, COUNTRY_CHARS_MAX, POSTAL_CODE_CHARS_MAX, TEXT_CHARS_MAX};

/// Where the goods go: the fields, and the bounds, of an order's. Every part but the country may be empty.
///
/// It prints as a placeholder, so that no log line or span can carry it by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Who receives it.
    pub recipient: Text<0, TEXT_CHARS_MAX>,
    /// Street and number.
    pub street: Text<0, TEXT_CHARS_MAX>,
    /// Town.
    pub city: Text<0, CITY_CHARS_MAX>,
    /// Postal code.
    pub postal_code: Text<0, POSTAL_CODE_CHARS_MAX>,
    /// Country, as the shopper wrote it.
    pub country: Text<1, COUNTRY_CHARS_MAX>,
}

/// A text of `MIN` to `MAX` characters, none of them a control character: they belong in no address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// The text is too short, too long, or has control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {min} to {max} characters, none of them a control character")]
pub struct TextOutOfBounds {
    min: usize,
    max: usize,
}

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text, for the store and for the shopper whose it is.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Text<MIN, MAX> {
    type Error = TextOutOfBounds;

    fn try_from(text: String) -> Result<Self, TextOutOfBounds> {
        let fits = (MIN..=MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(TextOutOfBounds { min: MIN, max: MAX }) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(redacted)")
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Debug for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(redacted)")
    }
}

/// What the edge would refuse is refused here too: a peer or a row is believed no more than a client.
impl<const MIN: usize, const MAX: usize> Wire for Text<MIN, MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        String::read(reader)?.try_into().map_err(|_| DecodeError::Malformed)
    }
}

impl Wire for Address {
    fn write(&self, out: &mut Vec<u8>) {
        self.recipient.write(out);
        self.street.write(out);
        self.city.write(out);
        self.postal_code.write(out);
        self.country.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recipient: Text::read(reader)?,
            street: Text::read(reader)?,
            city: Text::read(reader)?,
            postal_code: Text::read(reader)?,
            country: Text::read(reader)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::domain) fn address(street: &str) -> Address {
        let text = str::to_owned;
        Address {
            recipient: text("Ada").try_into().unwrap(),
            street: text(street).try_into().unwrap(),
            city: text("London").try_into().unwrap(),
            postal_code: text("SW1Y").try_into().unwrap(),
            country: text("United Kingdom").try_into().unwrap(),
        }
    }

    fn read(bytes: &[u8]) -> Result<Address, DecodeError> {
        let mut reader = Reader::new(bytes);
        let address = Address::read(&mut reader)?;
        reader.end()?;
        Ok(address)
    }

    /// The parts as bytes, past every check.
    fn bytes(parts: [&str; 5]) -> Vec<u8> {
        let mut bytes = Vec::new();
        parts.iter().for_each(|part| (*part).to_owned().write(&mut bytes));
        bytes
    }

    #[test]
    fn the_longest_address_round_trips() {
        // Four bytes a character: nothing is longer.
        let longest = [200, 200, 100, 20, 64].map(|characters| "🏠".repeat(characters));
        let bytes = bytes(longest.each_ref().map(String::as_str));
        let address = read(&bytes).unwrap();
        let mut written = Vec::new();
        address.write(&mut written);
        assert_eq!(written, bytes);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_the_decoder_too() {
        let (long, longer) = ("é".repeat(201), "x".repeat(1_001));
        let cases = [
            ["Ada", "", "", "", ""],
            [&long, "", "", "", "France"],
            ["", &longer, "", "", "France"],
            ["", "two\nlines", "", "", "France"],
            ["", "", &long[..202], "", "France"],
            ["", "", "", "123456789012345678901", "France"],
            ["", "", "", "", &long[..130]],
            ["", "", "", "", "Fra\u{0}nce"],
        ];
        for (number, parts) in cases.into_iter().enumerate() {
            assert!(read(&bytes(parts)).is_err(), "case {number}");
        }
        read(&bytes(["", "", "", "", "France"])).unwrap();
        assert!(read(&bytes(["", "", "", "", "France"])[..6]).is_err(), "cut off");
    }

    #[test]
    fn neither_it_nor_what_holds_it_prints_what_it_holds() {
        let address = address("St James's Square 12");
        assert_eq!(format!("{address:?} {:?}", address.street), "Address(redacted) Text(redacted)");
        let mut cart = crate::domain::CartState::default();
        let delta = cart.assign_address(crdt::ReplicaId(1), address).unwrap();
        let printed = format!("{cart:?} {delta:?}");
        assert!(printed.contains("Address(redacted)"), "{printed}");
        for part in ["Ada", "James", "London", "SW1Y", "Kingdom"] {
            assert!(!printed.contains(part), "{printed}");
        }
    }
}
