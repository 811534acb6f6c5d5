//! Background loops: the relay, consumers, expiry, sagas to resume.

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::retry::Backoff;
use crate::trace_context::span_with_parent;

/// A failing worker is started again this soon, then ever more slowly: at most two tries a minute against a broken
/// dependency, and half a second of delay after a hiccup.
const RESTART: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// A worker that ran this long was well; its next failure counts as the first.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Runs `start()` again and again until `token` is cancelled: after an error or a panic with backoff, after a normal end
/// at once only if the token is cancelled too.
///
/// The future itself must end when the token is cancelled; supervision never drops it half-way, so that it can finish the
/// transaction it is in.
pub async fn supervise<Start, Work, Failure>(name: &'static str, token: CancellationToken, mut start: Start)
where
    Start: FnMut() -> Work,
    Work: Future<Output = Result<(), Failure>>,
    Failure: Into<Box<dyn Error + Send + Sync>>,
{
    let mut failures = 0;
    while !token.is_cancelled() {
        let started = Instant::now();
        let span = span_with_parent(name, None);
        let result = AssertUnwindSafe(start()).catch_unwind().instrument(span).await;
        if token.is_cancelled() {
            break;
        }
        failures = if started.elapsed() > HEALTHY_AFTER { 1 } else { failures + 1 };
        let delay = RESTART.delay_now(failures);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(Ok(())) => tracing::warn!(worker = name, delay_ms, "worker ended early, starting it again"),
            Ok(Err(failure)) => {
                let failure = failure.into();
                let error: &(dyn Error + 'static) = &*failure;
                tracing::error!(worker = name, error, delay_ms, "worker failed, starting it again");
            }
            // The panic hook has logged where and why.
            Err(_) => tracing::error!(worker = name, delay_ms, "worker panicked, starting it again"),
        }
        metrics::counter!("worker_restarts_total", "worker" => name).increment(1);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = token.cancelled() => {}
        }
    }
    tracing::debug!(worker = name, "worker stopped");
}

/// [`supervise`] in a task of its own.
pub fn spawn<Start, Work, Failure>(name: &'static str, token: CancellationToken, start: Start) -> JoinHandle<()>
where
    Start: FnMut() -> Work + Send + 'static,
    Work: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    tokio::spawn(supervise(name, token, start))
}

/// The workers of one service, stopped together after the server has drained.
#[derive(Debug, Default)]
pub struct Workers {
    token: CancellationToken,
    tasks: JoinSet<()>,
}

impl Workers {
    /// No workers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled by [`Workers::stop`].
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a supervised worker; `start` gets the token on which the work must end.
    pub fn spawn<Start, Work, Failure>(&mut self, name: &'static str, mut start: Start)
    where
        Start: FnMut(CancellationToken) -> Work + Send + 'static,
        Work: Future<Output = Result<(), Failure>> + Send + 'static,
        Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let token = self.token.clone();
        self.tasks.spawn(supervise(name, self.token.clone(), move || start(token.clone())));
    }

    /// Tells all workers to end and waits for them, at most `grace`; then drops them where they are. What they do is
    /// transactional, so being dropped is like being killed: it is done again at the next start.
    pub async fn stop(mut self, grace: Duration) {
        self.token.cancel();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            tracing::warn!(workers = self.tasks.len(), "workers did not end in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_fails_or_panics_is_started_again_and_ends_when_told() {
        let starts = Arc::new(AtomicU32::new(0));
        let mut workers = Workers::new();
        let counted = Arc::clone(&starts);
        workers.spawn("test", move |token| {
            let start = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match start {
                    0 => Err("a failed dependency"),
                    1 => panic!("a bug"),
                    _ => {
                        token.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        tokio::time::sleep(RESTART.max).await;
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        workers.stop(Duration::from_secs(1)).await;
        assert_eq!(starts.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn stop_does_not_wait_for_ever() {
        let mut workers = Workers::new();
        workers.spawn("deaf", |_| std::future::pending::<Result<(), String>>());
        tokio::task::yield_now().await;
        workers.stop(Duration::from_millis(10)).await;
    }
}
