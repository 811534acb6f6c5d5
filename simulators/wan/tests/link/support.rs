//! A link in-process with one route, and a far end that echoes or is driven by the test.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wan::wire::{Change, Changes};
use wan::{Directed, Direction, Link, Properties, Route, control, forward};

/// Long enough for the busiest machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub link: Arc<Link>,
    /// Where to dial.
    pub near: SocketAddr,
    /// Where the link dials on.
    pub far: TcpListener,
    pub panel: SocketAddr,
    tasks: [JoinHandle<()>; 3],
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A link whose one route is dialled from east to west.
pub async fn world(properties: Properties) -> World {
    let link = Arc::new(Link::new(Directed::from_fn(|_| properties), 1).unwrap());
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route {
        name: "test".to_owned(),
        direction: Direction::EastWest,
        listen: "127.0.0.1:0".parse().unwrap(),
        to: far.local_addr().unwrap(),
    };
    let bound = forward::bind(route).await.unwrap();
    let near = bound.0.local_addr().unwrap();
    let panel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = panel.local_addr().unwrap();
    let (router, healer) = (control::router(link.clone()), link.clone());
    let tasks = [
        tokio::spawn(forward::run(link.clone(), vec![bound])),
        tokio::spawn(async move { axum::serve(panel, router).await.unwrap() }),
        tokio::spawn(async move { healer.heal_when_due().await }),
    ];
    World { link, near, far, panel: address, tasks }
}

/// A link with this much delay each way.
pub async fn slow_by(delay: Duration) -> World {
    world(Properties { delay, ..Properties::default() }).await
}

impl World {
    /// Both ends of a new connection.
    pub async fn connect(&self) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(self.near).await.unwrap();
        let (far, _) = soon(self.far.accept()).await.unwrap();
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        (near, far)
    }

    pub fn set(&self, directions: &[Direction], change: Change) {
        let changes = Changes::of(directions, change);
        self.link.change(|link| changes.apply(link, std::time::Instant::now())).unwrap();
    }

    pub fn cut(&self, directions: &[Direction]) {
        self.set(directions, Change { cut: Some(true), ..Change::default() });
    }

    pub fn heal(&self) {
        self.set(&Direction::ALL, Change { cut: Some(false), ..Change::default() });
    }
}

/// Waits, but not for ever.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("nothing happened within {PATIENCE:?}"))
}

/// Waits until something is so, but not for ever.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, looking).await.is_ok(), "not {what} within {PATIENCE:?}");
}

/// Reads exactly as much as `expected` and compares.
pub async fn expect(from: &mut TcpStream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    soon(from.read_exact(&mut got)).await.unwrap();
    assert!(got == expected, "other bytes than were sent");
}

/// Whether nothing arrives for a while. What is held now is held by a cut, so waiting longer would not change it.
pub async fn is_silent(from: &mut TcpStream, pause: Duration) -> bool {
    timeout(pause, from.read_u8()).await.is_err()
}

/// Bytes that differ from their neighbours.
pub fn numbered(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 251 + place) as u8).collect()
}

pub async fn send(to: &mut TcpStream, bytes: &[u8]) {
    soon(to.write_all(bytes)).await.unwrap();
}
