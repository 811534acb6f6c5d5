//! The HTTP server over real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get as on_get;
use chassis::server::serve_http;
use support::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

async fn start(router: Router, grace: Duration) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve_http(listener, router, shutdown.clone(), grace));
    (address, shutdown, server)
}

#[tokio::test]
async fn handlers_learn_the_peers_address() {
    let whoami = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
    let (address, _shutdown, _server) = start(Router::new().route("/", on_get(whoami)), Duration::ZERO).await;
    assert_eq!(get(address, "/").await, (200, "127.0.0.1".to_owned()));
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_closes_idle_connections() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.notify_one();
            release.notified().await;
            "done"
        }
    };
    let (address, shutdown, server) = start(Router::new().route("/", on_get(slow)), Duration::from_secs(5)).await;
    let _idle = TcpStream::connect(address).await.unwrap();
    let in_flight = tokio::spawn(async move { get(address, "/").await });
    entered.notified().await;
    shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(address).await.is_err(), "no new connection");
    release.notify_one();
    assert_eq!(in_flight.await.unwrap(), (200, "done".to_owned()));
    tokio::time::timeout(Duration::from_secs(1), server).await.unwrap().unwrap();
}

/// Sends one request over a connection that is kept, and reads its answer's head.
async fn exchange(connection: &mut TcpStream) -> String {
    connection.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1_024];
    let length = connection.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).to_lowercase()
}

#[tokio::test]
async fn a_client_that_keeps_its_connection_is_told_to_leave_with_its_next_answer() {
    let router = Router::new().route("/", on_get(async || "here"));
    let (address, shutdown, server) = start(router, Duration::from_secs(5)).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    assert!(!exchange(&mut kept).await.contains("connection: close"));
    shutdown.cancel();
    let told = exchange(&mut kept).await;
    assert!(told.starts_with("http/1.1 200") && told.contains("connection: close"), "{told}");
    assert_eq!(kept.read(&mut [0]).await.unwrap(), 0, "then it is closed");
    tokio::time::timeout(Duration::from_secs(1), server).await.unwrap().unwrap();
}

#[tokio::test]
async fn draining_gives_up_after_the_grace_period() {
    let entered = Arc::new(Notify::new());
    let stuck = {
        let entered = Arc::clone(&entered);
        async move || {
            entered.notify_one();
            std::future::pending::<&str>().await
        }
    };
    let (address, shutdown, server) = start(Router::new().route("/", on_get(stuck)), Duration::from_millis(50)).await;
    let in_flight = TcpStream::connect(address).await.unwrap();
    in_flight.try_write(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    entered.notified().await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(1), server).await.unwrap().unwrap();
}
