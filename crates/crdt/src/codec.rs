//! The compact, versioned binary form: what stores hold and what regions exchange.
//!
//! A value begins with [`FORMAT_VERSION`]. Integers are LEB128 varints of minimal length; everything is sorted; so equal values
//! are equal bytes. The decoder is total: any input gives a value or a [`DecodeError`], allocation is bounded by the
//! input's length, and what it accepts encodes back to the same bytes.
//!
//! ```text
//! context  = version, vector, cloud            vector, cloud = count, count * dot
//! line     = version, entries                  entries = count, count * (dot, contribution)
//! contribution = 0, added, gone, snapshot      an add of which the first units are gone, or none
//!              | 1, added, snapshot            a set of which nothing is gone, on top of none
//!              | 2, added, parts, snapshot     any other add
//!              | 3, added, parts, count, count * dot, snapshot     any other set: parts gone, sets below it
//!              | 4, bands, parts               an add at several snapshots
//!              | 5, bands, parts, count, count * dot      a set at several
//! bands    = count, count * (units, snapshot)
//! parts    = count, count * (distance from the end of the one before, length)
//! address  = version, siblings                 siblings = count, count * (dot, fate, value if it stands)
//! delta    = version, vector, cloud, count, count * (item, entries), siblings
//! dot      = replica byte, counter varint
//! ```

mod reader;
mod wire;

pub use reader::{DecodeError, Reader};
pub use wire::Wire;

use crate::bands::Denominated;
use crate::cart::Cart;
use crate::context::CausalContext;
use crate::delta::Delta;
use crate::line::Line;
use crate::register::MvRegister;

/// The first byte of every value. A change of the layout takes the next number; decoders refuse numbers they do not know.
pub const FORMAT_VERSION: u8 = 1;

/// Most lines a delta may name: those of a joined cart.
pub const LINES_MAX: usize = limits::JOINED_LINES_MAX;
/// Most replicas, numbered below this: nobody has as many regions yet. An address keeps one assignment of each.
pub const REPLICAS_MAX: usize = 16;
/// Most entries of one line: of each replica [`crate::validate::OWN_ENTRIES_MAX`].
pub const ENTRIES_MAX: usize = 1_024;
/// Most runs of units with one snapshot in an entry: twice what an edit may leave ([`crate::validate::OWN_BANDS_MAX`]).
pub const BANDS_MAX: usize = limits::JOINED_LINE_PRICES_MAX;
/// Most ranges of units of one entry: twice what an edit may leave ([`crate::validate::OWN_PARTS_MAX`]), since two regions may have left
/// different ones.
pub const PARTS_MAX: usize = 1_024;
/// Most dots in a version vector or a cloud. A delta of a full cart covers a few dots per line.
pub const DOTS_MAX: usize = 4 * LINES_MAX;

/// Room set aside for each line that is encoded, so that the output seldom moves: an item of 20 to 30 bytes and an entry of ten.
const LINE_BYTES_TYPICAL: usize = 40;

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

/// Encodes a delivery address.
pub fn encode_address<A: Wire>(address: &MvRegister<A>) -> Vec<u8> {
    encode(|out| address.write(out))
}

/// Decodes a delivery address.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_address<A: Wire>(bytes: &[u8]) -> Result<MvRegister<A>, DecodeError> {
    decode(bytes, MvRegister::read)
}

/// Encodes a delta or a cut.
pub fn encode_delta<K: Wire, S: Wire, A: Wire>(delta: &Delta<K, S, A>) -> Vec<u8> {
    encode(|out| write_delta(out, &delta.context, delta.lines.iter(), &delta.address))
}

/// Encodes a whole cart: the bytes that are equal where replicas agree, and what they exchange to repair each other.
///
/// The form is that of a delta which names every line. To take it in: [`decode_delta`], [`crate::validate_from_peer`],
/// [`Cart::from`], [`Cart::join`].
pub fn encode_cart<K, S, A>(cart: &Cart<K, S, A>) -> Vec<u8>
where
    K: Wire + Ord + Clone,
    S: Wire + Denominated,
    A: Wire + Ord + Clone,
{
    encode(|out| write_delta(out, cart.context(), cart.lines(), cart.address()))
}

fn write_delta<'a, K: Wire + 'a, S: Wire + 'a, A: Wire>(
    out: &mut Vec<u8>,
    context: &CausalContext,
    lines: impl ExactSizeIterator<Item = (&'a K, &'a Line<S>)>,
    address: &MvRegister<A>,
) {
    out.reserve(LINE_BYTES_TYPICAL * lines.len());
    context.write(out);
    wire::write_count(out, lines.len());
    for (item, line) in lines {
        item.write(out);
        line.write(out);
    }
    address.write(out);
}

/// Decodes a delta, a cut or a whole cart. A delta from outside must also pass [`crate::validate_from_peer`].
///
/// # Errors
/// [`DecodeError`].
pub fn decode_delta<K: Wire + Ord, S: Wire, A: Wire>(bytes: &[u8]) -> Result<Delta<K, S, A>, DecodeError> {
    decode(bytes, |reader| {
        let context = CausalContext::read(reader)?;
        let mut lines: Vec<(K, Line<S>)> = Vec::new();
        for _ in 0..reader.count(LINES_MAX)? {
            let item = K::read(reader)?;
            if lines.last().is_some_and(|(last, _)| *last >= item) {
                return Err(DecodeError::NotCanonical);
            }
            lines.push((item, Line::read(reader)?));
        }
        // From a sorted list the tree is built at once, without a search for each line.
        let lines = lines.into_iter().collect();
        Ok(Delta { context, lines, address: MvRegister::read(reader)? })
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
