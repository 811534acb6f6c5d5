//! The key of a line.

use crdt::codec::{DecodeError, Reader, Wire};
use ids::OfferId;

/// An offer as the key of a cart line, with its binary form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item(pub OfferId);

impl Wire for Item {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.as_str().to_owned().write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        String::read(reader)?.parse().map(Self).map_err(|_| DecodeError::Malformed)
    }
}
