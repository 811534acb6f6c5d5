//! What must hold for any input at all. The fuzz targets and the test `tests/fuzz.rs` run these same functions.
#![allow(dead_code, reason = "each target uses its own property")]

use crdt::codec::{
    decode_address, decode_context, decode_delta, decode_line, encode_address, encode_cart, encode_context,
    encode_delta, encode_line,
};
use crdt::{Cart, Delta, ReplicaId, validate_from_peer, validate_joined};

type Text = String;
type Change = Delta<Text, u64, Text>;
type State = Cart<Text, u64, Text>;

/// Most deltas that one input stands for; more would only make it slow.
const DELTAS_MAX: usize = 16;

/// A decoder refuses, or what it gives encodes back to the same bytes.
pub fn decode(input: &[u8]) {
    if let Ok(context) = decode_context(input) {
        assert_eq!(encode_context(&context), input);
    }
    if let Ok(line) = decode_line::<u64>(input) {
        assert_eq!(encode_line(&line), input);
    }
    if let Ok(address) = decode_address::<Text>(input) {
        assert_eq!(encode_address(&address), input);
    }
    if let Ok(delta) = decode_delta::<Text, u64, Text>(input) {
        assert_eq!(encode_delta(&delta), input);
    }
}

/// The input is cut into deltas, as a peer would send them, each behind a byte that tells its length. Those that pass are joined,
/// here in one order and there in the other. Whatever they hold: nothing panics, a second arrival changes nothing, the state can be
/// written and read again, our own counters have not moved, and the two states join to one.
pub fn join(input: &[u8]) {
    let us = ReplicaId(1);
    let mut deltas = Vec::new();
    let mut rest = input;
    while let Some((&length, after)) = rest.split_first()
        && deltas.len() < DELTAS_MAX
    {
        let (delta, after) = after.split_at(usize::from(length).min(after.len()));
        deltas.extend(decode_delta::<Text, u64, Text>(delta));
        rest = after;
    }
    let forward = receive(us, deltas.iter());
    let mut backward = receive(us, deltas.iter().rev());
    assert_eq!(forward.context().greatest(us), own(us).context().greatest(us), "our own counters moved");

    // States join by a lattice whatever they hold.
    let mut both = forward.clone();
    both.join(&backward);
    backward.join(&forward);
    assert_eq!(both, backward);
    let mut again = both.clone();
    again.join(&forward);
    assert_eq!(again, both);
}

/// A state of ours to begin with: a line, a line that was removed, and an address.
fn own(us: ReplicaId) -> State {
    let mut state = State::default();
    for edit in 0..2 {
        drop(state.add(us, "a".to_owned(), 1 + edit, 100));
        drop(state.assign_address(us, "here".to_owned()));
    }
    drop(state.remove(us, "a".to_owned()));
    drop(state.add(us, "b".to_owned(), 3, 200));
    state
}

fn receive<'a>(us: ReplicaId, deltas: impl Iterator<Item = &'a Change>) -> State {
    let mut state = own(us);
    for delta in deltas {
        if validate_from_peer(delta, us, state.context()).is_err() {
            continue;
        }
        let mut joined = state.clone();
        joined.join_delta(delta);
        if validate_joined(joined.context(), joined.lines().map(|(_, line)| line)).is_err() {
            continue;
        }
        let once = joined.clone();
        joined.join_delta(delta);
        assert_eq!(joined, once, "a delta that comes twice is one that came once");
        let bytes = encode_cart(&joined);
        let read = decode_delta::<Text, u64, Text>(&bytes).map(State::from);
        assert_eq!(read.as_ref(), Ok(&joined), "what is stored can be read");
        assert_invariants(&joined);
        state = joined;
    }
    state
}

fn assert_invariants(state: &State) {
    let context = state.context();
    for (dot, contribution) in state.lines().flat_map(|(_, line)| line.entries()) {
        assert!(context.contains(dot), "entry {dot:?} was never seen");
        let (gone, added) = (contribution.gone.end(), contribution.added());
        assert!(gone <= added, "unit {gone} of {added} is gone");
    }
    assert!(state.address().dots().all(|dot| context.contains(dot)), "an assignment was never seen");
    assert!(state.lines().all(|(_, line)| !line.is_empty()), "a line without entries is kept");
    assert!(state.visible().all(|(_, units)| units > 0), "a line without units is shown");
}
