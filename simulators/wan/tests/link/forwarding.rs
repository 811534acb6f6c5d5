//! An open link: time, order, bandwidth, ends.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wan::Properties;
use wan::wire::Change;

use crate::support::{expect, numbered, send, slow_by, soon, until, world};

const DELAY: Duration = Duration::from_millis(30);

#[tokio::test]
async fn the_first_answer_takes_two_round_trips_and_the_next_one() {
    let world = slow_by(DELAY).await;
    let begin = Instant::now();
    let mut near = TcpStream::connect(world.near).await.unwrap();
    send(&mut near, b"ping").await;
    let (mut far, _) = soon(world.far.accept()).await.unwrap();
    assert!(begin.elapsed() >= 2 * DELAY, "connected after {:?}", begin.elapsed());
    expect(&mut far, b"ping").await;
    assert!(begin.elapsed() >= 3 * DELAY, "asked after {:?}", begin.elapsed());
    send(&mut far, b"pong").await;
    expect(&mut near, b"pong").await;
    assert!(begin.elapsed() >= 4 * DELAY, "answered after {:?}", begin.elapsed());

    let again = Instant::now();
    send(&mut near, b"ping").await;
    expect(&mut far, b"ping").await;
    send(&mut far, b"pong").await;
    expect(&mut near, b"pong").await;
    assert!(again.elapsed() >= 2 * DELAY, "answered after {:?}", again.elapsed());
}

#[tokio::test]
async fn each_direction_has_its_own_delay() {
    let world = slow_by(Duration::ZERO).await;
    let (mut near, mut far) = world.connect().await;
    let slow = Duration::from_millis(120);
    world.set(&[wan::Direction::WestEast], Change { delay_us: Some(120_000), ..Change::default() });
    let begin = Instant::now();
    send(&mut far, b"slow").await;
    send(&mut near, b"fast").await;
    expect(&mut far, b"fast").await;
    assert_eq!(world.link.traffic(wan::Direction::WestEast).held(), 4, "the slow one is still on its way");
    expect(&mut near, b"slow").await;
    assert!(begin.elapsed() >= slow);
}

#[tokio::test]
async fn a_poor_link_delivers_every_byte_in_order() {
    let poor = Properties {
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(5),
        loss: 0.02,
        reorder: 0.1,
        ..Properties::default()
    };
    let world = world(poor).await;
    let (mut near, mut far) = world.connect().await;
    let bytes = numbered(3_000_000);
    tokio::join!(send(&mut near, &bytes), expect(&mut far, &bytes));
    tokio::join!(send(&mut far, &bytes[..70_000]), expect(&mut near, &bytes[..70_000]));
}

#[tokio::test]
async fn connections_share_the_bandwidth() {
    let world = slow_by(Duration::ZERO).await;
    let (mut first, mut first_far) = world.connect().await;
    let (mut second, mut second_far) = world.connect().await;
    // 1 MB/s: the 200 KB of both take 200 ms.
    world.set(&[wan::Direction::EastWest], Change { bandwidth_bits_per_s: Some(8_000_000), ..Change::default() });
    let bytes = numbered(100_000);
    let begin = Instant::now();
    tokio::join!(
        send(&mut first, &bytes),
        send(&mut second, &bytes),
        expect(&mut first_far, &bytes),
        expect(&mut second_far, &bytes)
    );
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    // The other direction is as wide as before.
    tokio::join!(send(&mut first_far, &bytes), expect(&mut first, &bytes));
}

#[tokio::test]
async fn one_who_sends_no_more_can_still_receive() {
    let world = slow_by(DELAY).await;
    let (mut near, mut far) = world.connect().await;
    send(&mut near, b"all of it").await;
    near.shutdown().await.unwrap();
    let mut got = Vec::new();
    soon(far.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"all of it");
    send(&mut far, b"the answer").await;
    drop(far);
    let mut answer = Vec::new();
    soon(near.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"the answer");
    until("over", || world.link.traffic(wan::Direction::EastWest).connections() == 0).await;
}

#[tokio::test]
async fn a_half_close_before_the_handshake_is_through_is_no_goodbye() {
    let world = slow_by(DELAY).await;
    let mut near = TcpStream::connect(world.near).await.unwrap();
    send(&mut near, b"question").await;
    near.shutdown().await.unwrap();
    let (mut far, _) = soon(world.far.accept()).await.unwrap();
    let mut got = Vec::new();
    soon(far.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"question");
    send(&mut far, b"answer").await;
    expect(&mut near, b"answer").await;
}

#[tokio::test]
async fn a_reset_arrives_as_a_reset_either_way() {
    let world = slow_by(DELAY).await;
    for near_goes in [true, false] {
        let (near, far) = world.connect().await;
        let (gone, mut left) = if near_goes { (near, far) } else { (far, near) };
        gone.set_zero_linger().unwrap();
        drop(gone);
        let error = soon(left.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "near goes: {near_goes}");
    }
    until("over", || world.link.traffic(wan::Direction::EastWest).connections() == 0).await;
}

#[tokio::test]
async fn a_refusal_at_the_far_end_is_a_reset_a_round_trip_later() {
    let mut world = slow_by(DELAY).await;
    // Somebody else's port is not ours to close: take the listener away.
    world.far = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let begin = Instant::now();
    let mut near = TcpStream::connect(world.near).await.unwrap();
    let error = soon(near.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(begin.elapsed() >= 2 * DELAY, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_sender() {
    let world = slow_by(Duration::ZERO).await;
    let (mut near, far) = world.connect().await;
    let chunk = numbered(64 * 1024);
    let mut sent = 0;
    // The window, and four kernel buffers of some megabytes at most.
    while tokio::time::timeout(Duration::from_millis(300), near.write_all(&chunk)).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 64 * 1024 * 1024, "the link takes all that it gets");
    }
    let held = world.link.traffic(wan::Direction::EastWest).held();
    assert!(held <= wan::path::WINDOW_BYTES as u64, "{held} bytes held");
    drop((near, far));
    until("over", || world.link.traffic(wan::Direction::EastWest).held() == 0).await;
}
