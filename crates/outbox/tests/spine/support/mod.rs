//! What the scenarios share: topics of their own, a handler whose effects can be counted, patience.

mod handler;
mod kafka;
mod link;
mod running;

pub use handler::{Effects, create_effects, effects};
pub use kafka::{Topic, header, raw_event, settings};
pub use link::Link;
pub use running::{consume, relay};

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Longest wait for something that should happen at once; generous, because the machine may be busy with a build.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Held by who keeps a transaction open for long, and by who looks at what vacuum gives back: an index page is used again only
/// once no transaction of the whole server is older than its end.
pub static LONG_TRANSACTIONS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Waits until `check` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let started = Instant::now();
    while !check().await {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The value of a counter whose label `consumer` is `group`; 0 when it was never touched. Installs the recorder at its
/// first call, so call it before what it measures.
pub fn counter(name: &str, group: &str) -> u64 {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let text = RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).render();
    let of_group = format!("consumer=\"{group}\"");
    text.lines()
        .filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(&of_group))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}

/// A name nobody else has, for as long as the process lives.
pub fn unique(prefix: &str) -> &'static str {
    Box::leak(format!("{prefix}-{}", uuid::Uuid::now_v7().simple()).into_boxed_str())
}
