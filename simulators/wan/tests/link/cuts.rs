//! A cut is a black hole, and a heal brings everything.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wan::Direction::{self, EastWest, WestEast};
use wan::path::WINDOW_BYTES;

use crate::support::{expect, is_silent, numbered, send, slow_by, soon, until};

const DELAY: Duration = Duration::from_millis(10);
/// Long enough for anything that is not held to have arrived.
const PAUSE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_cut_holds_what_is_sent_and_a_heal_delivers_it_in_order() {
    let world = slow_by(DELAY).await;
    let (mut near, mut far) = world.connect().await;
    world.cut(&Direction::ALL);
    let (there, back) = (numbered(200_000), numbered(90_000));
    send(&mut near, &there[..1_000]).await;
    send(&mut far, &back).await;
    assert!(is_silent(&mut far, PAUSE).await && is_silent(&mut near, PAUSE).await);
    send(&mut near, &there[1_000..]).await;
    let held = || (world.link.traffic(EastWest).held(), world.link.traffic(WestEast).held());
    until("all held", || held() == (200_000, 90_000)).await;
    world.heal();
    expect(&mut far, &there).await;
    expect(&mut near, &back).await;
    assert_eq!(held(), (0, 0));
    // And the connection goes on.
    send(&mut near, b"still here").await;
    expect(&mut far, b"still here").await;
}

#[tokio::test]
async fn a_cut_sender_stops_when_its_window_is_full_and_loses_nothing() {
    let world = slow_by(DELAY).await;
    let (near, mut far) = world.connect().await;
    world.cut(&Direction::ALL);
    let bytes = numbered(16 * 1024 * 1024);
    let to_send = bytes.clone();
    let mut near = near;
    let sending = tokio::spawn(async move {
        near.write_all(&to_send).await.unwrap();
        near
    });
    until("full", || world.link.traffic(EastWest).held() == WINDOW_BYTES as u64).await;
    assert!(!sending.is_finished());
    world.heal();
    expect(&mut far, &bytes).await;
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn a_cut_of_one_direction_leaves_the_other_open() {
    let world = slow_by(DELAY).await;
    let (mut near, mut far) = world.connect().await;
    world.cut(&[EastWest]);
    send(&mut near, b"lost for now").await;
    send(&mut far, b"news").await;
    expect(&mut near, b"news").await;
    assert!(is_silent(&mut far, PAUSE).await);
    world.heal();
    expect(&mut far, b"lost for now").await;
}

#[tokio::test]
async fn without_acknowledgements_the_open_direction_stops_after_a_window() {
    let world = slow_by(DELAY).await;
    let (mut near, mut far) = world.connect().await;
    world.cut(&[EastWest]);
    let bytes = numbered(WINDOW_BYTES + 500_000);
    let to_send = bytes.clone();
    let sending = tokio::spawn(async move {
        far.write_all(&to_send).await.unwrap();
        far
    });
    expect(&mut near, &bytes[..WINDOW_BYTES]).await;
    assert!(is_silent(&mut near, PAUSE).await);
    world.heal();
    expect(&mut near, &bytes[WINDOW_BYTES..]).await;
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn a_connection_dialled_during_a_cut_hangs_and_opens_with_the_heal() {
    let world = slow_by(DELAY).await;
    // Either direction is enough: a handshake needs both.
    for direction in Direction::ALL {
        world.cut(&[direction]);
        let mut near = TcpStream::connect(world.near).await.unwrap();
        send(&mut near, b"hello?").await;
        assert!(is_silent(&mut near, PAUSE).await, "neither refused nor reset");
        world.heal();
        let (mut far, _) = soon(world.far.accept()).await.unwrap();
        expect(&mut far, b"hello?").await;
    }
}

#[tokio::test]
async fn one_who_gives_up_during_a_cut_leaves_no_trace_at_the_far_end() {
    let world = slow_by(DELAY).await;
    world.cut(&Direction::ALL);
    for _ in 0..3 {
        let mut near = TcpStream::connect(world.near).await.unwrap();
        send(&mut near, b"hello?").await;
        until("noticed", || world.link.traffic(EastWest).connections() == 1).await;
        drop(near);
        until("forgotten", || world.link.traffic(EastWest).connections() == 0).await;
    }
    world.heal();
    assert!(timeout(PAUSE, world.far.accept()).await.is_err());
}

#[tokio::test]
async fn a_close_during_a_cut_arrives_behind_the_bytes_after_the_heal() {
    let world = slow_by(DELAY).await;
    let (mut near, mut far) = world.connect().await;
    world.cut(&Direction::ALL);
    send(&mut near, b"last words").await;
    drop(near);
    assert!(is_silent(&mut far, PAUSE).await);
    world.heal();
    let mut got = Vec::new();
    soon(far.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"last words");
}
