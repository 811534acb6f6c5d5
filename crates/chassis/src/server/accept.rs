//! Accepting connections without ever giving up.

use std::net::SocketAddr;
use std::time::Duration;

use futures::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::BACKLOG;

/// Out of file descriptors is the usual reason for a failed accept; connections that end free some.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Every connection and who it is from, until `shutdown` is cancelled; then the listener is closed, and those that still waited at it are
/// the last.
pub(super) fn connections(
    listener: TcpListener,
    shutdown: CancellationToken,
) -> impl Stream<Item = (TcpStream, SocketAddr)> {
    let begin = (Some(listener), Vec::new().into_iter());
    futures::stream::unfold(begin, move |(mut listener, mut waiting)| {
        let shutdown = shutdown.clone();
        async move {
            if let Some(open) = &listener {
                tokio::select! {
                    accepted = accept(open) => return Some((accepted, (listener, waiting))),
                    () = shutdown.cancelled() => {}
                }
            }
            if let Some(open) = listener.take() {
                waiting = take_waiting(open).into_iter();
            }
            waiting.next().map(|last| (last, (listener, waiting)))
        }
    })
}

/// The next connection. A failure to accept is logged and waited out: a server that ends because one client vanished, or
/// because descriptors ran out for a moment, makes a small trouble a large one.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                send_at_once(&stream);
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

/// Closes `listener`, and returns the connections that were complete and still waited to be accepted: the system would reset them. That
/// another process listens on the same address does not help them, since each connection waits at one listener.
fn take_waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // Asked directly: tokio's own `accept` says that nobody waits until its driver has heard of somebody.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let mut waiting = Vec::new();
    // As many as can wait at once, or whoever keeps connecting would keep us.
    while waiting.len() < BACKLOG as usize {
        let Ok((stream, peer)) = listener.accept() else { break };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            send_at_once(&stream);
            waiting.push((stream, peer));
        }
    }
    waiting
}

/// Small answers must not wait for Nagle's algorithm; a connection that refuses the option still works.
fn send_at_once(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_waits_at_a_listener_that_closes_is_not_turned_away() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut connections = pin!(connections(listener, shutdown.clone()));
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut taken = vec![connections.next().await.unwrap()];
        shutdown.cancel();
        while let Some(connection) = connections.next().await {
            taken.push(connection);
        }
        assert_eq!(taken.len(), clients.len());
        for ((mut server, _), client) in taken.into_iter().zip(&mut clients) {
            server.write_all(b"x").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        }
        TcpStream::connect(address).await.unwrap_err();
    }
}
