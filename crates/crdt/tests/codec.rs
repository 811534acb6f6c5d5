//! The binary form: round trips, one form per value, and no input that does harm; and broken codecs that must not pass.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use std::collections::BTreeMap;

use crdt::codec::{
    DecodeError, ENTRIES_MAX, FORMAT_VERSION, Wire as _, decode_address, decode_context, decode_delta, decode_line,
    encode_address, encode_cart, encode_context, encode_delta, encode_line,
};
use crdt::{
    CausalContext, Change as LineChange, Delta, Dot, HostileDelta, Kind, Line, Overgrown, Parts, ReplicaId, has_room,
    validate_from_peer, validate_joined,
};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError};
use world::broken::runner;
use world::{Address, Change, Price, REAL, State, Step, World, bytes, id, steps};

type Verdict = Result<(), TestCaseError>;

/// How deltas are written and read: the real codec, or a broken one.
#[derive(Clone, Copy)]
struct Codec {
    encode: fn(&Change) -> Vec<u8>,
    decode: fn(&[u8]) -> Result<Change, DecodeError>,
}

const CODEC: Codec = Codec { encode: encode_delta, decode: decode_delta };

fn decode(bytes: &[u8]) -> Result<Change, DecodeError> {
    decode_delta(bytes)
}

fn round_trips(steps: &[Step], codec: Codec) -> Verdict {
    let world = World::after(3, steps, REAL);
    for delta in &world.deltas {
        prop_assert_eq!(&(codec.decode)(&(codec.encode)(delta)).unwrap(), delta);
    }
    Ok(())
}

fn has_one_form(input: &[u8], codec: Codec) -> Verdict {
    if let Ok(delta) = (codec.decode)(input) {
        prop_assert_eq!((codec.encode)(&delta), input);
    }
    Ok(())
}

/// Changes one byte, drops one, and doubles one.
fn damaged_has_one_form((steps, at, flip): (Vec<Step>, prop::sample::Index, u8), codec: Codec) -> Verdict {
    let whole = bytes(&World::after(2, &steps, REAL).states[0]);
    let at = at.index(whole.len());
    let (mut changed, mut dropped, mut doubled) = (whole.clone(), whole.clone(), whole);
    changed[at] ^= flip;
    dropped.remove(at);
    doubled.insert(at, doubled[at]);
    [changed, dropped, doubled].iter().try_for_each(|damaged| has_one_form(damaged, codec))
}

fn damage() -> impl Strategy<Value = (Vec<Step>, prop::sample::Index, u8)> {
    (steps(2, true), any::<prop::sample::Index>(), 1_u8..)
}

proptest! {
    #[test]
    fn prop_a_delta_decodes_to_the_same(steps in steps(3, true)) {
        round_trips(&steps, CODEC)?;
    }

    #[test]
    fn prop_a_cart_and_its_parts_decode_to_the_same(steps in steps(3, true)) {
        for state in &World::after(3, &steps, REAL).states {
            prop_assert_eq!(&State::from(decode(&encode_cart(state)).unwrap()), state);
            prop_assert_eq!(&decode_context(&encode_context(state.context())).unwrap(), state.context());
            prop_assert_eq!(&decode_address::<Address>(&encode_address(state.address())).unwrap(), state.address());
            for (_, line) in state.lines() {
                prop_assert_eq!(&decode_line::<Price>(&encode_line(line)).unwrap(), line);
            }
        }
    }

    #[test]
    fn prop_any_bytes_are_refused_or_are_the_one_form_of_a_value(input in prop::collection::vec(any::<u8>(), 0..200)) {
        has_one_form(&input, CODEC)?;
    }

    #[test]
    fn prop_a_damaged_value_is_refused_or_is_the_one_form_of_another(damage in damage()) {
        damaged_has_one_form(damage, CODEC)?;
    }

    #[test]
    fn prop_a_truncated_value_is_refused(steps in steps(2, true), at: prop::sample::Index) {
        let whole = bytes(&World::after(2, &steps, REAL).states[0]);
        prop_assert!(decode(&whole[..at.index(whole.len())]).is_err());
    }
}

#[test]
fn a_codec_that_loses_something_is_caught_and_shrunk() {
    let without_address: fn(&Change) -> Vec<u8> =
        |delta| encode_delta(&Change { address: State::default().address().clone(), ..delta.clone() });
    // What was removed is not written: the naive set of live entries.
    let without_emptied: fn(&Change) -> Vec<u8> = |delta| {
        let lines = delta.lines.clone().into_iter().filter(|(_, line)| !line.is_empty());
        encode_delta(&Change { lines: lines.collect(), ..delta.clone() })
    };
    for encode in [without_address, without_emptied] {
        let caught = runner().run(&steps(3, true), |steps| round_trips(&steps, Codec { encode, ..CODEC }));
        let Err(TestError::Fail(_, shrunk)) = caught else { panic!("a lossy codec passed: {caught:?}") };
        assert_eq!(shrunk.len(), 1, "not shrunk: {shrunk:?}");
    }
}

#[test]
fn a_decoder_with_two_forms_of_a_value_is_caught_and_shrunk() {
    // Reads what it knows and ignores the rest, as lenient decoders do.
    let lenient: fn(&[u8]) -> Result<Change, DecodeError> = |input| match decode(input) {
        Err(DecodeError::TrailingBytes(count)) => decode(&input[..input.len() - count]),
        decoded => decoded,
    };
    let caught = runner().run(&damage(), |damage| damaged_has_one_form(damage, Codec { decode: lenient, ..CODEC }));
    let Err(TestError::Fail(_, (shrunk, ..))) = caught else { panic!("a lenient decoder passed: {caught:?}") };
    assert!(shrunk.len() <= 2, "not shrunk: {shrunk:?}");
}

#[test]
fn each_way_to_be_malformed_has_its_own_error() {
    let cases: [(&str, &[u8], DecodeError); 24] = [
        ("empty", &[], DecodeError::Truncated),
        ("from the future", &[2, 0, 0, 0, 0], DecodeError::UnknownVersion(2)),
        ("bytes left over", &[1, 0, 0, 0, 0, 7], DecodeError::TrailingBytes(1)),
        ("padded varint", &[1, 0x80, 0, 0, 0, 0], DecodeError::NotCanonical),
        ("a replica that nobody has", &[1, 1, 16, 1, 0, 0, 0], DecodeError::ReplicaOutOfRange(16)),
        ("counter 0", &[1, 1, 1, 0, 0, 0, 0], DecodeError::CounterOutOfRange(0)),
        (
            "counter 2^64 - 1",
            &[1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0],
            DecodeError::CounterOutOfRange(u64::MAX),
        ),
        ("a list longer than the input", &[1, 0xff, 0x7f], DecodeError::TooLong(16_383)),
        ("more removed than added", &[1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 2, 1, 0], DecodeError::UnitsOutOfRange),
        ("an unknown kind", &[1, 0, 0, 1, 1, 1, 1, 1, 9, 1, 1, 1, 0], DecodeError::UnknownKind(9)),
        ("a part beyond what was added", &add_in_parts(&[1, 1, 2]), DecodeError::UnitsOutOfRange),
        ("a part of no units", &add_in_parts(&[1, 1, 0]), DecodeError::NotCanonical),
        ("parts that touch", &add_in_parts(&[2, 0, 1, 0, 1]), DecodeError::NotCanonical),
        ("the first units in the form for others", &add_in_parts(&[1, 0, 1]), DecodeError::NotCanonical),
        ("a set of nothing gone, on none, in parts", &in_a_line(&[3, 2, 0, 0, 7]), DecodeError::NotCanonical),
        ("sets below out of order", &in_a_line(&[3, 2, 0, 2, 1, 2, 1, 1, 7]), DecodeError::NotCanonical),
        ("one band", &in_a_line(&[4, 1, 2, 7, 0]), DecodeError::NotCanonical),
        ("bands of one price side by side", &in_a_line(&[4, 2, 2, 7, 1, 7, 0]), DecodeError::NotCanonical),
        ("a part beyond the bands", &in_a_line(&[4, 2, 1, 7, 1, 8, 1, 1, 2]), DecodeError::UnitsOutOfRange),
        ("more bands than fit", &in_a_line(&[5, 65]), DecodeError::TooLong(65)),
        ("an unknown fate", &[1, 0, 0, 0, 1, 1, 1, 2, 1], DecodeError::UnknownKind(2)),
        ("two siblings of one replica", &[1, 0, 0, 0, 2, 1, 1, 0, 1, 1, 2, 0, 2], DecodeError::NotCanonical),
        ("siblings out of order", &[1, 0, 0, 0, 2, 2, 1, 0, 1, 1, 1, 0, 2], DecodeError::NotCanonical),
        ("more siblings than replicas", &[1, 0, 0, 0, 17], DecodeError::TooLong(17)),
    ];
    for (what, input, error) in cases {
        assert_eq!(decode(input), Err(error), "{what}");
    }
}

/// A delta of item 1 with one entry, whose contribution is `bytes`.
fn in_a_line(bytes: &[u8]) -> Vec<u8> {
    [&[1, 0, 0, 1, 1, 1, 1, 1], bytes, &[0]].concat()
}

/// The same, of an add of 2 units at price 7 with these parts gone.
fn add_in_parts(parts: &[u8]) -> Vec<u8> {
    in_a_line(&[&[2, 2], parts, &[7]].concat())
}

/// What an earlier version of this code stored, or has sent and is still under way.
#[test]
fn bytes_of_an_earlier_version_mean_what_they_meant_and_are_written_again_as_they_were() {
    let add = [FORMAT_VERSION, 1, 1, 3, 0, 5, 2, 7];
    let line = decode_line::<Price>(&add).unwrap();
    let (dot, entry) = line.entries().next().unwrap();
    assert_eq!((dot, &entry.kind, entry.added(), &entry.gone), (Dot::new(id(0), 3), &Kind::Add, 5, &Parts::first(2)));
    assert_eq!((line.quantity(), encode_line(&line)), (3, add.to_vec()));

    let set = [FORMAT_VERSION, 1, 1, 4, 1, 5, 7];
    let line = decode_line::<Price>(&set).unwrap();
    assert_eq!((line.quantity(), encode_line(&line)), (5, set.to_vec()));
}

/// The form of today, for ever: an add of one unit at 7 and two at 9 of which the first is gone, and a set of one at 7 and one at 9.
#[test]
fn units_at_several_prices_have_a_form_of_their_own() {
    let add = [FORMAT_VERSION, 1, 1, 3, 4, 2, 1, 7, 2, 9, 1, 0, 1];
    let line = decode_line::<Price>(&add).unwrap();
    assert_eq!(line.units(), BTreeMap::from([(&Price(9), 2)]));
    assert_eq!(encode_line(&line), add);
    let set = [FORMAT_VERSION, 1, 1, 4, 5, 2, 1, 7, 1, 9, 0, 0];
    let line = decode_line::<Price>(&set).unwrap();
    assert_eq!(line.units(), BTreeMap::from([(&Price(7), 1), (&Price(9), 1)]));
    assert_eq!(encode_line(&line), set);
}

#[test]
fn a_line_that_was_added_to_at_too_many_prices_is_found_out_before_it_is_stored() {
    let mut state = State::default();
    let fits = |state: &State| has_room(state.lines().next().unwrap().1, [], id(0));
    for price in 1..=32 {
        state.add(id(0), 1, 1, Price(price)).unwrap();
        assert_eq!(fits(&state), Ok(()));
    }
    state.add(id(0), 1, 1, Price(33)).unwrap();
    assert_eq!(fits(&state), Err(Overgrown::Bands(33)));
    assert!(decode(&bytes(&state)).is_ok(), "it can still be read");
}

/// An add and a set, each ordered before the next one, and every second order rejected: as many entries and parts as edits leave.
#[test]
fn an_edit_that_would_outgrow_its_decoder_is_found_out_before_it_is_stored() {
    let mut state = State::default();
    let mut cuts: Vec<Change> = Vec::new();
    let mut refused = None;
    for _ in 0..1_000 {
        let shown = state.view(&cuts);
        state.set_shown(&shown, id(0), 1, 2, Price(7)).unwrap();
        let (operation, cut) = state.view(&cuts).cut(id(0)).unwrap();
        state.join_delta(&Change::tick(operation));
        cuts.push(cut);
        let line = state.lines().next().unwrap().1;
        let fits = has_room(line, cuts.iter().filter_map(|cut| cut.lines.get(&1)), id(0));
        assert!(decode(&bytes(&state)).is_ok(), "what has room can be read");
        if let Err(overgrown) = fits {
            refused = Some(overgrown);
            break;
        }
    }
    assert_eq!(refused, Some(Overgrown::Line(65)));
    // All of them rejected: all show, and the next removal makes the line as small as ever.
    assert_eq!(state.visible().next(), Some((&1, 130)));
    state.remove(id(0), 1).unwrap();
    assert_eq!(state.lines().count(), 0);
}

#[test]
fn units_taken_in_too_many_parts_are_found_out_before_they_are_stored() {
    let mut state = State::default();
    let mut cuts: Vec<Change> = Vec::new();
    for order in 0..1_024 {
        state.add(id(0), 1, 1, Price(7)).unwrap();
        let (_, cut) = state.view(&cuts).cut(id(0)).unwrap();
        // Every second order is placed at once, the others stay open.
        if order % 2 == 0 {
            state.join_delta(&cut)
        } else {
            cuts.push(cut)
        }
        let line = state.lines().next().unwrap().1;
        let fits = has_room(line, cuts.iter().filter_map(|cut| cut.lines.get(&1)), id(0));
        assert_eq!(fits.is_ok(), order <= 512, "after order {order}");
        assert!(order > 512 || decode(&bytes(&state)).is_ok());
    }
}

#[test]
fn a_cart_without_address_costs_a_byte_for_it_and_has_no_room_for_one() {
    type Plain = Delta<u64, Price>;
    let plain: Plain = decode_delta(&[1, 0, 0, 0, 0]).unwrap();
    assert_eq!(encode_delta(&plain), [1, 0, 0, 0, 0]);
    let with_address = [1, 0, 0, 0, 1, 1, 1, 0, 7];
    assert!(decode(&with_address).is_ok());
    assert_eq!(decode_delta::<u64, Price, std::convert::Infallible>(&with_address), Err(DecodeError::Malformed));
}

#[test]
fn a_delta_naming_operations_that_we_never_performed_is_refused() {
    let invented = Change::tick(Dot::new(id(0), 7));
    let refused = validate_from_peer(&invented, id(0), &CausalContext::new());
    assert_eq!(refused, Err(HostileDelta::NeverIssued(Dot::new(ReplicaId(1), 7))));
}

#[test]
fn a_delta_with_an_entry_outside_its_context_is_refused() {
    let mut change = Line::<Price>::default().add(&CausalContext::new(), id(1), 2, Price(100)).unwrap();
    change.context = CausalContext::new();
    let refused = validate_from_peer(&Change::of_line(1, change), id(0), &CausalContext::new());
    assert_eq!(refused, Err(HostileDelta::EntryOutsideContext(Dot::new(id(1), 1))));
}

#[test]
fn a_delta_with_an_address_outside_its_context_is_refused() {
    let mut delta = State::default().assign_address(id(1), 7).unwrap();
    assert_eq!(validate_from_peer(&delta, id(0), &CausalContext::new()), Ok(()));
    delta.context = CausalContext::new();
    let refused = validate_from_peer(&delta, id(0), &CausalContext::new());
    assert_eq!(refused, Err(HostileDelta::EntryOutsideContext(Dot::new(id(1), 1))));
}

/// Each is harmless alone. Together they would make a line that is stored and can never be read again.
#[test]
fn harmless_deltas_that_add_up_to_a_line_too_large_to_read_are_refused_before_it_is_stored() {
    let mut state = State::default();
    for counter in 1..=ENTRIES_MAX as u64 + 1 {
        let mut bytes = vec![FORMAT_VERSION, 1];
        Dot::new(ReplicaId(2), counter).write(&mut bytes);
        bytes.extend([1, 1, 5]);
        let line = decode_line(&bytes).unwrap();
        let context = [Dot::new(ReplicaId(2), counter)].into_iter().collect();
        let delta = Change::of_line(1, LineChange { line, context });
        assert_eq!(validate_from_peer(&delta, id(0), state.context()), Ok(()));
        let refused = validate_joined(state.context(), state.lines().map(|(_, line)| line));
        assert_eq!(refused, Ok(()));
        state.join_delta(&delta);
    }
    let refused = validate_joined(state.context(), state.lines().map(|(_, line)| line));
    assert_eq!(refused, Err(Overgrown::Line(ENTRIES_MAX + 1)));
    assert_eq!(decode(&bytes(&state)), Err(DecodeError::TooLong(ENTRIES_MAX as u64 + 1)));
}
