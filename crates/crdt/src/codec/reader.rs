//! Reading untrusted bytes.

/// Why bytes are not a value. Nothing was taken from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends in the middle of a value.
    #[error("input is truncated")]
    Truncated,
    /// Bytes are left after the value.
    #[error("{0} bytes are left after the value")]
    TrailingBytes(usize),
    /// Written by a newer version of this code.
    #[error("format version {0} is not known here")]
    UnknownVersion(u8),
    /// A list is longer than any honest one.
    #[error("list of {0} is too long")]
    TooLong(u64),
    /// Not the one form in which this value is written: unsorted, repeated, padded or not compacted.
    #[error("value is not in canonical form")]
    NotCanonical,
    /// A replica of [`crate::codec::REPLICAS_MAX`] or above.
    #[error("replica {0} is out of range")]
    ReplicaOutOfRange(u8),
    /// A counter of 0 or above [`crate::Dot::COUNTER_MAX`].
    #[error("dot counter {0} is out of range")]
    CounterOutOfRange(u64),
    /// Units of 0, or more removed than were added.
    #[error("units are out of range")]
    UnitsOutOfRange,
    /// The tag of a contribution or of an assignment's fate is not known.
    #[error("kind {0} is not known")]
    UnknownKind(u8),
    /// An item, a snapshot or an address refused its own bytes.
    #[error("item, snapshot or address is malformed")]
    Malformed,
}

/// A cursor over input.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    /// A LEB128 varint of minimal length.
    ///
    /// # Errors
    /// [`DecodeError`] when it is truncated, padded or does not fit.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::NotCanonical);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(DecodeError::NotCanonical) } else { Ok(value) };
            }
        }
        Err(DecodeError::NotCanonical)
    }

    /// The length of a list of at most `max` elements. Each takes a byte or more, so a count that the rest of the input cannot
    /// hold is refused before anything is allocated for it.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn count(&mut self, max: usize) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        let fits = usize::try_from(count).ok().filter(|count| *count <= max);
        let count = fits.ok_or(DecodeError::TooLong(count))?;
        if count > self.rest.len() { Err(DecodeError::Truncated) } else { Ok(count) }
    }

    /// A length-prefixed string of at most `max` bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn text(&mut self, max: usize) -> Result<&'a str, DecodeError> {
        let length = self.count(max)?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| DecodeError::Malformed)
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    pub const fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes(self.rest.len())) }
    }
}
