//! Spans reach a collector. A test binary of its own, because telemetry is process-wide.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::time::Duration;

use chassis::trace_context::span_with_parent;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use support::{Catalog, Running, config, get_offer};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

struct Collector(UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        for span in resources.into_iter().flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans) {
            self.0.send(span).unwrap();
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_a_request_are_exported_under_the_callers_trace() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut spans) = unbounded_channel();
    let collector = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(collector.serve_with_incoming(TcpListenerStream::new(listener)));

    let settings = config(&["--log", "off", "--otlp-endpoint", &endpoint]);
    let telemetry = chassis::telemetry::init("test", &settings).unwrap();
    let catalog = Running::start(&Catalog::answering(async |_| Ok(1)), &settings).await;
    let browser = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = get_offer(&catalog.dependency(), Duration::from_secs(5))
        .instrument(span_with_parent("POST /v1/orders", Some(browser)))
        .await;
    call.unwrap();
    tokio::task::spawn_blocking(|| telemetry.flush()).await.unwrap();

    let mut exported = Vec::new();
    while let Ok(span) = spans.try_recv() {
        exported.push(span);
    }
    let find = |name: &str| exported.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{exported:?}"));
    let (outer, inner) = (find("POST /v1/orders"), find("/catalog.v1.CatalogService/GetOffer"));
    let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    assert_eq!((&outer.trace_id[..], &inner.trace_id[..]), (&trace_id[..], &trace_id[..]));
    assert_eq!(outer.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(inner.parent_span_id, outer.span_id);
}
