//! The compact, versioned binary form: what stores hold and what regions exchange.
//!
//! A value begins with [`FORMAT_VERSION`]. Integers are LEB128 varints of minimal length; everything is sorted; so equal values
//! are equal bytes. The decoder is total: any input gives a value or a [`DecodeError`], allocation is bounded by the
//! input's length, and what it accepts encodes back to the same bytes.
//!
//! ```text
//! context  = version, vector, cloud            vector, cloud = count, count * dot
//! line     = version, entries                  entries = count, count * (dot, kind, units..., snapshot)
//! delta    = version, vector, cloud, count, count * (item, entries)
//! dot      = replica byte, counter varint
//! ```

mod reader;
mod wire;

pub use reader::{DecodeError, Reader};
pub use wire::Wire;

use std::collections::BTreeMap;

use crate::cart::Delta;
use crate::context::CausalContext;
use crate::line::Line;

/// The first byte of every value. A change of the layout takes the next number; decoders refuse numbers they do not know.
pub const FORMAT_VERSION: u8 = 1;

/// Most lines a delta may name: a cart's 1,500 lines twice over, since a cut may name spent lines too.
pub const LINES_MAX: usize = 3_000;
/// Most entries of one line: two per replica, for the 16 replicas that nobody has yet.
pub const ENTRIES_MAX: usize = 32;
/// Most dots in a version vector or a cloud. A delta of a full cart covers a few dots per line.
pub const DOTS_MAX: usize = 4 * LINES_MAX;

/// Encodes a causal context: the version token of a cart.
pub fn encode_context(context: &CausalContext) -> Vec<u8> {
    encode(|out| context.write(out))
}

/// Decodes a causal context.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_context(bytes: &[u8]) -> Result<CausalContext, DecodeError> {
    decode(bytes, CausalContext::read)
}

/// Encodes one line.
pub fn encode_line<S: Wire>(line: &Line<S>) -> Vec<u8> {
    encode(|out| line.write(out))
}

/// Decodes one line.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_line<S: Wire>(bytes: &[u8]) -> Result<Line<S>, DecodeError> {
    decode(bytes, Line::read)
}

/// Encodes a delta or a cut.
pub fn encode_delta<K: Wire, S: Wire>(delta: &Delta<K, S>) -> Vec<u8> {
    encode(|out| {
        delta.context.write(out);
        wire::write_count(out, delta.lines.len());
        for (item, line) in &delta.lines {
            item.write(out);
            line.write(out);
        }
    })
}

/// Decodes a delta or a cut. A delta from outside must also pass [`crate::validate_from_peer`].
///
/// # Errors
/// [`DecodeError`].
pub fn decode_delta<K: Wire + Ord, S: Wire>(bytes: &[u8]) -> Result<Delta<K, S>, DecodeError> {
    decode(bytes, |reader| {
        let context = CausalContext::read(reader)?;
        let mut lines = BTreeMap::new();
        for _ in 0..reader.count(LINES_MAX)? {
            let item = K::read(reader)?;
            if lines.last_key_value().is_some_and(|(last, _)| *last >= item) {
                return Err(DecodeError::NotCanonical);
            }
            lines.insert(item, Line::read(reader)?);
        }
        Ok(Delta { context, lines })
    })
}

fn encode(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![FORMAT_VERSION];
    write(&mut out);
    out
}

fn decode<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        FORMAT_VERSION => {}
        version => return Err(DecodeError::UnknownVersion(version)),
    }
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}
