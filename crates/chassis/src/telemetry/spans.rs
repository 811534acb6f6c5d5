//! Gives every span its W3C identity, and hands finished spans to the exporter when there is one.

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::export::{Exporter, Recorded};
use crate::trace_context::TraceParent;

/// The layer. Without an exporter a span costs a random number and 32 bytes.
pub(super) struct SpanIdentity {
    exporter: Option<Exporter>,
}

impl SpanIdentity {
    pub(super) const fn new(exporter: Option<Exporter>) -> Self {
        Self { exporter }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanIdentity {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let remote = RemoteParent::of(attributes);
        let local = span.parent().and_then(|parent| parent.extensions().get::<TraceParent>().copied());
        let parent = remote.or(local);
        let identity = parent.map_or_else(TraceParent::root, TraceParent::child);
        let mut extensions = span.extensions_mut();
        extensions.insert(identity);
        if self.exporter.is_some() && identity.sampled {
            let mut recorded = Recorded::start(parent, remote.is_some(), attributes.metadata());
            attributes.record(&mut recorded);
            extensions.insert(recorded);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.exporter.is_none() {
            return;
        }
        if let Some(span) = context.span(id)
            && let Some(recorded) = span.extensions_mut().get_mut::<Recorded>()
        {
            values.record(recorded);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(exporter) = &self.exporter else { return };
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        if let (Some(recorded), Some(identity)) = (extensions.remove::<Recorded>(), extensions.get_mut::<TraceParent>())
        {
            exporter.export(*identity, recorded);
        }
    }
}

/// Finds the field `traceparent` among a new span's fields.
#[derive(Default)]
struct RemoteParent(Option<TraceParent>);

impl RemoteParent {
    fn of(attributes: &Attributes<'_>) -> Option<TraceParent> {
        attributes.fields().field(crate::trace_context::TRACEPARENT)?;
        let mut found = Self::default();
        attributes.record(&mut found);
        found.0
    }
}

impl Visit for RemoteParent {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == crate::trace_context::TRACEPARENT {
            self.0 = value.parse().ok();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
