//! The machines alone: inputs in, effects out.

use std::time::Duration;

use replication::receiver::{self, Refusal};
use replication::shipper::{self, Halt, LogRead};
use replication::{
    Config, Digest, Listing, PROTOCOL_VERSION, Position, Receiver, ReplicaId, Shipper, ToReceiver, ToShipper,
};

type Ship = shipper::Effect<u32, &'static str>;
type ShipInput = shipper::Input<u32, &'static str>;
type Receive = receiver::Effect<u32, &'static str>;

const EAST: ReplicaId = ReplicaId(1);
const WEST: ReplicaId = ReplicaId(2);

fn at(transaction: u64) -> Position {
    Position { transaction, sequence: transaction }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn config() -> Config {
    Config { window_batches_max: 2, page_carts_max: 2, ..Config::default() }
}

fn read(after: u64, through: u64) -> LogRead<u32, &'static str> {
    let (trimmed, entries) = (Position::START, vec![(7, "delta")]);
    LogRead { after: at(after), through: at(through), trimmed, more: true, bytes: 5, entries }
}

fn welcome(through: u64) -> ShipInput {
    shipper::Input::Received(ToShipper::Welcome { receiver: WEST, log: EAST, through: at(through) })
}

fn ack(through: u64, gap: bool) -> ShipInput {
    shipper::Input::Received(ToShipper::Ack { receiver: WEST, log: EAST, through: at(through), gap })
}

fn batch(after: u64, through: u64) -> ToReceiver<u32, &'static str> {
    ToReceiver::Batch { log: EAST, after: at(after), through: at(through), entries: vec![(7, "delta")] }
}

fn hello() -> ToReceiver<u32, &'static str> {
    ToReceiver::Hello { version: PROTOCOL_VERSION, log: EAST }
}

fn read_log(after: u64) -> Ship {
    let config = config();
    Ship::ReadLog { after: at(after), entries_max: config.batch_entries_max, bytes_max: config.batch_bytes_max }
}

/// A shipper that was welcomed at `through`, at time 0, and has asked for the log.
fn streaming(through: u64) -> Shipper<u32> {
    let mut shipper = Shipper::new(config(), EAST);
    assert_eq!(shipper.handle(ShipInput::Opened, ms(0)), [Ship::Send(hello())]);
    let welcomed = shipper.handle(welcome(through), ms(0));
    assert_eq!(welcomed, [Ship::PersistAcked { receiver: WEST, position: at(through) }, read_log(through)]);
    shipper
}

/// A receiver that has `through` of the log of east.
fn receiving(through: u64) -> Receiver<u32, &'static str> {
    let mut receiver = Receiver::new(config(), WEST);
    assert_eq!(receiver.handle(receiver::Input::Received(hello())), [Receive::ReadThrough { log: EAST }]);
    let welcome = ToShipper::Welcome { receiver: WEST, log: EAST, through: at(through) };
    let read = receiver::Input::Through { log: EAST, position: at(through) };
    assert_eq!(receiver.handle(read), [Receive::Send(welcome)]);
    receiver
}

fn answer(through: u64, gap: bool) -> Receive {
    Receive::Send(ToShipper::Ack { receiver: WEST, log: EAST, through: at(through), gap })
}

fn join(through: u64, entries: usize) -> Receive {
    Receive::Join { log: EAST, through: at(through), entries: vec![(7, "delta"); entries] }
}

#[test]
fn a_full_window_is_not_read_for_until_an_acknowledgement_makes_room() {
    let mut shipper = streaming(0);
    let first = shipper.handle(ShipInput::LogRead(read(0, 1)), ms(1));
    assert_eq!(first, [Ship::Send(batch(0, 1)), read_log(1)]);
    assert_eq!(shipper.handle(ShipInput::LogRead(read(1, 2)), ms(2)), [Ship::Send(batch(1, 2))]);
    assert_eq!(shipper.handle(ShipInput::LogGrew, ms(3)), []);
    assert_eq!(shipper.in_flight(), (2, 10));
    let acked = shipper.handle(ack(1, false), ms(4));
    assert_eq!(acked, [Ship::PersistAcked { receiver: WEST, position: at(1) }, read_log(2)]);
}

#[test]
fn old_repeated_and_foreign_acknowledgements_change_nothing() {
    let mut shipper = streaming(5);
    assert_eq!(shipper.handle(ack(3, false), ms(1)), []);
    assert_eq!(shipper.handle(ack(5, false), ms(1)), []);
    let earlier_life = ToShipper::Ack { receiver: ReplicaId(9), log: EAST, through: at(9), gap: false };
    assert_eq!(shipper.handle(ShipInput::Received(earlier_life), ms(1)), []);
    let other_log = ToShipper::Ack { receiver: WEST, log: ReplicaId(9), through: at(9), gap: false };
    assert_eq!(shipper.handle(ShipInput::Received(other_log), ms(1)), []);
}

#[test]
fn a_gap_sends_the_shipper_back_once_and_silence_makes_it_ask() {
    let mut shipper = streaming(0);
    shipper.handle(ShipInput::LogRead(read(0, 1)), ms(1));
    shipper.handle(ShipInput::LogRead(read(1, 2)), ms(2));
    assert_eq!(shipper.handle(ack(0, true), ms(3)), [read_log(0)]);
    assert_eq!(shipper.handle(ack(0, true), ms(4)), [], "the second answer about one gap is no news");
    let again = shipper.handle(ShipInput::LogRead(read(0, 1)), ms(5));
    assert_eq!(again, [Ship::Send(batch(0, 1)), read_log(1)]);

    let since = ms(5) + config().resend_after;
    assert!(shipper.wake_at().is_some_and(|wake| wake <= since));
    assert_eq!(shipper.handle(ShipInput::Tick, since), [Ship::Send(hello())]);
    assert_eq!(shipper.handle(ShipInput::LogRead(read(1, 2)), since), [], "nothing is shipped before the welcome");
    let welcomed = shipper.handle(welcome(1), since);
    assert_eq!(welcomed, [Ship::PersistAcked { receiver: WEST, position: at(1) }, read_log(1)]);
}

#[test]
fn a_receiver_that_lost_what_it_had_is_shipped_to_from_where_it_is() {
    let mut shipper = streaming(5);
    let restored = ToShipper::Welcome { receiver: ReplicaId(3), log: EAST, through: at(2) };
    shipper.handle(ShipInput::LogRead(read(5, 6)), ms(1));
    let effects = shipper.handle(ShipInput::Received(restored), ms(2));
    assert_eq!(effects, [Ship::PersistAcked { receiver: ReplicaId(3), position: at(2) }]);
    let effects = shipper.handle(ShipInput::LogRead(read(6, 7)), ms(3));
    assert_eq!(effects, [read_log(2)], "the read that was under way is of no use");
}

#[test]
fn a_log_shorter_than_what_the_receiver_has_stops_the_shipper_for_good() {
    let mut shipper = streaming(9);
    let short = LogRead { through: at(4), entries: Vec::new(), ..read(9, 9) };
    let effects = shipper.handle(ShipInput::LogRead(short), ms(1));
    assert_eq!(effects, [Ship::Halt(Halt { acked: at(9), end: at(4) })]);
    assert_eq!(shipper.handle(welcome(9), ms(2)), []);
    assert_eq!((shipper.handle(ShipInput::Tick, ms(9_999)), shipper.wake_at()), (vec![], None));
}

/// A shipper at the end of its log, which compares the carts 1 and 2.
fn comparing() -> Shipper<u32> {
    let mut shipper = streaming(0);
    let end = LogRead { more: false, entries: Vec::new(), ..read(0, 0) };
    let effects = shipper.handle(ShipInput::LogRead(end), ms(0));
    assert_eq!(effects, [Ship::ReadDigests { request: 1, after: None, limit: 2 }]);
    let carts = vec![(1, Digest([1; 16])), (2, Digest([2; 16]))];
    let digest = Digest([3; 16]);
    let compare = ToReceiver::Compare { request: 2, after: None, last: 2, count: 2, digest };
    assert_eq!(shipper.handle(ShipInput::Digests { request: 1, carts }, ms(0)), [Ship::Send(compare)]);
    shipper
}

fn compared(request: u64, difference: Option<Listing<u32>>) -> ShipInput {
    shipper::Input::Received(ToShipper::Compared { request, difference })
}

#[test]
fn carts_that_differ_are_sent_whole_and_those_that_do_not_fit_come_next() {
    let mut shipper = comparing();
    let listing = Listing { carts: vec![(1, Digest([9; 16]))], through: 2 };
    let bytes_max = config().repair_bytes_max;
    let effects = shipper.handle(compared(2, Some(listing)), ms(80));
    assert_eq!(effects, [Ship::ReadStates { request: 3, ids: vec![1, 2], bytes_max }]);
    let states = vec![(1, "state")];
    let effects = shipper.handle(ShipInput::States { request: 3, states: states.clone() }, ms(81));
    assert_eq!(effects, [Ship::Send(ToReceiver::Repair { request: 4, states })]);
    let repaired = shipper::Input::Received(ToShipper::Repaired { request: 4 });
    let effects = shipper.handle(repaired, ms(160));
    assert_eq!(effects, [Ship::ReadStates { request: 5, ids: vec![2], bytes_max }]);
}

#[test]
fn a_listing_that_stops_short_makes_the_rest_the_next_page() {
    let mut shipper = comparing();
    let listing = Listing { carts: vec![(1, Digest([1; 16]))], through: 1 };
    assert_eq!(shipper.handle(compared(2, Some(listing)), ms(80)), []);
    let next = shipper.handle(ShipInput::Tick, ms(80) + config().page_every);
    assert_eq!(next, [Ship::ReadDigests { request: 3, after: Some(1), limit: 2 }]);
}

#[test]
fn a_log_trimmed_above_what_the_receiver_has_starts_a_pass_at_once() {
    let mut shipper = comparing();
    let done = shipper.handle(compared(2, None), ms(80));
    assert_eq!(done, []);
    shipper.handle(welcome(0), ms(81));
    let grown = shipper.handle(ShipInput::LogGrew, ms(81));
    assert_eq!(grown, [read_log(0)]);
    let hole = LogRead { trimmed: at(3), more: false, ..read(0, 5) };
    let effects = shipper.handle(ShipInput::LogRead(hole), ms(82));
    assert_eq!(effects, [Ship::Send(batch(0, 5)), Ship::ReadDigests { request: 3, after: None, limit: 2 }]);
}

#[test]
fn no_page_begins_while_a_backlog_is_read() {
    let mut shipper = streaming(0);
    let effects = shipper.handle(ShipInput::LogRead(read(0, 1)), ms(9_000));
    assert!(!effects.iter().any(|effect| matches!(effect, Ship::ReadDigests { .. })), "{effects:?}");
}

#[test]
fn each_answer_that_stays_away_doubles_the_wait_for_the_next() {
    let mut shipper = comparing();
    let mut now = ms(0);
    for doubled in [1, 2, 4, 8] {
        now += config().resend_after * doubled;
        let effects = shipper.handle(ShipInput::Tick, now);
        let asked = effects.iter().find_map(|effect| match effect {
            Ship::ReadDigests { request, .. } => Some(*request),
            _ => None,
        });
        let request = asked.unwrap_or_else(|| panic!("given up after {now:?}: {effects:?}"));
        shipper.handle(ShipInput::Digests { request, carts: vec![(1, Digest([1; 16]))] }, now);
        let early = shipper.handle(ShipInput::Tick, now + config().resend_after * doubled * 2 - ms(1));
        assert!(!early.iter().any(|effect| matches!(effect, Ship::ReadDigests { .. })), "{early:?}");
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut receiver = receiving(0);
    assert_eq!(receiver.handle(receiver::Input::Received(batch(0, 3))), [join(3, 1)]);
    let joined = receiver::Input::Joined { log: EAST, through: at(3) };
    assert_eq!(receiver.handle(joined), [answer(3, false)]);
}

#[test]
fn a_batch_beyond_a_gap_is_dropped_and_the_answer_says_where_to_go_back_to() {
    let mut receiver = receiving(2);
    assert_eq!(receiver.handle(receiver::Input::Received(batch(4, 6))), [answer(2, true)]);
    assert_eq!(receiver.handle(receiver::Input::Received(batch(1, 4))), [join(4, 1)], "an overlap is no gap");
}

#[test]
fn what_comes_while_a_commit_runs_is_joined_together_after_it_and_bounded() {
    let mut receiver = receiving(0);
    assert_eq!(receiver.handle(receiver::Input::Received(batch(0, 1))), [join(1, 1)]);
    for (after, through) in [(1, 2), (2, 3), (2, 3), (3, 4)] {
        assert_eq!(receiver.handle(receiver::Input::Received(batch(after, through))), []);
    }
    assert_eq!(
        receiver.handle(receiver::Input::Received(batch(4, 5))),
        [answer(0, true)],
        "3 to 4 was one batch too many, so 4 to 5 is beyond a gap"
    );
    let joined = receiver::Input::Joined { log: EAST, through: at(1) };
    assert_eq!(receiver.handle(joined), [join(3, 2), answer(1, false)]);
    assert_eq!(receiver.handle(receiver::Input::Received(batch(0, 1))), [answer(1, false)], "known: answered again");
}

#[test]
fn a_listing_that_does_not_fit_says_how_far_it_goes() {
    let mut receiver = receiving(0);
    let digest = Digest([3; 16]);
    let compare = ToReceiver::Compare { request: 1, after: None, last: 9, count: 2, digest };
    let effects = receiver.handle(receiver::Input::Received(compare.clone()));
    assert_eq!(effects, [Receive::ReadDigests { request: 1, after: None, last: 9, limit: 3 }]);
    let carts: Vec<(u32, Digest)> = (1..=3).map(|id| (id, Digest([7; 16]))).collect();
    let listing = Listing { carts: carts.clone(), through: 3 };
    let difference = ToShipper::Compared { request: 1, difference: Some(listing) };
    assert_eq!(receiver.handle(receiver::Input::Digests { request: 1, carts }), [Receive::Send(difference)]);

    receiver.handle(receiver::Input::Received(compare));
    let same = vec![(4, Digest([1; 16])), (5, Digest([2; 16]))];
    let equal = ToShipper::Compared { request: 1, difference: None };
    let digests = receiver::Input::Digests { request: 1, carts: same };
    assert_eq!(receiver.handle(digests), [Receive::Send(equal)]);
}

#[test]
fn strangers_are_refused() {
    let refuse =
        |message| Receiver::<u32, &'static str>::new(config(), WEST).handle(receiver::Input::Received(message));
    let newer = ToReceiver::Hello { version: 2, log: EAST };
    assert_eq!(refuse(newer), [Receive::Refuse(Refusal::UnknownVersion(2))]);
    let ourselves = ToReceiver::Hello { version: PROTOCOL_VERSION, log: WEST };
    assert_eq!(refuse(ourselves), [Receive::Refuse(Refusal::SameReplica(WEST))]);
    assert_eq!(refuse(batch(0, 1)), [], "not greeted yet");

    let mut receiver = receiving(0);
    let other = ToReceiver::Hello { version: PROTOCOL_VERSION, log: ReplicaId(9) };
    let refused = receiver.handle(receiver::Input::Received(other));
    assert_eq!(refused, [Receive::Refuse(Refusal::AnotherLog(ReplicaId(9)))]);
    let count = config().batch_entries_max + 1;
    let large = ToReceiver::Batch { log: EAST, after: at(0), through: at(1), entries: vec![(7, "delta"); count] };
    let refused = receiver.handle(receiver::Input::Received(large));
    assert_eq!(refused, [Receive::Refuse(Refusal::BatchTooLarge(count))]);
}
