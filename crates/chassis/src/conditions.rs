//! What a service cannot do just now, though it runs and answers: a consumer that refuses to start, one whose events wait, a worker that
//! fails whenever it is started.
//!
//! Readiness is about requests: a service whose consumer stands still still answers them, and taking it out of the balancer
//! would make one fault two. So each such part has a condition of its own, under a name such as `consumer/payment`. It is told
//! in three places: `grpc.health.v1` of that name, the admin port's `/conditions`, which `backbone status` shows, and the gauge
//! `condition_unwell`. Like the metrics, conditions belong to the process.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Gauge, 0 or 1, by `part`: 1 while the part cannot do its work.
pub const UNWELL: &str = "condition_unwell";
/// Longest reason in bytes; it is for a human, on one line.
const WHY_BYTES_MAX: usize = 600;

/// Each part that has ever said how it is, and why it is not well; none when it is.
type Conditions = BTreeMap<String, Option<String>>;

static CONDITIONS: LazyLock<watch::Sender<Conditions>> = LazyLock::new(|| watch::Sender::new(Conditions::new()));

/// The part cannot do its work, for this reason: where it stands and what to do, without payload.
pub fn report(part: &str, why: &str) {
    let line: String = why.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    set(part, Some(line[..line.floor_char_boundary(WHY_BYTES_MAX)].to_owned()));
}

/// The part does its work.
pub fn clear(part: &str) {
    set(part, None);
}

/// Why the part is not well; none when it is, or has never said.
pub fn of(part: &str) -> Option<String> {
    CONDITIONS.borrow().get(part).cloned().flatten()
}

fn set(part: &str, why: Option<String>) {
    metrics::gauge!(UNWELL, "part" => part.to_owned()).set(if why.is_some() { 1.0 } else { 0.0 });
    CONDITIONS.send_if_modified(|all| all.insert(part.to_owned(), why.clone()) != Some(why));
}

/// A line for each part that is not well: `consumer/payment: …`.
pub(crate) fn lines() -> String {
    let unwell = |(part, why): (&String, &Option<String>)| why.as_ref().map(|why| format!("{part}: {why}\n"));
    CONDITIONS.borrow().iter().filter_map(unwell).collect()
}

/// Tells the health service about every part, until `shutdown` is cancelled.
pub(crate) async fn tell(health: HealthReporter, shutdown: CancellationToken) {
    let mut changes = CONDITIONS.subscribe();
    loop {
        let now = changes.borrow_and_update().clone();
        for (part, why) in now {
            let serving = if why.is_some() { ServingStatus::NotServing } else { ServingStatus::Serving };
            health.set_service_status(part, serving).await;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_well_is_one_line_until_it_is() {
        report("consumer/told", "stands\nstill");
        assert!(lines().contains("consumer/told: stands still\n"));
        clear("consumer/told");
        assert!(!lines().contains("consumer/told"));
        assert_eq!(of("consumer/told"), None);
    }
}
