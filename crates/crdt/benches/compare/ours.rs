//! The cart of this crate.

use crdt::codec::{DecodeError, Reader, Wire, decode_delta, encode_cart, encode_delta};
use crdt::{Cart, Delta, Denominated, ReplicaId};

use super::Measured;

/// Instead of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nothing;

impl Denominated for Nothing {
    type Denomination = ();

    fn denomination(&self) {}
}

impl Wire for Nothing {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

#[derive(Clone, Default)]
pub struct Ours(Cart<String, Nothing>);

impl Measured for Ours {
    const NAME: &'static str = "ours";

    fn add(&mut self, replica: u8, item: &str, units: u64) -> Vec<u8> {
        encode_delta(&self.0.add(ReplicaId(replica), item.to_owned(), units, Nothing).unwrap())
    }

    fn remove(&mut self, replica: u8, item: &str) {
        self.0.remove(ReplicaId(replica), item.to_owned()).unwrap();
    }

    fn join(&mut self, other: &mut Self) {
        self.0.join(&other.0);
    }

    fn tidy(&mut self, replica: u8) {
        self.0.retire(ReplicaId(replica));
    }

    fn encode(&self) -> Vec<u8> {
        encode_cart(&self.0)
    }

    fn decode(bytes: &[u8]) -> Self {
        let whole: Delta<String, Nothing> = decode_delta(bytes).unwrap();
        Self(whole.into())
    }

    fn entries(&self) -> usize {
        self.0.lines().map(|(_, line)| line.entries().count()).sum()
    }

    fn units(&self, item: &str) -> u64 {
        self.0.visible().find(|(visible, _)| *visible == item).map_or(0, |(_, units)| units)
    }
}
