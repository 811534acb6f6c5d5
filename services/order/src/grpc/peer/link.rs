//! Whether the other region's order service answers.
//!
//! It is asked for its health twice a second. Silence for two seconds means that the link is down: four questions in a row, each with
//! a second to be answered in, which is many round trips of any link that is worth having. Shorter would take a restart over there for
//! a cut; longer keeps shoppers here waiting for a region that is gone.

use std::time::Duration;

use chassis::client::Dependency;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::domain::Link;

const ASK_EVERY: Duration = Duration::from_millis(500);
const ANSWER_MAX: Duration = Duration::from_secs(1);
const DOWN_AFTER: Duration = Duration::from_secs(2);

/// What is known of the link. Pure: the time comes in.
#[derive(Debug, Clone, Copy)]
struct Observed {
    answered_at: Instant,
}

impl Observed {
    /// Nothing is known yet; counts as an answer, so that a start is no cut.
    const fn starting(now: Instant) -> Self {
        Self { answered_at: now }
    }

    fn link(self, now: Instant) -> Link {
        if now.saturating_duration_since(self.answered_at) >= DOWN_AFTER { Link::Down } else { Link::Up }
    }
}

/// Asks until `token` is cancelled, and tells `link`.
pub async fn watch(orders: &Dependency, link: &watch::Sender<Link>, token: CancellationToken) {
    let mut observed = Observed::starting(Instant::now());
    while !token.is_cancelled() {
        let asked_at = Instant::now();
        let answer = HealthClient::new(orders.channel());
        if asked(answer).await {
            observed.answered_at = Instant::now();
        }
        let now = observed.link(Instant::now());
        let has_changed = link.send_if_modified(|known| std::mem::replace(known, now) != now);
        if has_changed {
            tracing::warn!(is_down = now == Link::Down, "the link to the other region's orders changed");
        }
        metrics::gauge!("order_peer_up").set(if now == Link::Up { 1.0 } else { 0.0 });
        tokio::select! {
            () = tokio::time::sleep_until(asked_at + ASK_EVERY) => {}
            () = token.cancelled() => {}
        }
    }
}

/// Whether it answered; whatever it said of its health, it can be reached.
async fn asked(mut client: HealthClient<chassis::client::DependencyChannel>) -> bool {
    let asked = client.check(HealthCheckRequest { service: String::new() });
    matches!(tokio::time::timeout(ANSWER_MAX, asked).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lasting_silence_is_a_cut() {
        let start = Instant::now();
        let observed = Observed::starting(start);
        assert_eq!(observed.link(start), Link::Up);
        assert_eq!(observed.link(start + DOWN_AFTER - Duration::from_millis(1)), Link::Up);
        assert_eq!(observed.link(start + DOWN_AFTER), Link::Down);
        let answered = Observed { answered_at: start + DOWN_AFTER };
        assert_eq!(answered.link(start + DOWN_AFTER), Link::Up);
    }
}
