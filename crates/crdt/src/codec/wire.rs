//! How each part is written and read.

use std::convert::Infallible;

use super::reader::{DecodeError, Reader};
use super::{BANDS_MAX, DOTS_MAX, ENTRIES_MAX, PARTS_MAX, REPLICAS_MAX};
use crate::bands::Bands;
use crate::context::CausalContext;
use crate::contribution::{Contribution, Kind};
use crate::dot::{Dot, ReplicaId};
use crate::dot_fun::DotFun;
use crate::line::Line;
use crate::parts::Parts;
use crate::register::{Fate, MvRegister};

/// Something with a canonical binary form. Implemented by the owner of an item key, a snapshot or an address.
pub trait Wire: Sized + PartialEq {
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
const KIND_ADD_IN_PARTS: u8 = 2;
const KIND_SET_IN_PARTS: u8 = 3;
const KIND_ADD_IN_BANDS: u8 = 4;
const KIND_SET_IN_BANDS: u8 = 5;

const FATE_STANDS: u8 = 0;
const FATE_REPLACED: u8 = 1;

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

/// There is no value, so there are no bytes of one.
impl Wire for Infallible {
    fn write(&self, _: &mut Vec<u8>) {
        match *self {}
    }

    fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Err(DecodeError::Malformed)
    }
}

impl Wire for Dot {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.replica.0);
        write_varint(out, self.counter);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let replica = match reader.byte()? {
            replica if usize::from(replica) < REPLICAS_MAX => ReplicaId(replica),
            replica => return Err(DecodeError::ReplicaOutOfRange(replica)),
        };
        match reader.varint()? {
            counter @ 1..=Dot::COUNTER_MAX => Ok(Self::new(replica, counter)),
            counter => Err(DecodeError::CounterOutOfRange(counter)),
        }
    }
}

impl Wire for CausalContext {
    fn write(&self, out: &mut Vec<u8>) {
        for dots in [self.vector(), self.cloud()] {
            write_dots(out, dots);
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
    /// Each value has one kind: the later ones are for what the earlier ones cannot say, so that what they can say keeps its bytes for ever.
    fn write(&self, out: &mut Vec<u8>) {
        let atop: &[Dot] = if let Kind::Set { atop } = &self.kind { atop } else { &[] };
        let [(added, snapshot)] = self.bands.runs() else { return write_in_bands(self, atop, out) };
        match (&self.kind, first_gone(&self.gone)) {
            (Kind::Add, Some(gone)) => {
                out.push(KIND_ADD);
                write_varint(out, *added);
                write_varint(out, gone);
            }
            (Kind::Set { .. }, Some(0)) if atop.is_empty() => {
                out.push(KIND_SET);
                write_varint(out, *added);
            }
            (Kind::Add, None) => {
                out.push(KIND_ADD_IN_PARTS);
                write_varint(out, *added);
                self.gone.write(out);
            }
            (Kind::Set { .. }, _) => {
                out.push(KIND_SET_IN_PARTS);
                write_varint(out, *added);
                self.gone.write(out);
                write_dots(out, atop);
            }
        }
        snapshot.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.byte()?;
        if matches!(kind, KIND_ADD_IN_BANDS | KIND_SET_IN_BANDS) {
            return read_in_bands(kind, reader);
        }
        if kind > KIND_SET_IN_PARTS {
            return Err(DecodeError::UnknownKind(kind));
        }
        let added = reader.varint()?;
        let gone = match kind {
            KIND_ADD => Parts::first(reader.varint()?),
            KIND_SET => Parts::none(),
            _ => Parts::read(reader)?,
        };
        if added == 0 || gone.end() > added {
            return Err(DecodeError::UnitsOutOfRange);
        }
        let (kind, is_plain) = match kind {
            KIND_ADD | KIND_ADD_IN_PARTS => (Kind::Add, kind == KIND_ADD_IN_PARTS && first_gone(&gone).is_some()),
            KIND_SET => (Kind::Set { atop: Vec::new() }, false),
            _ => {
                let atop = read_ascending(reader)?;
                let is_plain = atop.is_empty() && gone.is_empty();
                (Kind::Set { atop }, is_plain)
            }
        };
        if is_plain {
            return Err(DecodeError::NotCanonical);
        }
        Ok(Self { kind, bands: Bands::of(added, S::read(reader)?), gone })
    }
}

/// An entry whose units have several snapshots.
fn write_in_bands<S: Wire>(entry: &Contribution<S>, atop: &[Dot], out: &mut Vec<u8>) {
    let is_set = entry.kind != Kind::Add;
    out.push(if is_set { KIND_SET_IN_BANDS } else { KIND_ADD_IN_BANDS });
    write_count(out, entry.bands.runs().len());
    for (units, snapshot) in entry.bands.runs() {
        write_varint(out, *units);
        snapshot.write(out);
    }
    entry.gone.write(out);
    if is_set {
        write_dots(out, atop);
    }
}

fn read_in_bands<S: Wire>(kind: u8, reader: &mut Reader<'_>) -> Result<Contribution<S>, DecodeError> {
    let mut runs = Vec::new();
    for _ in 0..reader.count(BANDS_MAX)? {
        runs.push((reader.varint()?, S::read(reader)?));
    }
    if runs.len() < 2 {
        return Err(DecodeError::NotCanonical);
    }
    let bands = Bands::from_canonical(runs).ok_or(DecodeError::NotCanonical)?;
    let gone = Parts::read(reader)?;
    if gone.end() > bands.units() {
        return Err(DecodeError::UnitsOutOfRange);
    }
    let kind = if kind == KIND_SET_IN_BANDS { Kind::Set { atop: read_ascending(reader)? } } else { Kind::Add };
    Ok(Contribution { kind, bands, gone })
}

/// How many units are gone, if it is the first ones.
fn first_gone(gone: &Parts) -> Option<u64> {
    match gone.ranges() {
        [] => Some(0),
        [(0, until)] => Some(*until),
        _ => None,
    }
}

fn write_dots(out: &mut Vec<u8>, dots: &[Dot]) {
    write_count(out, dots.len());
    dots.iter().for_each(|dot| dot.write(out));
}

fn read_ascending(reader: &mut Reader<'_>) -> Result<Vec<Dot>, DecodeError> {
    let count = reader.count(ENTRIES_MAX)?;
    let dots = (0..count).map(|_| Dot::read(reader)).collect::<Result<Vec<_>, _>>()?;
    if dots.windows(2).all(|pair| pair[0] < pair[1]) { Ok(dots) } else { Err(DecodeError::NotCanonical) }
}

impl Wire for Parts {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(out, self.ranges().len());
        let mut last = 0;
        for &(from, until) in self.ranges() {
            write_varint(out, from - last);
            write_varint(out, until - from);
            last = until;
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ranges = Vec::new();
        let mut last = 0_u64;
        for _ in 0..reader.count(PARTS_MAX)? {
            let from = last.checked_add(reader.varint()?).ok_or(DecodeError::UnitsOutOfRange)?;
            last = from.checked_add(reader.varint()?).ok_or(DecodeError::UnitsOutOfRange)?;
            ranges.push((from, last));
        }
        Self::from_canonical(ranges).ok_or(DecodeError::NotCanonical)
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
        let count = reader.count(ENTRIES_MAX)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push((Dot::read(reader)?, Contribution::read(reader)?));
        }
        let entries = DotFun::from_canonical(entries).ok_or(DecodeError::NotCanonical)?;
        Ok(Self { entries })
    }
}

impl<V: Wire> Wire for MvRegister<V> {
    fn write(&self, out: &mut Vec<u8>) {
        let entries = self.entries();
        write_count(out, entries.len());
        for (dot, fate) in entries {
            dot.write(out);
            match fate {
                Fate::Stands(value) => {
                    out.push(FATE_STANDS);
                    value.write(out);
                }
                Fate::Replaced => out.push(FATE_REPLACED),
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut register = Self::default();
        let mut last = None;
        for _ in 0..reader.count(REPLICAS_MAX)? {
            let dot = Dot::read(reader)?;
            // Strictly ascending replicas: a second sibling of one replica is refused here.
            if last.is_some_and(|last| last >= dot.replica) {
                return Err(DecodeError::NotCanonical);
            }
            last = Some(dot.replica);
            register.put(dot, read_fate(reader)?);
        }
        Ok(register)
    }
}

fn read_fate<V: Wire>(reader: &mut Reader<'_>) -> Result<Fate<V>, DecodeError> {
    match reader.byte()? {
        FATE_STANDS => Ok(Fate::Stands(V::read(reader)?)),
        FATE_REPLACED => Ok(Fate::Replaced),
        fate => Err(DecodeError::UnknownKind(fate)),
    }
}
