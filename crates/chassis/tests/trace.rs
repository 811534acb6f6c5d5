//! One trace across services. A test binary of its own, because telemetry is process-wide.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::time::Duration;

use chassis::trace_context;
use support::{Catalog, Running, config, get, get_offer};
use tracing::Instrument as _;

const PATIENT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_trace_goes_through_two_hops() {
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let last = Catalog::answering(move |_| {
        sender.send(trace_context::current().unwrap()).unwrap();
        async { Ok(1) }
    });
    let _telemetry = chassis::telemetry::init("test", &config(&["--log", "off"])).unwrap();
    let last = Running::start(&last, &config(&[])).await;
    let next = last.dependency();
    let first = Catalog::answering(move |_| {
        let next = next.clone();
        async move { get_offer(&next, PATIENT).await }
    });
    let first = Running::start(&first, &config(&[])).await;
    let from_outside = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let span = trace_context::span_with_parent("a browser", Some(from_outside));
    get_offer(&first.dependency(), PATIENT).instrument(span).await.unwrap();
    let heard = heard.recv().await.unwrap();
    assert_eq!(heard.trace_id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(heard.span_id, 0x00f0_67aa_0ba9_02b7, "a span of its own");
    let (status, metrics) = get(first.admin, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("grpc_server_duration_seconds_count{"), "{metrics}");
    assert!(metrics.contains(r#"method="/catalog.v1.CatalogService/GetOffer""#), "{metrics}");
}
