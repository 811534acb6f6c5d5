//! What a system costs that nobody uses: processor time of each part, as a share of one core.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::aim::Aim;
use super::table::{Figures, fill};
use crate::platform::{self, Layout, procfs};

const SECTION: &str = include_str!("sections/idle.md");
/// Both regions, brokers and databases included.
const PERCENT_AIM: f64 = 8.0;
/// For what a start or the benchmark before leaves to be done: connections, vacuum, checkpoints.
const SETTLE: Duration = Duration::from_secs(20);

/// Flags of this benchmark.
#[derive(Clone, Debug, clap::Args)]
pub struct IdleArgs {
    /// How long an idle system is watched, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub idle_seconds: u64,
}

/// A part's share of one core.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// Which part.
    pub part: String,
    /// Processor time of its process and all that it started, per hundred of wall time.
    pub percent: f64,
}

/// Watches every part that runs. Only their own processor time counts: what else the machine does is not in it.
///
/// # Errors
/// Nothing was brought up, or a part ended meanwhile.
pub async fn measure(layout: &Layout, args: &IdleArgs) -> anyhow::Result<Vec<Share>> {
    let parts = platform::status(layout).await?;
    let running: Vec<(String, i32)> =
        parts.into_iter().filter_map(|part| Some((part.name.to_string(), part.pid?))).collect();
    let look = || -> anyhow::Result<Vec<f64>> {
        let one = |(name, pid): &(String, i32)| {
            procfs::processor_seconds(*pid).ok_or_else(|| anyhow::anyhow!("{name} ended while it was watched"))
        };
        running.iter().map(one).collect()
    };
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (look()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(args.idle_seconds)).await;
    let (after, lasted) = (look()?, began.elapsed().as_secs_f64());
    let shares = running.iter().zip(before.iter().zip(after));
    Ok(shares
        .map(|((part, _), (before, after))| Share { part: part.clone(), percent: (after - before) / lasted * 100.0 })
        .collect())
}

/// The section's text.
pub fn section(measured_with: &str, shares: &[Share], seconds: u64) -> String {
    let all: f64 = shares.iter().map(|share| share.percent).sum();
    let brokers: f64 = shares.iter().filter(|share| share.part.contains("/kafka")).map(|share| share.percent).sum();
    let mut figures = Figures::default();
    let verdict = Aim::AtMost(PERCENT_AIM).verdict(all);
    figures.add_aimed("both regions, the provider and the link", format!("{all:.1} %"), "8 %", verdict);
    figures.add("of it the brokers", format!("{brokers:.1} %"));
    let rows: String = shares.iter().map(|share| format!("| {} | {:.2} % |\n", share.part, share.percent)).collect();
    fill(
        SECTION,
        &[
            ("measured_with", measured_with),
            ("figures", figures.markdown()),
            ("parts", rows.trim_end()),
            ("seconds", &seconds.to_string()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_held_against_its_aim_and_the_brokers_are_counted_apart() {
        let share = |part: &str, percent| Share { part: part.to_owned(), percent };
        let shares = [share("east/kafka", 3.0), share("west/kafka-2", 4.0), share("east/order", 3.0)];
        let text = section("Measured.", &shares, 60);
        for expected in ["| 10.0 % | 8 % | **missed by a factor of 1.25** |", "| 7.0 % |", "| east/order | 3.00 % |"] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }
}
