//! The open-loop writers: requests are sent when they are due, however the earlier ones do, and latency counts from then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ids::Region;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::history::{History, Operation};
use super::plan::Arrival;
use crate::client::CallError;
use crate::shared_cart::{Carts, Filled, Kind, Past};

/// A request without a clear answer is repeated under its key for so long; its outcome is unknown then.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Longest wait before a repeat; doubles from a sixteenth of it, drawn with full jitter.
const WAIT_LONGEST: Duration = Duration::from_secs(1);

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done; what its region had seen then.
    Acknowledged(Past),
    /// Rightly refused: a set of a line that somebody has removed. Nothing changed.
    NothingToSet,
    /// Refused for another reason. Nothing changed.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One request and how it ended.
#[derive(Clone, Debug)]
pub struct Written {
    /// The request.
    pub arrival: Arrival,
    /// Where.
    pub region: Region,
    /// How it ended.
    pub outcome: Outcome,
    /// Every answer on the way that was none, by reason. Without any, the first try was answered as it should be.
    pub errors: BTreeMap<String, usize>,
    /// From when it was due to its answer.
    pub latency: Duration,
}

/// How far the writers are, for whoever shows progress.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests answered.
    pub answered: AtomicUsize,
    /// Answers that were none.
    pub errors: AtomicUsize,
}

/// Sends each request of one region when it is due from `start` on. Returns all of them, answered.
///
/// In flight are at most those due in the 90 s that a request may take in all (a try of 30 s may begin after
/// [`GIVE_UP_AFTER`]).
///
/// # Errors
/// A writer panicked.
pub async fn write(
    carts: Carts,
    region: Region,
    arrivals: Vec<Arrival>,
    start: Instant,
    tally: Arc<Tally>,
) -> Result<Vec<Written>, JoinError> {
    let mut written = Vec::with_capacity(arrivals.len());
    let mut in_flight = JoinSet::new();
    for (number, arrival) in arrivals.into_iter().enumerate() {
        tokio::time::sleep_until(start + arrival.due).await;
        let (carts, tally) = (carts.clone(), tally.clone());
        in_flight.spawn(async move {
            // Also unique between the regions: keys are the cart's.
            let key = format!("drill/{region}/{number}");
            let (outcome, errors) =
                until_answered(arrival, || carts.change(region, arrival.line, arrival.kind, &key)).await;
            tally.answered.fetch_add(1, Ordering::Relaxed);
            tally.errors.fetch_add(errors.values().sum(), Ordering::Relaxed);
            Written { arrival, region, outcome, errors, latency: (start + arrival.due).elapsed() }
        });
        while let Some(finished) = in_flight.try_join_next() {
            written.push(finished?);
        }
    }
    while let Some(finished) = in_flight.join_next().await {
        written.push(finished?);
    }
    Ok(written)
}

/// Repeats a call while its outcome is unknown.
async fn until_answered<F: Future<Output = Result<String, CallError>>>(
    arrival: Arrival,
    call: impl Fn() -> F,
) -> (Outcome, BTreeMap<String, usize>) {
    let (begin, mut errors, mut longest) = (Instant::now(), BTreeMap::new(), WAIT_LONGEST / 16);
    loop {
        let why = match call().await.map(|version| Past::of_version(&version)) {
            Ok(Ok(past)) => return (Outcome::Acknowledged(past), errors),
            Ok(Err(error)) => error.to_string(),
            Err(error) if error.code() == Some("LINE_NOT_FOUND") && matches!(arrival.kind, Kind::Set(_)) => {
                return (Outcome::NothingToSet, errors);
            }
            Err(error) => {
                let reason = error.reason();
                if error.is_refusal() {
                    *errors.entry(reason).or_default() += 1;
                    return (Outcome::Refused, errors);
                }
                reason
            }
        };
        *errors.entry(why).or_default() += 1;
        if begin.elapsed() > GIVE_UP_AFTER {
            return (Outcome::Unknown, errors);
        }
        tokio::time::sleep(longest.mul_f64(rand::random())).await;
        longest = (longest * 2).min(WAIT_LONGEST);
    }
}

/// The history that the judges get: what was acknowledged, and the lines about which nobody knows.
pub fn history(filled: Vec<Filled>, written: &[Written]) -> History {
    let beforehand = |Filled { line, kind, past }| {
        let (due, acknowledged) = (Duration::ZERO, Duration::ZERO);
        Operation { line, region: Region::East, kind, past, due, acknowledged }
    };
    let mut history = History { operations: filled.into_iter().map(beforehand).collect(), ..History::default() };
    for Written { arrival, region, outcome, latency, .. } in written {
        let Arrival { due, line, kind } = *arrival;
        match outcome {
            Outcome::Acknowledged(past) => history.operations.push(Operation {
                line,
                region: *region,
                kind,
                past: past.clone(),
                due,
                acknowledged: due + *latency,
            }),
            Outcome::NothingToSet | Outcome::Refused => {}
            Outcome::Unknown => {
                history.unknown.insert(line);
            }
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use hyper::StatusCode;

    use super::*;
    use crate::client::view::Problem;
    use crate::shared_cart::LineId;

    fn refused(status: u16, code: &str) -> CallError {
        let problem = Problem { code: code.to_owned(), ..Problem::default() };
        CallError::Refused { status: StatusCode::from_u16(status).unwrap_or_default(), problem, retry_after: None }
    }

    /// The outcome of a request that is answered so, the last answer first and again and again.
    async fn outcome(kind: Kind, answers: Vec<Result<String, CallError>>) -> (Outcome, usize) {
        let arrival = Arrival { due: Duration::ZERO, line: LineId { cart: 0, offer: 0 }, kind };
        let answers = RefCell::new(answers);
        let answer = || std::future::ready(answers.borrow_mut().pop().unwrap_or_else(|| Err(refused(503, "DOWN"))));
        let (outcome, errors) = until_answered(arrival, answer).await;
        (outcome, errors.values().sum())
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_outcome_is_asked_about_until_it_is_known_and_each_try_is_counted() {
        let version = "AQAA".to_owned();
        let answers = vec![Ok(version), Err(refused(500, "INTERNAL")), Err(refused(503, "CART_CONTENDED"))];
        let (outcome, errors) = outcome(Kind::Add(1), answers).await;
        assert!(matches!(outcome, Outcome::Acknowledged(_)) && errors == 2, "{outcome:?} {errors}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_set_may_find_nothing() {
        let missing = || vec![Err(refused(404, "LINE_NOT_FOUND"))];
        assert!(matches!(outcome(Kind::Set(1), missing()).await, (Outcome::NothingToSet, 0)));
        assert!(matches!(outcome(Kind::Add(1), missing()).await, (Outcome::Refused, 1)));
        assert!(matches!(
            outcome(Kind::Set(1), vec![Err(refused(404, "CART_NOT_FOUND"))]).await,
            (Outcome::Refused, 1)
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_never_answered_stays_unknown_and_says_so() {
        let (outcome, errors) = outcome(Kind::Remove, Vec::new()).await;
        assert!(matches!(outcome, Outcome::Unknown) && errors > 10, "{errors}");
        let arrival = Arrival { due: Duration::ZERO, line: LineId { cart: 3, offer: 4 }, kind: Kind::Remove };
        let (errors, latency) = (BTreeMap::new(), Duration::ZERO);
        let written = Written { arrival, region: Region::East, outcome, errors, latency };
        let history = history(Vec::new(), &[written]);
        assert!(history.operations.is_empty() && history.unknown.contains(&arrival.line));
    }
}
