//! Whether a consumer makes progress, and what it says when it does not: its condition, its gauges, its log.

use std::time::Duration;

use chassis::conditions;
use tokio::time::Instant;

use super::parked::Parked;
use crate::telemetry;

/// What waits longer than this is said aloud. A leader election or the restart of a database is over by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a truncation stays in the condition after it was noticed; it is noticed again as long as it lasts.
const TRUNCATION_SHOWN: Duration = Duration::from_secs(15 * 60);

/// What a consumer says about itself.
pub(super) struct Standing {
    group: &'static str,
    /// Since when a dependency is away.
    stalled_since: Option<Instant>,
    /// What the broker lost, and when that was noticed.
    truncated: Option<(Instant, String)>,
    /// What was said is said once.
    said: Option<String>,
}

/// The name of a consumer's condition: `consumer/payment`.
pub(super) fn part(group: &str) -> String {
    format!("consumer/{group}")
}

impl Standing {
    /// A consumer that has just begun.
    pub(super) fn new(group: &'static str) -> Self {
        let standing = Self { group, stalled_since: None, truncated: None, said: None };
        conditions::clear(&part(group));
        standing
    }

    /// A dependency is away.
    pub(super) fn stalled(&mut self, place: &str, reason: &str) {
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE {
            self.say(Some(("stall", format!("stands still at {place}: {reason}"))));
        }
    }

    /// A partition lost its end.
    pub(super) fn truncated(&mut self, what: String) {
        self.truncated = Some((Instant::now(), what));
    }

    /// After each turn: what waits, if anything does.
    pub(super) fn turned(&mut self, parked: &Parked) {
        self.stalled_since = None;
        let oldest = parked.oldest();
        let age = oldest.map_or(Duration::ZERO, |waiting| waiting.since.elapsed());
        metrics::gauge!(telemetry::PARKED, "consumer" => self.group).set(parked.records() as f64);
        metrics::gauge!(telemetry::PARKED_AGE, "consumer" => self.group).set(age.as_secs_f64());
        if self.truncated.as_ref().is_some_and(|(at, _)| at.elapsed() >= TRUNCATION_SHOWN) {
            self.truncated = None;
        }
        let waits = oldest.filter(|_| age >= PATIENCE).and_then(|waiting| {
            let place = waiting.items.front()?.place();
            let still = if parked.is_full() { "; nothing else goes on, too much waits" } else { "" };
            let keys = parked.keys();
            Some((
                "wait",
                format!("{place} and {} more of {keys} keys wait{still}: {}", parked.records() - 1, waiting.reason),
            ))
        });
        self.say(waits.or_else(|| Some(("truncation", self.truncated.as_ref()?.1.clone()))));
    }

    /// Tells the condition, and once for each kind the log.
    fn say(&mut self, unwell: Option<(&'static str, String)>) {
        match unwell {
            None => {
                if self.said.take().is_some() {
                    tracing::info!(consumer = self.group, "goes on");
                    conditions::clear(&part(self.group));
                }
            }
            Some((kind, why)) => {
                if self.said.as_deref() != Some(kind) {
                    tracing::error!(consumer = self.group, why, "{}", advice(kind));
                    self.said = Some(kind.to_owned());
                }
                conditions::report(&part(self.group), &why);
            }
        }
    }
}

/// What to do about it.
fn advice(kind: &str) -> &'static str {
    match kind {
        "stall" => "no progress: the consumer waits for a dependency; bring it back, nothing else is needed",
        "wait" => {
            "no progress of a key: end what holds its row (pg_blocking_pids) or let the dead-letter topic take the letter \
             (its max.message.bytes, its access rights)"
        }
        _ => "the broker lost the end of its log: what it lost for all comes back with `backbone events replay`",
    }
}
