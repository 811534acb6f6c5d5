//! The section about carts crossing regions: how soon one add is there, and how fast a backlog drains.

mod backlog;
mod visibility;

use std::time::Duration;

use self::backlog::Backlog;
use self::visibility::Visibility;
use super::aim::Aim;
use super::table::{Figures, fill};
use crate::client::Deployment;
use crate::platform::Layout;

const SECTION: &str = include_str!("sections/replication.md");
/// One way of a round trip of 80 ms, and as much again for all the work at both ends.
const VISIBLE_AIM_MS: f64 = 80.0;
/// Carts a second.
const DRAIN_AIM: f64 = 10_000.0;

/// Flags of the benchmark.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplicationArgs {
    /// Replication: how long the link stays cut while a backlog grows.
    #[arg(long = "cut", value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub cut: Duration,
    /// Replication: adds a second over both regions.
    #[arg(long = "adds", value_name = "RATE", default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub adds: u32,
    /// Replication: carts of the backlog, each with one line.
    #[arg(long = "backlog", value_name = "CARTS", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub backlog: u32,
}

/// What was measured.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Measured {
    visibility: Visibility,
    backlog: Backlog,
}

/// Measures both, one after the other.
///
/// # Errors
/// The system cannot be used. The link is healed in any case.
pub async fn measure(layout: &Layout, deployment: &Deployment, args: &ReplicationArgs) -> anyhow::Result<Measured> {
    let visibility = visibility::measure(layout, deployment, args.adds).await?;
    let backlog = backlog::measure(layout, deployment, args).await?;
    Ok(Measured { visibility, backlog })
}

impl Measured {
    /// Whether everything that was acknowledged arrived.
    pub fn is_good(&self) -> bool {
        self.visibility.unseen == 0 && self.visibility.errors.is_empty() && self.backlog.differing == 0
    }
}

/// The section's text.
pub fn section(measured_with: &str, measured: &Measured) -> String {
    let Visibility { adds_per_second, round_trip_ms, .. } = measured.visibility;
    let (rate, round_trip) = (adds_per_second.to_string(), format!("{round_trip_ms:.0}"));
    let figures = figures(measured);
    let every = visibility::LOOK_EVERY.as_millis().to_string();
    let values = [
        ("measured_with", measured_with),
        ("figures", figures.markdown()),
        ("rate", &rate),
        ("round_trip", &round_trip),
        ("every", &every),
    ];
    fill(SECTION, &values)
}

fn figures(measured: &Measured) -> Figures {
    let Measured { visibility, backlog } = measured;
    let mut figures = Figures::default();
    let seen = &visibility.seen;
    let (rate, round_trip) = (visibility.adds_per_second, visibility.round_trip_ms);
    let what =
        format!("an acknowledged add is in the other region, {rate} adds/s, round trip {round_trip:.0} ms, p50 / p99");
    let verdict = Aim::AtMost(VISIBLE_AIM_MS).verdict(seen.p99_ms);
    let aim = format!("p99 < {VISIBLE_AIM_MS:.0} ms");
    figures.add_aimed(&what, format!("{:.1} / {:.1} ms", seen.p50_ms, seen.p99_ms), &aim, verdict);
    let looks = &visibility.looks;
    figures.add(
        "of which the measurement's own, at most: between two looks, p50 / p99",
        format!("{:.1} / {:.1} ms", looks.p50_ms, looks.p99_ms),
    );
    let failed: usize = visibility.errors.values().sum();
    for (what, count) in
        [("adds that failed", failed), ("adds that were acknowledged and not found within 10 s", visibility.unseen)]
    {
        figures.add_aimed(what, count.to_string(), "0", Aim::AtMost(0.0).verdict(count as f64));
    }
    let Backlog { carts, cut_s, first_s, all_s, differing } = backlog;
    let (first, all) = (seconds(*first_s), seconds(*all_s));
    figures.add(
        &format!("backlog of a cut of {cut_s:.0} s: {carts} carts; first, last there after the heal"),
        format!("{first}, {all}"),
    );
    let rates = [
        all_s.map(|all| f64::from(*carts) / all),
        all_s.zip(*first_s).map(|(all, first)| f64::from(*carts) / (all - first)),
    ];
    let [from_heal, from_first] = rates.map(|rate| rate.filter(|rate| rate.is_finite()));
    let verdict = Aim::AtLeast(DRAIN_AIM).verdict(from_heal.unwrap_or(0.0));
    figures.add_aimed("drained, counted from the heal", per_second(from_heal), &per_second(Some(DRAIN_AIM)), verdict);
    figures.add("drained, counted from the first cart", per_second(from_first));
    let verdict = Aim::AtMost(0.0).verdict(*differing as f64);
    figures.add_aimed("carts of the backlog that then differ between the regions", differing.to_string(), "0", verdict);
    figures
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2} s"))
}

fn per_second(rate: Option<f64>) -> String {
    rate.map_or_else(|| "not known".to_owned(), |rate| format!("{rate:.0} carts/s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency::Percentiles;

    fn measured() -> Measured {
        let percentiles = |p50_ms, p99_ms| Percentiles { count: 1, p50_ms, p99_ms, p999_ms: p99_ms, max_ms: p99_ms };
        let seen = percentiles(50.0, 100.0);
        let looks = percentiles(5.0, 9.0);
        Measured {
            visibility: Visibility {
                adds_per_second: 500,
                round_trip_ms: 80.0,
                seen,
                looks,
                unseen: 0,
                errors: Default::default(),
            },
            backlog: Backlog { carts: 30_000, cut_s: 300.0, first_s: Some(1.0), all_s: Some(4.0), differing: 0 },
        }
    }

    #[test]
    fn both_figures_are_held_against_their_aims() {
        let text = section("Measured.", &measured());
        for expected in [
            "round trip 80 ms, p50 / p99 | 50.0 / 100.0 ms | p99 < 80 ms | **missed by a factor of 1.25** |",
            "| 1.00 s, 4.00 s |",
            "from the heal | 7500 carts/s | 10000 carts/s | **missed by a factor of 1.33** |",
            "from the first cart | 10000 carts/s |",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn what_never_arrived_is_neither_fast_nor_good() {
        let mut measured = measured();
        assert!(measured.is_good());
        measured.backlog = Backlog { first_s: None, all_s: None, differing: 7, ..measured.backlog };
        assert!(!measured.is_good());
        let text = section("Measured.", &measured);
        assert!(
            text.contains("| never, never |") && text.contains("not known | 10000 carts/s | **missed** |"),
            "{text}"
        );
    }
}
