//! The section about the highest rate of checkouts.

use super::aim::Aim;
use super::replay::percentiles;
use super::table::{Figures, fill};
use crate::load::report::{Cost, Report};

const SECTION: &str = include_str!("sections/checkout.md");
/// Share of the ceiling that should be reached.
const SHARE_AIM: f64 = 0.5;

/// The section's text.
pub fn section(measured_with: &str, report: &Report) -> String {
    let figures = figures(report);
    fill(SECTION, &[("measured_with", measured_with), ("figures", figures.markdown())])
}

fn figures(report: &Report) -> Figures {
    let (held, limit) = (&report.held, report.p99_limit_ms);
    let mut figures = Figures::default();
    let what = format!("highest rate held for {:.0} s with p99 under {limit} ms and no error", held.seconds);
    let rate = if held.is_good(limit) {
        format!("{} orders/s", held.rate)
    } else {
        format!("none; the last one tried was {} orders/s", held.rate)
    };
    figures.add(&what, rate);
    let p99 = Aim::AtMost(f64::from(limit)).verdict(held.latency.p99_ms);
    let latency = percentiles(&held.latency);
    figures.add_aimed("latency at it, p50 / p99 / p99.9", latency, &format!("p99 < {limit} ms"), p99);
    let errors: usize = held.errors.values().sum();
    figures.add_aimed("errors at it", errors.to_string(), "0", Aim::AtMost(0.0).verdict(errors as f64));
    if let Some(cost) = &report.cost {
        add_cost(&mut figures, cost);
    }
    if let Some(verified) = &report.verified {
        let what =
            format!("answers that proved wrong, of {} remembered and checked against the system", verified.checked);
        let verdict = Aim::AtMost(0.0).verdict(verified.wrong as f64);
        figures.add_aimed(&what, verified.wrong.to_string(), "0", verdict);
    }
    figures
}

fn add_cost(figures: &mut Figures, cost: &Cost) {
    let (order, ceiling) = (&cost.order, &cost.ceiling);
    figures.add("write transactions of one order, counted", format!("{:.1}", order.write_transactions));
    if let Some(log_flushes) = order.log_flushes {
        figures.add("flushes of the write-ahead log for one order, counted", format!("{log_flushes:.1}"));
    }
    let pgbench = format!("pgbench in the same run, {} clients on each region", ceiling.clients);
    let (east, west) = (ceiling.east_commits_per_second, ceiling.west_commits_per_second);
    figures.add(&pgbench, format!("{east:.0} + {west:.0} commits/s"));
    let reachable = cost.ceiling_orders_per_second;
    figures.add("ceiling: commits/s ÷ write transactions of one order", format!("{reachable:.0} orders/s"));
    let share = format!("{:.0} %", cost.ratio * 100.0);
    figures.add_aimed("share of the ceiling", share, "50 %", Aim::AtLeast(SHARE_AIM).verdict(cost.ratio));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::ceiling::Ceiling;
    use crate::load::commits::PerOrder;
    use crate::load::latency::Percentiles;
    use crate::load::open_loop::Step;
    use crate::load::verify::Verified;

    fn report(p99_ms: f64) -> Report {
        let latency = Percentiles { count: 1_200, p50_ms: 30.0, p99_ms, p999_ms: 120.0, max_ms: 130.0 };
        let order =
            PerOrder { write_transactions: 20.0, log_flushes: Some(12.5), idle_write_transactions_per_second: 0.0 };
        let ceiling = Ceiling { clients: 16, east_commits_per_second: 2_000.0, west_commits_per_second: 2_000.0 };
        Report {
            p99_limit_ms: 100,
            steps: Vec::new(),
            held: Step { rate: 40, placed: 1_200, seconds: 30.1, latency, ..Step::default() },
            cost: Some(Cost::new(order, ceiling, 40)),
            verified: Some(Verified { checked: 1_500, ..Verified::default() }),
        }
    }

    #[test]
    fn the_ceiling_is_what_the_disk_could_do_with_the_transactions_of_an_order() {
        let text = section("Measured.", &report(90.0));
        for expected in [
            "held for 30 s with p99 under 100 ms and no error | 40 orders/s |",
            "| 30.0 / 90.0 / 120.0 ms | p99 < 100 ms | met |",
            "one order, counted | 20.0 |",
            "one order, counted | 12.5 |",
            "| 200 orders/s |",
            "| 20 % | 50 % | **missed by a factor of 2.50** |",
            "of 1500 remembered and checked against the system | 0 | 0 | met |",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn a_rate_that_did_not_hold_is_not_called_held() {
        let text = section("Measured.", &report(150.0));
        assert!(text.contains("| none; the last one tried was 40 orders/s |"), "{text}");
        assert!(text.contains("p99 < 100 ms | **missed by a factor of 1.50** |"), "{text}");
    }
}
