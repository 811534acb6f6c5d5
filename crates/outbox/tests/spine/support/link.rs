//! Links to Postgres and Kafka that can be cut, and frozen.

use std::net::SocketAddr;
use std::time::Duration;

use outbox::config::SpineConfig;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::kafka::{advertised, settings};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// Connections stand and new ones are made, and nothing arrives: the other side is frozen.
    Frozen,
    Down,
}

/// The broker has one address that a link can stand at, one at a time.
static PLACE_OF_THE_BROKER: Mutex<()> = Mutex::const_new(());

/// Forwards connections while it is up; cuts them and refuses new ones while it is down.
pub struct Link {
    state: watch::Sender<State>,
}

impl Link {
    /// `place` is given back with the listener, when the test's runtime ends.
    async fn between(near: &str, far: String, place: Option<MutexGuard<'static, ()>>) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(near).await.unwrap_or_else(|error| panic!("cannot listen at {near}: {error}"));
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State::Up);
        tokio::spawn(async move {
            let _place = place;
            let listener = listener;
            while let Ok((near, _)) = listener.accept().await {
                let (far, mut watched) = (far.clone(), watched.clone());
                tokio::spawn(async move {
                    if *watched.borrow() == State::Down {
                        return;
                    }
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = TcpStream::connect(far).await.unwrap().into_split();
                    tokio::select! {
                        () = forward(near_in, far_out, watched.clone()) => {}
                        () = forward(far_in, near_out, watched.clone()) => {}
                        _ = watched.wait_for(|state| *state == State::Down) => {}
                    }
                });
            }
        });
        (Self { state }, address)
    }

    /// A link to the server of `pool`, and a pool whose connections pass it.
    pub async fn to_postgres(pool: &PgPool) -> (Self, PgPool) {
        let options = pool.connect_options();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let (link, address) = Self::between("127.0.0.1:0", server, None).await;
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(1))
            .connect_lazy_with(options.as_ref().clone().host("127.0.0.1").port(address.port()));
        (link, pool)
    }

    /// A link to the broker, and settings of clients that pass it. A broker tells its clients where it is, so the link stands where
    /// it says to those of the other region.
    pub async fn to_kafka() -> (Self, SpineConfig) {
        let place = PLACE_OF_THE_BROKER.lock().await;
        let (listener, advertised) = advertised();
        let (link, _) = Self::between(&advertised, listener, Some(place)).await;
        (link, SpineConfig { kafka_brokers: advertised, ..settings() })
    }

    pub fn cut(&self) {
        self.state.send_replace(State::Down);
    }

    pub fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    pub fn mend(&self) {
        self.state.send_replace(State::Up);
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| *state != State::Frozen).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
