//! The trace through the bff. A test binary of its own, because telemetry is process-wide.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use clap::Parser as _;
use support::Rig;

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    service: chassis::config::ServiceConfig,
}

#[tokio::test]
async fn the_callers_trace_reaches_the_service_the_answer_and_the_problem() {
    let flags = ["bff", "--region", "east", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log", "off"];
    let _telemetry = chassis::telemetry::init("bff", &Flags::parse_from(flags).service).unwrap();
    let rig = Rig::new().await;
    let request = |path: &str| {
        let mut request = rig.request("GET", path, "");
        let browser = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        request.headers_mut().insert("traceparent", browser.parse().unwrap());
        request
    };
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";

    let answer = rig.send(request("/v1/carts/c")).await;
    let answered_under = answer.headers()["traceparent"].to_str().unwrap();
    assert!(answered_under.contains(trace_id), "{answered_under}");
    assert_eq!(rig.seen()[0].traceparent.as_deref(), Some(answered_under), "the service is a child of the bff's span");

    rig.fake.refuse(chassis::status::not_found("CART_NOT_FOUND", "no such cart"));
    let (_, problem) = rig.ask(request("/v1/carts/c")).await;
    assert_eq!(problem["trace_id"], trace_id);
    let (_, problem) = rig.ask(request("/nowhere")).await;
    assert_eq!(problem["trace_id"], trace_id);
}
