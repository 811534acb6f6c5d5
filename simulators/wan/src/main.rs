//! The link between the regions as a process.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use wan::config::Arguments;
use wan::{Link, control, forward};

// One thread is enough: a chunk is some microseconds of work, and the second core belongs to the system under test.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log).context("the log filter is not valid")?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let config = arguments.config();
    let link = Arc::new(Link::new(config.initial, config.seed)?);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut routes = Vec::new();
    for route in config.routes {
        let shown = route.to_string();
        routes.push(forward::bind(route).await.with_context(|| format!("cannot listen for route {shown}"))?);
    }
    // Last, so that whoever sees the panel may use the routes.
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tracing::info!(panel = %arguments.listen, routes = routes.len(), "the link is open");
    tokio::select! {
        served = async { axum::serve(listener, control::router(link.clone())).await } => served?,
        () = forward::run(link.clone(), routes) => {}
        () = link.heal_when_due() => {}
        _ = terminate.recv() => tracing::info!("stopping; every connection ends"),
        _ = tokio::signal::ctrl_c() => tracing::info!("stopping; every connection ends"),
    }
    Ok(())
}
