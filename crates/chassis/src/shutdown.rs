//! SIGTERM and SIGINT as a cancellation token. Shutdown is passed in, not reached for.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status of a process that was told twice, as a shell reports SIGINT.
const EXIT_STATUS_SECOND_SIGNAL: i32 = 130;

/// The wish to end, which a signal or a part of the program expresses.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Cancels the token on the first SIGTERM or SIGINT and ends the process on the second. Call it inside the runtime.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = shutdown.token.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let name = next().await;
            tracing::info!(signal = name, "draining");
            token.cancel();
            let name = next().await;
            tracing::warn!(signal = name, "second signal, exiting now");
            std::process::exit(EXIT_STATUS_SECOND_SIGNAL);
        });
        Ok(shutdown)
    }

    /// The token that everything which must end watches.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}
