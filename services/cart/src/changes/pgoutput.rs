//! Which carts a message of Postgres' logical decoding is about. Pure.
//!
//! Of a message no more is read than that takes. Source: PostgreSQL documentation, "Logical Replication Message Formats", protocol
//! version 1 (begin and commit come as events of their own).

use std::collections::HashMap;

use ids::CartId;
use uuid::Uuid;

/// The column that every published table has.
const COLUMN: &[u8] = b"cart_id";

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Nothing that concerns us.
    Nothing,
    /// This cart.
    Cart(CartId),
    /// A row moved from one cart to another.
    Both(CartId, CartId),
    /// Any cart may have changed: a table was truncated, or a row went whose key does not name its cart.
    Any,
}

/// The stream is not what this code understands; what it says is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The message ends too early.
    #[error("a replication message is cut short")]
    Short,
    /// Rows of a relation that was not described.
    #[error("rows of relation {0}, which was not described")]
    UnknownRelation(u32),
    /// The publication has a table without the column.
    #[error("a published table has no cart_id")]
    NoColumn,
    /// A value or tag that is not as documented.
    #[error("a replication message has the unknown tag {0}")]
    UnknownTag(u8),
    /// The column is not a UUID.
    #[error("a cart_id is not a UUID")]
    NotAnId,
}

/// Remembers where each relation has its `cart_id`. One per stream: a server describes a relation before its first row.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    columns: HashMap<u32, usize>,
}

impl Decoder {
    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`]; the caller must then assume that any cart has changed.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Touched, Malformed> {
        let mut bytes = Bytes(message);
        match bytes.u8()? {
            b'R' => self.relation(bytes).map(|()| Touched::Nothing),
            b'I' | b'U' | b'D' => self.row(bytes),
            b'T' => Ok(Touched::Any),
            // Origins and types.
            b'O' | b'Y' => Ok(Touched::Nothing),
            other => Err(Malformed::UnknownTag(other)),
        }
    }

    fn relation(&mut self, mut bytes: Bytes<'_>) -> Result<(), Malformed> {
        let id = bytes.u32()?;
        let (_schema, _name, _identity) = (bytes.text()?, bytes.text()?, bytes.u8()?);
        for column in 0..usize::from(bytes.u16()?) {
            let _flags = bytes.u8()?;
            let name = bytes.text()?;
            let (_type, _modifier) = (bytes.u32()?, bytes.u32()?);
            if name == COLUMN {
                self.columns.insert(id, column);
                return Ok(());
            }
        }
        Err(Malformed::NoColumn)
    }

    /// One or two tuples: the key or the whole of the old row, the new row.
    fn row(&self, mut bytes: Bytes<'_>) -> Result<Touched, Malformed> {
        let relation = bytes.u32()?;
        let column = *self.columns.get(&relation).ok_or(Malformed::UnknownRelation(relation))?;
        let mut carts = [None, None];
        for cart in &mut carts {
            if bytes.0.is_empty() {
                break;
            }
            let tag = bytes.u8()?;
            if !matches!(tag, b'K' | b'O' | b'N') {
                return Err(Malformed::UnknownTag(tag));
            }
            match bytes.cart_id(column)? {
                Some(cart_id) => *cart = Some(cart_id),
                None => return Ok(Touched::Any),
            }
        }
        match carts {
            [Some(old), Some(new)] if old != new => Ok(Touched::Both(old, new)),
            [Some(cart_id), _] => Ok(Touched::Cart(cart_id)),
            [None, _] => Err(Malformed::Short),
        }
    }
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Text that ends with a zero byte.
    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::Short)?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// A tuple: the id in its `column`, `None` where it holds nothing.
    fn cart_id(&mut self, column: usize) -> Result<Option<CartId>, Malformed> {
        let mut found = None;
        for at in 0..usize::from(self.u16()?) {
            let value = match self.u8()? {
                b'n' | b'u' => None,
                b't' => {
                    let length = self.u32()?;
                    Some(self.take(usize::try_from(length).map_err(|_| Malformed::Short)?)?)
                }
                other => return Err(Malformed::UnknownTag(other)),
            };
            if at == column {
                found = value;
            }
        }
        let Some(text) = found else { return Ok(None) };
        let id = Uuid::try_parse_ascii(text).map_err(|_| Malformed::NotAnId)?;
        Ok(Some(CartId::from_uuid(id)))
    }
}

#[cfg(test)]
#[path = "pgoutput_tests.rs"]
mod tests;
