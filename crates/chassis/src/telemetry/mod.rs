//! Logs, spans and metrics of a process.
//!
//! One small layer ([`spans`]) gives every span its W3C identity, which the log line format ([`log_line`]), outgoing calls
//! and the OTLP export ([`export`]) all take from there: the trace id in a log line is the one in the trace viewer.

mod bounded_output;
mod causes;
mod clock;
mod export;
mod log_line;
mod metrics;
mod repeats;
mod spans;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::bounded_output::BoundedOutput;
use self::export::Exporter;
use self::log_line::JsonLine;
use self::spans::SpanIdentity;
use crate::config::ServiceConfig;
use crate::trace_context;

pub use self::causes::{Causes, causes};
pub(crate) use self::metrics::render as render_metrics;

/// Why telemetry could not start. Nothing else has started then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter does not parse.
    #[error("invalid log filter \"{filter}\"")]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The OTLP endpoint is not usable.
    #[error("invalid OTLP endpoint \"{endpoint}\"")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// What is wrong with it.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The metrics recorder could not be made.
    #[error("metrics recorder failed")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// It was started before in this process.
    #[error("telemetry was already initialised")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Running telemetry. Keep it until the end of main, then [`Telemetry::flush`].
#[derive(Debug)]
#[must_use = "flush it at the end, or the last spans are lost"]
pub struct Telemetry {
    exporter: Option<Exporter>,
}

/// Starts logs, spans and metrics for `service`. Call it inside the runtime, before anything else.
///
/// # Errors
/// [`Error`].
pub fn init(service: &'static str, config: &ServiceConfig) -> Result<Telemetry, Error> {
    let filter = filter(&config.log).map_err(|source| Error::Filter { filter: config.log.clone(), source })?;
    let exporter =
        config.otlp_endpoint.as_deref().map(|endpoint| Exporter::new(endpoint, service, config.region)).transpose()?;
    metrics::install(service, config.region)?;
    tracing_subscriber::registry()
        .with(filter)
        .with(SpanIdentity::new(exporter.clone()))
        .with(
            tracing_subscriber::fmt::layer()
                .event_format(JsonLine::new(service, config.region))
                .with_writer(BoundedOutput::stdout())
                .fmt_fields(log_line::NoSpanFields),
        )
        .try_init()?;
    log_panics();
    tokio::spawn(log_line::write_counts());
    tokio::spawn(clock::watch());
    Ok(Telemetry { exporter })
}

impl Telemetry {
    /// Sends what has not been exported yet; waits a few seconds at most. Logs are written as they come.
    pub fn flush(self) {
        if let Some(exporter) = self.exporter {
            exporter.shutdown();
        }
    }
}

/// The configured filter, which must not switch off the spans that carry the trace, not even with `off`.
fn filter(configured: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{configured},{}=error", trace_context::TARGET))
}

/// Panics go to the log like any other error, on one line with the trace id.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let reason = panic.payload_as_str().unwrap_or("no message");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, reason, "panicked");
    }));
}
