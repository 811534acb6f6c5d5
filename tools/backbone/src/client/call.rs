//! How a call can fail, and trying again. Every call carries an idempotency key, so trying again is always safe.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;

use super::http::TransportError;
use super::view::Problem;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer: whether it was carried out is unknown.
    #[error("no answer")]
    Transport(#[from] TransportError),
    /// An error was answered.
    #[error("refused with {status} {}: {}", problem.code, problem.detail.as_deref().unwrap_or("no detail"))]
    Refused {
        /// Status.
        status: StatusCode,
        /// Body.
        problem: Problem,
        /// From `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the interface promises.
    #[error("an answer to {path} cannot be read")]
    Unreadable {
        /// Of the request.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl CallError {
    /// Whether the same request may do better later: no answer, too many requests, unavailable, out of time.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Unreadable { .. } => false,
        }
    }

    /// Whether the request was understood and declined, so that nothing was and nothing will be done.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.is_client_error()) && !self.is_retryable()
    }

    /// The machine-readable reason, if one was answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }

    /// Why, in words so few that they can be counted.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused { status, problem, .. } => format!("{} {}", status.as_u16(), problem.code),
            Self::Transport(_) => "no answer".to_owned(),
            Self::Unreadable { .. } => "unreadable answer".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// First wait before trying again; doubles, drawn with full jitter.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// Longest wait.
const WAIT_LONGEST: Duration = Duration::from_secs(2);
/// No try begins later than this after the first.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Tries again within bounds, and counts how often it had to.
#[derive(Debug, Default)]
pub struct Retries {
    count: AtomicU64,
}

impl Retries {
    /// How many tries were repeats.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Calls until it succeeds, fails for good, or a minute has passed.
    ///
    /// # Errors
    /// The last [`CallError`].
    pub async fn run<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, CallError> {
        let start = Instant::now();
        let mut longest = WAIT_FIRST;
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let wait = longest.mul_f64(rand::random()).max(error.retry_after().unwrap_or_default()).min(WAIT_LONGEST);
            if !error.is_retryable() || start.elapsed() + wait > GIVE_UP_AFTER {
                return Err(error);
            }
            self.count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
            longest = (longest * 2).min(WAIT_LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> CallError {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        CallError::Refused { status, problem: Problem::default(), retry_after: None }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_and_counted() {
        let retries = Retries::default();
        let mut answers = vec![Ok(7), Err(refused(503)), Err(refused(429))];
        let value = retries.run(|| std::future::ready(answers.pop().unwrap_or(Err(refused(500))))).await;
        assert!(matches!(value, Ok(7)));
        assert_eq!(retries.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_final_is_not_tried_again_and_the_rest_not_for_ever() {
        let retries = Retries::default();
        let refusal = retries.run(|| std::future::ready(Err::<(), _>(refused(409)))).await;
        assert!(refusal.is_err());
        assert_eq!(retries.count(), 0);
        let start = Instant::now();
        let outage = retries.run(|| std::future::ready(Err::<(), _>(refused(503)))).await;
        assert!(outage.is_err());
        assert!(start.elapsed() <= GIVE_UP_AFTER);
    }
}
