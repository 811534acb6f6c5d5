//! The binary form: round trips, one form per value, and no input that does harm.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use crdt::codec::{DecodeError, decode_context, decode_delta, decode_line, encode_context, encode_delta, encode_line};
use crdt::{CausalContext, Dot, HostileDelta, Line, ReplicaId, validate_from_peer};
use proptest::prelude::*;
use world::{Change, Price, World, bytes, id, steps};

fn decode(bytes: &[u8]) -> Result<Change, DecodeError> {
    decode_delta(bytes)
}

proptest! {
    #[test]
    fn prop_what_is_encoded_decodes_to_the_same(steps in steps(3, true)) {
        let world = World::after(3, &steps);
        for delta in &world.deltas {
            prop_assert_eq!(&decode(&encode_delta(delta)).unwrap(), delta);
        }
        for state in &world.states {
            prop_assert_eq!(&decode_context(&encode_context(state.context())).unwrap(), state.context());
            for (_, line) in state.lines() {
                prop_assert_eq!(&decode_line::<Price>(&encode_line(line)).unwrap(), line);
            }
        }
    }

    #[test]
    fn prop_any_bytes_are_refused_or_are_the_one_form_of_a_value(input in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(delta) = decode(&input) {
            prop_assert_eq!(encode_delta(&delta), input);
        }
    }

    #[test]
    fn prop_a_damaged_value_is_refused_or_is_the_one_form_of_another(
        steps in steps(2, true),
        at: prop::sample::Index,
        flip in 1_u8..,
    ) {
        let mut damaged = bytes(&World::after(2, &steps).states[0]);
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        if let Ok(delta) = decode(&damaged) {
            prop_assert_eq!(encode_delta(&delta), damaged);
        }
    }

    #[test]
    fn prop_a_truncated_value_is_refused(steps in steps(2, true), at: prop::sample::Index) {
        let whole = bytes(&World::after(2, &steps).states[0]);
        prop_assert!(decode(&whole[..at.index(whole.len())]).is_err());
    }
}

#[test]
fn each_way_to_be_malformed_has_its_own_error() {
    let cases: [(&str, &[u8], DecodeError); 9] = [
        ("empty", &[], DecodeError::Truncated),
        ("from the future", &[2, 0, 0, 0], DecodeError::UnknownVersion(2)),
        ("bytes left over", &[1, 0, 0, 0, 7], DecodeError::TrailingBytes(1)),
        ("padded varint", &[1, 0x80, 0, 0, 0], DecodeError::NotCanonical),
        ("counter 0", &[1, 1, 1, 0, 0, 0], DecodeError::CounterOutOfRange(0)),
        (
            "counter 2^64 - 1",
            &[1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0],
            DecodeError::CounterOutOfRange(u64::MAX),
        ),
        ("a list longer than the input", &[1, 0xff, 0x7f], DecodeError::TooLong(16_383)),
        ("more removed than added", &[1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 2, 1], DecodeError::UnitsOutOfRange),
        ("an unknown kind", &[1, 0, 0, 1, 1, 1, 1, 1, 9, 1, 1, 1], DecodeError::UnknownKind(9)),
    ];
    for (what, input, error) in cases {
        assert_eq!(decode(input), Err(error), "{what}");
    }
}

#[test]
fn a_delta_naming_operations_that_we_never_performed_is_refused() {
    let invented = Change::tick(Dot::new(id(0), 7));
    let refused = validate_from_peer(&invented, id(0), &CausalContext::new());
    assert_eq!(refused, Err(HostileDelta::NeverIssued(Dot::new(ReplicaId(1), 7))));
}

#[test]
fn a_delta_with_an_entry_outside_its_context_is_refused() {
    let mut change = Line::<Price>::default().add(&CausalContext::new(), id(1), 2, 100).unwrap();
    change.context = CausalContext::new();
    let refused = validate_from_peer(&Change::of_line(1, change), id(0), &CausalContext::new());
    assert_eq!(refused, Err(HostileDelta::EntryOutsideContext(Dot::new(id(1), 1))));
}
