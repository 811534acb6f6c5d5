//! Sends finished spans to an OTLP collector, in batches from a thread of its own.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ids::Region;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use tracing::Metadata;
use tracing::field::{Field, Visit};

use super::Error;
use crate::trace_context::{TRACEPARENT, TraceParent};

/// How long the last batch may take at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a collector may take for one batch before it is dropped. The queue behind is bounded too: a slow collector
/// costs spans, never memory or latency.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A cheap handle on the batching thread.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    processor: Arc<BatchSpanProcessor>,
}

/// A span that is still open: what its export will say besides its identity.
#[derive(Debug)]
pub(super) struct Recorded {
    parent: Option<TraceParent>,
    parent_is_remote: bool,
    name: Cow<'static, str>,
    started_at: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Exporter {
    pub(super) fn new(endpoint: &str, service: &'static str, region: Region) -> Result<Self, Error> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|source| Error::Endpoint { endpoint: endpoint.to_owned(), source })?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("cloud.region", region.name()))
            .build();
        processor.set_resource(&resource);
        Ok(Self { processor: Arc::new(processor) })
    }

    pub(super) fn export(&self, identity: TraceParent, recorded: Recorded) {
        let flags = if identity.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let trace_id = TraceId::from(identity.trace_id);
        let span_id = SpanId::from(identity.span_id);
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace_id, span_id, flags, false, TraceState::NONE),
            parent_span_id: recorded.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id)),
            parent_span_is_remote: recorded.parent_is_remote,
            span_kind: if recorded.parent_is_remote { SpanKind::Server } else { SpanKind::Internal },
            name: recorded.name,
            start_time: recorded.started_at,
            end_time: SystemTime::now(),
            attributes: recorded.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        });
    }

    pub(super) fn shutdown(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!(%error, "last spans were not exported");
        }
    }
}

impl Recorded {
    pub(super) fn start(
        parent: Option<TraceParent>,
        parent_is_remote: bool,
        metadata: &'static Metadata<'static>,
    ) -> Self {
        let name = Cow::Borrowed(metadata.name());
        Self { parent, parent_is_remote, name, started_at: SystemTime::now(), attributes: Vec::new() }
    }
}

impl Visit for Recorded {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            // The span's place in the trace already says it.
            TRACEPARENT => {}
            "name" => self.name = Cow::Owned(value.to_owned()),
            name => self.attributes.push(KeyValue::new(name, value.to_owned())),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.attributes.push(KeyValue::new(field.name(), format!("{value:?}")));
    }
}
