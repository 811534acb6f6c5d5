//! A link to Postgres that can be cut.

use std::sync::Arc;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections while it is up; cuts them and refuses new ones while it is down.
pub struct Link {
    up: watch::Sender<bool>,
    pool: PgPool,
}

impl Link {
    /// A link to the server of `pool`.
    pub async fn to(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let server = Arc::new(format!("{}:{}", options.get_host(), options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (up, is_up) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, mut is_up) = (server.clone(), is_up.clone());
                tokio::spawn(async move {
                    if !*is_up.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(server.as_str()).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_up.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(1))
            .connect_lazy_with(options.as_ref().clone().host("127.0.0.1").port(port));
        Self { up, pool }
    }

    /// A pool whose connections pass the link.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    pub fn mend(&self) {
        self.up.send_replace(true);
    }
}
