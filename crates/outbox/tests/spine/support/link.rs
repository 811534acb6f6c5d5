//! Links to Postgres and Kafka that can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use outbox::config::SpineConfig;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::kafka::{advertised, settings};

/// Forwards connections while it is up; cuts them and refuses new ones while it is down.
pub struct Link {
    up: watch::Sender<bool>,
}

impl Link {
    async fn between(near: &str, far: String) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(near).await.unwrap_or_else(|error| panic!("cannot listen at {near}: {error}"));
        let address = listener.local_addr().unwrap();
        let (up, is_up) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (far, mut is_up) = (far.clone(), is_up.clone());
                tokio::spawn(async move {
                    if !*is_up.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(far).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_up.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        (Self { up }, address)
    }

    /// A link to the server of `pool`, and a pool whose connections pass it.
    pub async fn to_postgres(pool: &PgPool) -> (Self, PgPool) {
        let options = pool.connect_options();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let (link, address) = Self::between("127.0.0.1:0", server).await;
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(1))
            .connect_lazy_with(options.as_ref().clone().host("127.0.0.1").port(address.port()));
        (link, pool)
    }

    /// A link to the broker, and settings of clients that pass it. A broker tells its clients where it is, so the link stands where
    /// it says to those of the other region.
    pub async fn to_kafka() -> (Self, SpineConfig) {
        let (listener, advertised) = advertised();
        let (link, _) = Self::between(&advertised, listener).await;
        (link, SpineConfig { kafka_brokers: advertised, ..settings() })
    }

    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    pub fn mend(&self) {
        self.up.send_replace(true);
    }
}
