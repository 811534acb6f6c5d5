//! Who is let in, and who has to go for it.
use super::*;

const ONE: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [192, 0, 2, 2];

fn connections(all: usize, per_client: usize) -> Connections {
    Connections::new(ConnectionsMax { all, per_client })
}

fn connect(connections: &Connections, from: [u8; 4]) -> Option<Connection> {
    connections.admit((from, 1).into(), Protocol::Http1)
}

fn has_ended(connection: &Connection) -> bool {
    connection.end().is_cancelled()
}

#[tokio::test(start_paused = true)]
async fn a_client_with_its_share_of_silent_connections_keeps_nobody_out_not_even_itself() {
    let connections = connections(10, 8);
    let silent: Vec<_> = (0..8).map(|_| connect(&connections, ONE).unwrap()).collect();
    let _others = [connect(&connections, OTHER).unwrap(), connect(&connections, OTHER).unwrap()];
    tokio::time::advance(2 * NEW).await;
    let mine = connect(&connections, ONE).unwrap();
    assert!(has_ended(&silent[0]) && !has_ended(&silent[1]) && !has_ended(&mine), "the oldest of one's own goes first");
    // Everything is full: a third client is let in at the cost of whoever holds the most.
    assert!(connect(&connections, [192, 0, 2, 3]).is_some());
    assert!(has_ended(&silent[1]) && !has_ended(&silent[2]));
}

#[tokio::test(start_paused = true)]
async fn who_is_being_answered_stays_and_who_says_nothing_goes_before_who_waits_between_requests() {
    let connections = connections(3, 3);
    let (busy, quiet, silent) =
        (connect(&connections, ONE).unwrap(), connect(&connections, ONE).unwrap(), connect(&connections, ONE).unwrap());
    let answering = busy.answering();
    quiet.heard(1);
    drop(quiet.answering());
    tokio::time::advance(2 * NEW).await;
    let fourth = connect(&connections, ONE).unwrap();
    assert!(has_ended(&silent) && !has_ended(&quiet) && !has_ended(&busy));
    // The fourth is new and may be about to ask: the quiet one goes before it.
    let fifth = connect(&connections, ONE).unwrap();
    assert!(has_ended(&quiet) && !has_ended(&fourth));
    let _answering = [fourth.answering(), fifth.answering()];
    assert!(connect(&connections, ONE).is_none(), "nobody is ended in the middle of an answer");
    drop(answering);
    assert!(connect(&connections, ONE).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_to_say_something_and_come_to_an_end_of_it() {
    let connections = connections(4, 4);
    let began = Instant::now();
    let asking = connect(&connections, ONE).unwrap();
    assert_eq!(asking.due(), Some(began + SILENCE_MAX));
    tokio::time::advance(Duration::from_secs(3)).await;
    asking.heard(1);
    tokio::time::advance(Duration::from_secs(3)).await;
    asking.heard(1);
    assert_eq!(asking.due(), Some(began + HEAD_MAX), "a byte now and then gains no time");
    let answering = asking.answering();
    asking.heard(100);
    assert_eq!(asking.due(), None);
    drop(answering);
    assert_eq!(asking.due(), None, "between requests the server's own limit counts");
    asking.heard(1);
    assert_eq!(asking.due(), Some(Instant::now() + HEAD_MAX));
    let http2 = connections.admit((ONE, 1).into(), Protocol::Http2).unwrap();
    http2.heard(PREFACE_BYTES - 1);
    assert!(http2.due().is_some());
    http2.heard(1);
    assert_eq!(http2.due(), None);
}

#[test]
fn what_ends_is_forgotten() {
    let connections = connections(2, 2);
    drop((connect(&connections, ONE), connect(&connections, ONE)));
    let held = locked(&connections.held);
    assert_eq!((held.all, held.by_client.len()), (0, 0));
}
