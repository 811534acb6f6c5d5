//! The bff's process: REST/JSON for the web.

use chassis::server::HttpServer;
use chassis::shutdown::Shutdown;
use clap::Parser;

#[derive(Parser)]
#[command(name = "bff", about = "REST/JSON over the marketplace's services")]
enum Command {
    /// Serves requests until SIGTERM.
    Serve(bff::Config),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Command::Serve(config) = Command::parse();
    let telemetry = chassis::telemetry::init("bff", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let bff = config.build(shutdown.token())?;
    let served = HttpServer::new(&config.service, bff::router(bff)).serve(shutdown.token()).await;
    telemetry.flush();
    Ok(served?)
}
