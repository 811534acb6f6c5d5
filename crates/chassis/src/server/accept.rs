//! Accepting connections without ever giving up.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Out of file descriptors is the usual reason for a failed accept; connections that end free some.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// The next connection and who it is from. A failure to accept is logged and waited out: a server that ends because one client vanished, or
/// because descriptors ran out for a moment, makes a small trouble a large one.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Small answers must not wait for Nagle's algorithm; a connection that refuses the option still works.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}
