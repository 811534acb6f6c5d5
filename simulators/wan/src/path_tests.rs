use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::properties::Cut;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn open() -> Properties {
    Properties::default()
}

fn cut(since: Instant) -> Properties {
    Properties { cut: Some(Cut { since, heals_at: None }), ..open() }
}

fn data(bytes: usize) -> Item {
    Item::Data(Bytes::from(vec![7; bytes]))
}

/// A path that began at the first value, and its line.
fn path(forward: Properties, backward: Properties) -> (Instant, Path, Bottleneck) {
    let now = Instant::now();
    (now, Path::new(forward, backward, 1), Bottleneck::new(now))
}

#[test]
fn a_byte_arrives_one_delay_later_and_not_before() {
    let (start, mut path, mut line) = path(open(), open());
    path.push(start, data(100), &mut line);
    assert_eq!(path.wake_at(start), Some(start + ms(40)));
    assert_eq!(path.take(start + ms(39)), None);
    assert_eq!(path.take(start + ms(40)), Some(data(100)));
    assert_eq!((path.take(start + ms(90)), path.wake_at(start + ms(90))), (None, None));
}

#[test]
fn a_full_window_opens_when_its_acknowledgement_is_back() {
    let (start, mut path, mut line) = path(open(), open());
    for _ in 0..WINDOW_BYTES / CHUNK_BYTES_MAX {
        assert_eq!(path.room(start), CHUNK_BYTES_MAX);
        path.push(start, data(CHUNK_BYTES_MAX), &mut line);
    }
    assert_eq!(path.room(start), 0);
    path.take(start + ms(40));
    path.delivered(start + ms(40), CHUNK_BYTES_MAX);
    assert_eq!(path.room(start + ms(79)), 0);
    assert_eq!(path.room(start + ms(80)), CHUNK_BYTES_MAX);
}

#[test]
fn a_cut_holds_everything_and_a_heal_brings_it_at_the_next_retransmission() {
    let (start, mut path, mut line) = path(open(), open());
    path.push(start, data(1), &mut line);
    path.change(start + ms(10), cut(start), open(), &mut line);
    path.push(start + ms(20), Item::End, &mut line);
    assert_eq!((path.take(start + ms(5_000)), path.wake_at(start + ms(5_000)), path.held()), (None, None, 1));
    // Due at 40; retransmitted at 320, 880, 1,880, …: the first of these after the heal, and another delay.
    path.change(start + ms(1_000), open(), open(), &mut line);
    assert_eq!(path.take(start + ms(1_919)), None);
    assert_eq!(path.take(start + ms(1_920)), Some(data(1)));
    assert_eq!(path.take(start + ms(1_920)), Some(Item::End));
}

#[test]
fn what_arrives_only_after_the_heal_was_not_hurt_by_the_cut() {
    let (start, mut path, mut line) = path(open(), open());
    path.push(start, data(1), &mut line);
    path.change(start + ms(10), cut(start), open(), &mut line);
    path.change(start + ms(20), open(), open(), &mut line);
    assert_eq!(path.take(start + ms(40)), Some(data(1)));
}

#[test]
fn a_cut_of_the_way_back_lets_a_window_pass_and_no_more() {
    let (start, mut path, mut line) = path(open(), cut(Instant::now()));
    let mut passed = 0;
    for step in 0..200 {
        let now = start + ms(step * 50);
        let room = path.room(now);
        if room > 0 {
            path.push(now, data(room), &mut line);
        }
        while let Some(item) = path.take(now) {
            passed += item.bytes();
            path.delivered(now, item.bytes());
        }
    }
    assert_eq!((passed, path.room(start + ms(10_000))), (WINDOW_BYTES, 0));
    path.change(start + ms(10_000), open(), open(), &mut line);
    let again = path.wake_at(start + ms(10_000));
    assert!(again.is_some_and(|at| at > start + ms(10_000) && at < start + ms(12_000)), "{again:?}");
    assert!(path.room(start + ms(12_000)) > 0);
}

#[test]
fn a_narrow_line_takes_its_time() {
    let narrow = Properties { bandwidth: Some(800_000), ..open() };
    let (start, mut path, mut line) = path(narrow, open());
    // 20 ms of 100,000 bytes a second.
    assert_eq!(path.room(start), 2_000);
    path.push(start, data(2_000), &mut line);
    path.push(start, data(2_000), &mut line);
    assert_eq!(path.wake_at(start), Some(start + ms(60)));
    path.take(start + ms(60));
    assert_eq!(path.wake_at(start), Some(start + ms(80)));
}

proptest! {
    /// The invariant of the module: nothing lost, doubled, reordered or early, whatever the link is like and does.
    #[test]
    fn prop_what_comes_out_is_what_went_in_in_order_and_never_early(
        seed in any::<u64>(),
        loss in 0.0..0.5_f64,
        reorder in 0.0..0.5_f64,
        jitter_ms in 0_u64..50,
        bandwidth in prop::option::of(64_000_u64..10_000_000),
        steps in prop::collection::vec((0_u64..200, 1_usize..3_000, 0_u8..8), 1..60),
    ) {
        let good = Properties { loss, reorder, jitter: ms(jitter_ms), bandwidth, ..open() };
        let start = Instant::now();
        let mut path = Path::new(good, good, seed);
        let mut line = Bottleneck::new(start);
        let (mut now, mut sent, mut came) = (start, Vec::new(), Vec::new());
        let mut sent_at = Vec::new();
        for (pause, bytes, what) in steps {
            now += ms(pause);
            match what {
                0 => path.change(now, cut(now), good, &mut line),
                1 => path.change(now, good, cut(now), &mut line),
                2 | 3 => path.change(now, good, good, &mut line),
                _ => {
                    let bytes = bytes.min(path.room(now));
                    let chunk = vec![sent.len() as u8; bytes];
                    sent_at.extend(std::iter::repeat_n(now, bytes));
                    sent.extend_from_slice(&chunk);
                    path.push(now, Item::Data(chunk.into()), &mut line);
                }
            }
            drain(&mut path, now, &mut came, &sent_at)?;
        }
        path.change(now, good, good, &mut line);
        path.push(now, Item::End, &mut line);
        drain(&mut path, now + Duration::from_secs(3_600), &mut came, &sent_at)?;
        prop_assert_eq!(came, sent);
        prop_assert_eq!(path.held(), 0);
    }
}

fn drain(path: &mut Path, now: Instant, came: &mut Vec<u8>, sent_at: &[Instant]) -> Result<(), TestCaseError> {
    while let Some(item) = path.take(now) {
        if let Item::Data(data) = item {
            prop_assert!(now >= sent_at[came.len()] + ms(40), "early");
            came.extend_from_slice(&data);
            path.delivered(now, data.len());
        }
    }
    Ok(())
}
