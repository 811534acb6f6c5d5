//! What every service shares, so that fixing it once fixes it everywhere.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`config`] | settings every service has, from flags and environment |
//! | [`telemetry`] | JSON logs with the trace id on each line, spans over OTLP, Prometheus metrics |
//! | [`trace_context`] | W3C trace context: read it, carry it on, start a span under it |
//! | [`deadline`] | how long the current request may still take |
//! | [`status`] | gRPC errors with google.rpc details: build them, read them |
//! | [`server`] | gRPC and HTTP servers: deadline, load shedding, health, drain |
//! | [`client`] | calls to other services: deadline, retries with a budget, circuit breaker |
//! | [`retry`], [`breaker`] | the pure rules behind the calls; they take `now` |
//! | [`migrate`] | applies a service's migrations |
//! | [`workers`] | background loops that restart after a failure and end on shutdown |
//! | [`conditions`] | what a service cannot do just now, though it runs |
//! | [`shutdown`] | SIGTERM and SIGINT as a cancellation token |

pub mod breaker;
pub mod client;
pub mod conditions;
pub mod config;
pub mod database;
pub mod deadline;
pub mod migrate;
pub mod retry;
pub mod server;
pub mod shutdown;
pub mod status;
pub mod telemetry;
pub mod trace_context;
pub mod workers;
