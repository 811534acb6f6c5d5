//! Progress: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// How often the bar is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(200);
/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Counts {
    orders: AtomicU64,
    lines: AtomicU64,
}

/// Shows how far a phase is until dropped.
#[derive(Debug)]
pub struct Progress {
    counts: Arc<Counts>,
    show: JoinHandle<()>,
    bar: ProgressBar,
}

impl Progress {
    /// Begins to show a phase of `orders`. Must be called within a runtime.
    pub fn start(phase: &'static str, orders: u64) -> Self {
        let counts = Arc::new(Counts::default());
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(orders) } else { ProgressBar::hidden() };
        let template = "{prefix:>10} [{bar:40}] {pos}/{len} orders {msg} {elapsed}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(phase);
        let (shown, drawn) = (Arc::clone(&counts), bar.clone());
        let show = tokio::spawn(async move {
            let start = Instant::now();
            let mut tick = tokio::time::interval(if terminal { REDRAW_EVERY } else { LINE_EVERY });
            tick.tick().await;
            loop {
                tick.tick().await;
                let (done, lines) = (shown.orders.load(Ordering::Relaxed), shown.lines.load(Ordering::Relaxed));
                let per_second = u128::from(lines) * 1_000 / start.elapsed().as_millis().max(1);
                if terminal {
                    drawn.set_position(done);
                    drawn.set_message(if lines > 0 { format!("{per_second} lines/s") } else { String::new() });
                } else {
                    eprintln!("{phase}: {done}/{orders} orders, {lines} lines, {per_second} lines/s");
                }
            }
        });
        Self { counts, show, bar }
    }

    /// One line more is in a cart.
    pub fn line_done(&self) {
        self.counts.lines.fetch_add(1, Ordering::Relaxed);
    }

    /// One order more is done.
    pub fn order_done(&self) {
        self.counts.orders.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show.abort();
        self.bar.finish_and_clear();
    }
}
