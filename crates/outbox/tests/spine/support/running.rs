//! A relay or consumer that runs until the test stops it.

use std::future::Future;

use ids::Region;
use outbox::config::SpineConfig;
use outbox::{Consumer, Relay, SpineError};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Effects, Topic};

pub struct Running {
    token: CancellationToken,
    task: JoinHandle<Result<(), SpineError>>,
}

impl Running {
    fn start<Work>(work: impl FnOnce(CancellationToken) -> Work) -> Self
    where
        Work: Future<Output = Result<(), SpineError>> + Send + 'static,
    {
        let token = CancellationToken::new();
        Self { task: tokio::spawn(work(token.clone())), token }
    }

    /// Ends it the way a service does.
    pub async fn stop(self) {
        self.token.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it the way `kill -9` does: whatever it was doing stays half done.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

pub fn relay(pool: &PgPool, settings: &SpineConfig) -> Running {
    let relay = Relay::new(pool.clone(), settings, Region::East, "test");
    Running::start(|token| async move { relay.run(token).await })
}

/// A consumer of region east that records its effects.
pub fn consume(pool: &PgPool, settings: &SpineConfig, group: &'static str, topic: Topic) -> Running {
    let handler = Effects { topics: Box::leak(Box::new([topic.0])) };
    let consumer = Consumer::new(pool.clone(), settings, Region::East, group, handler);
    Running::start(|token| async move { consumer.run(token).await })
}
