//! The Prometheus recorder behind the `metrics` macros.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use ids::Region;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Upper bounds in seconds. They bracket what is promised (an add in tens of milliseconds, a checkout under 100 ms).
const LATENCY_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Histograms keep raw samples until they are folded into buckets; every 5 s bounds that memory whether anyone scrapes
/// or not.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The `metrics` macros write to a process-wide recorder, so its handle is process-wide as well.
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

pub(super) fn install(service: &'static str, region: Region) -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&LATENCY_BUCKETS)?
        .add_global_label("service", service)
        .add_global_label("region", region.name())
        .install_recorder()?;
    // Two processes of a service share the admin port while one takes over from the other; by this, which Prometheus' own client libraries
    // also export, whoever adds up counters tells them apart.
    let started_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("process_start_time_seconds").set(started_at.as_secs_f64());
    let upkeep = HANDLE.get_or_init(|| handle).clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(())
}

/// Everything recorded, in Prometheus' text format; empty before [`super::init`].
pub(crate) fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}
