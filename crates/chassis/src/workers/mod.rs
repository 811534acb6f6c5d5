//! Background loops: the relay, consumers, expiry, sagas to resume.

mod standing;

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::standing::Standing;
use crate::retry::Backoff;
use crate::telemetry::causes;
use crate::trace_context::span_with_parent;

/// A failing worker is started again this soon, then ever more slowly: at most two tries a minute against a broken
/// dependency, and half a second of delay after a hiccup.
const RESTART: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// A worker that ran this long was well; its next failure counts as the first.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Runs `start()` again and again until `token` is cancelled: after an error or a panic with backoff, after a normal end
/// at once only if the token is cancelled too. A worker that gets nowhere is a condition of its service, `worker/<name>`.
///
/// The future itself must end when the token is cancelled; supervision never drops it half-way, so that it can finish the
/// transaction it is in.
pub async fn supervise<Start, Work, Failure>(name: &'static str, token: CancellationToken, mut start: Start)
where
    Start: FnMut() -> Work,
    Work: Future<Output = Result<(), Failure>>,
    Failure: Into<Box<dyn Error + Send + Sync>>,
{
    let mut standing = Standing::new(name);
    while !token.is_cancelled() {
        let span = span_with_parent(name, None);
        let mut work = pin!(AssertUnwindSafe(start()).catch_unwind().instrument(span));
        let result = tokio::select! {
            result = &mut work => result,
            () = tokio::time::sleep(HEALTHY_AFTER) => {
                standing.well();
                work.await
            }
        };
        if token.is_cancelled() {
            break;
        }
        let result = result.map(|ended| ended.map_err(Into::into));
        let failures = standing.failed(&why(&result), Instant::now());
        let delay = RESTART.delay_now(failures);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(Ok(())) => tracing::warn!(worker = name, delay_ms, "worker ended early, starting it again"),
            Ok(Err(failure)) => {
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

/// How a worker ended: well or with an error; or it panicked, with whatever it threw.
type Ended = std::thread::Result<Result<(), Box<dyn Error + Send + Sync>>>;

/// Why it has to be started again, for a human.
fn why(ended: &Ended) -> String {
    match ended {
        Ok(Ok(())) => "ended early".to_owned(),
        Ok(Err(failure)) => {
            let error: &(dyn Error + 'static) = &**failure;
            causes(error).to_string()
        }
        Err(_) => "panicked; its log says where".to_owned(),
    }
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

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_gets_nowhere_is_a_condition_until_it_has_gone_on_well() {
        let told = || crate::conditions::of("worker/stuck");
        let is_mended = Arc::new(AtomicU32::new(0));
        let mended = Arc::clone(&is_mended);
        let mut workers = Workers::new();
        workers.spawn("stuck", move |token| {
            let mended = Arc::clone(&mended);
            async move {
                if mended.load(Ordering::SeqCst) == 0 {
                    return Err(std::io::Error::other("read-only transaction"));
                }
                token.cancelled().await;
                Ok(())
            }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(told(), None, "too soon");
        tokio::time::sleep(4 * RESTART.max).await;
        let why = told().unwrap();
        assert!(why.starts_with("failed ") && why.ends_with("last: read-only transaction"), "{why}");
        is_mended.store(1, Ordering::SeqCst);
        // It is started again, and runs.
        tokio::time::sleep(RESTART.max + HEALTHY_AFTER + Duration::from_secs(1)).await;
        assert_eq!(told(), None);
        workers.stop(Duration::from_secs(1)).await;
    }
}
