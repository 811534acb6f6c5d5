//! How each part is written and read.

use super::reader::{DecodeError, Reader};
use super::{DOTS_MAX, ENTRIES_MAX};
use crate::context::CausalContext;
use crate::contribution::Contribution;
use crate::dot::{Dot, ReplicaId};
use crate::line::Line;

/// Something with a canonical binary form. Implemented by the owner of an item key or a snapshot.
pub trait Wire: Sized {
    /// Appends the one form of this value.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads it back.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Wire::write`] does not write.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

const KIND_ADD: u8 = 0;
const KIND_SET: u8 = 1;

/// Appends a LEB128 varint.
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn write_count(out: &mut Vec<u8>, count: usize) {
    write_varint(out, count as u64);
}

impl Wire for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        write_varint(out, *self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.varint()
    }
}

impl Wire for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(out, self.len());
        out.extend_from_slice(self.as_bytes());
    }

    /// At most 1,000 bytes.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text(1_000).map(str::to_owned)
    }
}

impl Wire for Dot {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.replica.0);
        write_varint(out, self.counter);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let replica = ReplicaId(reader.byte()?);
        match reader.varint()? {
            counter @ 1..=Dot::COUNTER_MAX => Ok(Self::new(replica, counter)),
            counter => Err(DecodeError::CounterOutOfRange(counter)),
        }
    }
}

impl Wire for CausalContext {
    fn write(&self, out: &mut Vec<u8>) {
        for dots in [self.vector(), self.cloud()] {
            write_count(out, dots.len());
            dots.iter().for_each(|dot| dot.write(out));
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let vector = read_dots(reader)?;
        let cloud = read_dots(reader)?;
        Self::from_canonical(vector, cloud).ok_or(DecodeError::NotCanonical)
    }
}

fn read_dots(reader: &mut Reader<'_>) -> Result<Vec<Dot>, DecodeError> {
    let count = reader.count(DOTS_MAX)?;
    (0..count).map(|_| Dot::read(reader)).collect()
}

impl<S: Wire> Wire for Contribution<S> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Add { added, removed, snapshot } => {
                out.push(KIND_ADD);
                write_varint(out, *added);
                write_varint(out, *removed);
                snapshot.write(out);
            }
            Self::Set { quantity, snapshot } => {
                out.push(KIND_SET);
                write_varint(out, *quantity);
                snapshot.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte()? {
            KIND_ADD => {
                let (added, removed) = (reader.varint()?, reader.varint()?);
                if added == 0 || removed > added {
                    return Err(DecodeError::UnitsOutOfRange);
                }
                Ok(Self::Add { added, removed, snapshot: S::read(reader)? })
            }
            KIND_SET => match reader.varint()? {
                0 => Err(DecodeError::UnitsOutOfRange),
                quantity => Ok(Self::Set { quantity, snapshot: S::read(reader)? }),
            },
            kind => Err(DecodeError::UnknownKind(kind)),
        }
    }
}

impl<S: Wire> Wire for Line<S> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(out, self.entries.len());
        for (dot, contribution) in self.entries.iter() {
            dot.write(out);
            contribution.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut line = Self::default();
        let mut last = None;
        for _ in 0..reader.count(ENTRIES_MAX)? {
            let dot = Dot::read(reader)?;
            if last.is_some_and(|last| last >= dot) {
                return Err(DecodeError::NotCanonical);
            }
            last = Some(dot);
            line.entries.insert(dot, Contribution::read(reader)?);
        }
        Ok(line)
    }
}
