//! One JSON object per log line, with the trace id at its top level. Warnings and errors that say the same again are counted ([`repeats`]).
//!
//! [`repeats`]: super::repeats

use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ids::Region;
use serde::ser::{SerializeMap as _, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::causes::causes;
use super::repeats::{Repeats, Verdict};
use crate::trace_context::TraceParent;

/// Fields that grow or vary while the same thing is said.
const VARYING: [&str; 9] =
    ["attempt", "attempts", "failures", "tries", "turns", "delay", "delay_ms", "elapsed_ms", "elapsed"];
/// The target of a line that only counts others; it is not counted itself.
const COUNTS: &str = "repeats";
/// How often counts that nobody came to write are written.
const WRITE_COUNTS_EVERY: Duration = Duration::from_secs(10);

/// There is one log in a process.
static REPEATS: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

/// Writes the counts of what did not come again, until the runtime ends.
pub(super) async fn write_counts() {
    loop {
        tokio::time::sleep(WRITE_COUNTS_EVERY).await;
        let overdue = REPEATS.lock().unwrap_or_else(PoisonError::into_inner).overdue(Instant::now());
        for (of, repeats) in overdue {
            tracing::warn!(target: COUNTS, repeats, of, "was said again");
        }
    }
}

/// Formats events. A line written outside any request carries the trace id of the process itself, made at its start, so
/// that every line has one and the lines of one start-up belong together.
pub(super) struct JsonLine {
    service: &'static str,
    region: Region,
    process: TraceParent,
}

impl JsonLine {
    pub(super) fn new(service: &'static str, region: Region) -> Self {
        Self { service, region, process: TraceParent::root() }
    }

    fn write_json(
        &self,
        event: &Event<'_>,
        identity: TraceParent,
        repeats: u64,
        line: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let mut time = String::with_capacity(32);
        // Writing to a string cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let metadata = event.metadata();
        let mut serializer = serde_json::Serializer::new(line);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &time)?;
        map.serialize_entry("level", metadata.level().as_str())?;
        map.serialize_entry("service", self.service)?;
        map.serialize_entry("region", self.region.name())?;
        map.serialize_entry("trace_id", &format_args!("{:032x}", identity.trace_id))?;
        map.serialize_entry("span_id", &format_args!("{:016x}", identity.span_id))?;
        map.serialize_entry("target", metadata.target())?;
        if repeats > 0 {
            map.serialize_entry("repeats", &repeats)?;
        }
        let mut fields = Fields { map, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        fields.map.end()
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let span = context.event_scope().and_then(|mut scope| scope.next());
        let identity = span.and_then(|span| span.extensions().get::<TraceParent>().copied()).unwrap_or(self.process);
        let Verdict::Write(repeats) = verdict(event, identity) else { return Ok(()) };
        let mut line = Vec::with_capacity(256);
        self.write_json(event, identity, repeats, &mut line).map_err(|_| fmt::Error)?;
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)?;
        writer.write_char('\n')
    }
}

/// Whether to write the line. What a request was told is in the log under its trace id (an error) is there under each; a warning that many
/// requests cause is one trouble.
fn verdict(event: &Event<'_>, identity: TraceParent) -> Verdict {
    let metadata = event.metadata();
    if *metadata.level() > Level::WARN || metadata.target() == COUNTS {
        return Verdict::Write(0);
    }
    let mut said = Said { hasher: DefaultHasher::new(), text: String::new() };
    metadata.callsite().hash(&mut said.hasher);
    if *metadata.level() == Level::ERROR {
        identity.trace_id.hash(&mut said.hasher);
    }
    event.record(&mut said);
    let Said { hasher, text } = said;
    REPEATS.lock().unwrap_or_else(PoisonError::into_inner).line(hasher.finish(), || text, Instant::now())
}

/// What a line says, without what varies.
struct Said {
    hasher: DefaultHasher,
    text: String,
}

impl Visit for Said {
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", causes(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if VARYING.contains(&field.name()) {
            return;
        }
        let value = format!("{value:?}");
        (field.name(), &value).hash(&mut self.hasher);
        let separator = if self.text.is_empty() { "" } else { ", " };
        self.text.push_str(&match field.name() {
            "message" => format!("{separator}{value}"),
            name => format!("{separator}{name} {value}"),
        });
    }
}

struct Fields<M: serde::ser::SerializeMap> {
    map: M,
    result: Result<(), M::Error>,
}

impl<M: serde::ser::SerializeMap> Fields<M> {
    fn entry<V: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &V) {
        if self.result.is_ok() {
            self.result = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: serde::ser::SerializeMap> Visit for Fields<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.entry(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.entry(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.entry(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.entry(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.entry(field, &format_args!("{}", causes(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.entry(field, &format_args!("{value:?}"));
    }
}

/// Spans carry identity, not text: formatting their fields for each request would cost more than the log is worth.
pub(super) struct NoSpanFields;

impl FormatFields<'_> for NoSpanFields {
    fn format_fields<R: RecordFields>(&self, _: Writer<'_>, _: R) -> fmt::Result {
        Ok(())
    }
}

#[cfg(test)]
#[path = "log_line_tests.rs"]
mod tests;
