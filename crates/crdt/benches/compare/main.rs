//! Our cart beside what else one could have taken: time, bytes, and how metadata grows. Prints JSON.
//!
//! Run by `backbone bench --only crdt`, which writes the section of `docs/benchmarks.md`; or by itself: `cargo bench -p crdt`.
//!
//! All carts hold items and units, and no snapshot of a price: `crdts` has no place for one that never changes. Ours is encoded by
//! its codec, the others by serde through postcard, the most compact of the common formats.
#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed measurement")]

mod adds;
mod counters;
mod curve;
mod diverged;
mod ours;
mod tombstones;

/// A cart that can be measured.
pub trait Measured: Clone + Default {
    /// How it is called in the output.
    const NAME: &'static str;

    /// Adds units as `replica`. Returns what one would ship of it, encoded.
    fn add(&mut self, replica: u8, item: &str, units: u64) -> Vec<u8>;
    /// Removes what was seen of the item.
    fn remove(&mut self, replica: u8, item: &str);
    /// Joins another replica's state, by the type's own signature: what it wants to consume is taken out of `other`, and the copy
    /// made for that is not part of the time.
    fn join(&mut self, other: &mut Self);
    /// Whatever its replica must do after a join to keep its metadata small.
    fn tidy(&mut self, _replica: u8) {}
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Self;
    /// Entries kept, each of which names an operation or a replica: what grows when metadata grows.
    fn entries(&self) -> usize;
    fn units(&self, item: &str) -> u64;
}

#[derive(serde::Serialize)]
struct Output {
    diverged: diverged::Figures,
    curve: Vec<curve::Point>,
}

#[allow(clippy::print_stdout, reason = "the output")]
fn main() {
    let output = Output { diverged: diverged::measure(), curve: curve::measure() };
    println!("{}", serde_json::to_string_pretty(&output).unwrap());
}
