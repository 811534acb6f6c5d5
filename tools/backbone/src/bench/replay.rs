//! The section about a month's replay.

use super::aim::Aim;
use super::table::{Figures, fill};
use crate::load::latency::Percentiles;
use crate::replay::report::Measured;

const SECTION: &str = include_str!("sections/replay.md");
/// All 40,635 lines of December 2010 within 30 s; other months are held against the same rate.
const LINES_PER_SECOND_AIM: f64 = 40_635.0 / 30.0;

/// The section's text.
pub fn section(measured_with: &str, measured: &Measured) -> String {
    let figures = figures(measured);
    let values =
        [("month", measured.month.as_str()), ("measured_with", measured_with), ("figures", figures.markdown())];
    fill(SECTION, &values)
}

fn figures(measured: &Measured) -> Figures {
    let Measured { concurrency, orders, lines, seconds, orders_per_second, lines_per_second, .. } = measured;
    let mut figures = Figures::default();
    let aim = *lines as f64 / LINES_PER_SECOND_AIM;
    let all = format!("all {orders} orders, {lines} lines, one call each, {concurrency} customers at once");
    figures.add_aimed(&all, format!("{seconds:.1} s"), &format!("{aim:.1} s"), Aim::AtMost(aim).verdict(*seconds));
    figures.add("orders/s, lines/s", format!("{orders_per_second:.1}, {lines_per_second:.0}"));
    figures.add("add a line, p50 / p99 / p99.9", percentiles(&measured.add));
    let lines_per_order = *lines as f64 / (*orders).max(1) as f64;
    let checkout = format!("checkout ({lines_per_order:.0} lines on average), p50 / p99 / p99.9");
    figures.add(&checkout, percentiles(&measured.checkout));
    figures.add("tries repeated", measured.retries.to_string());
    let wrong = measured.failures + measured.differences;
    let verdict = Aim::AtMost(0.0).verdict(wrong as f64);
    figures.add_aimed("calls failed, figures that differ from the data's", wrong.to_string(), "0", verdict);
    figures
}

/// Three percentiles in milliseconds.
pub fn percentiles(latency: &Percentiles) -> String {
    format!("{:.1} / {:.1} / {:.1} ms", latency.p50_ms, latency.p99_ms, latency.p999_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn december(seconds: f64) -> Measured {
        Measured {
            month: "2010-12".to_owned(),
            concurrency: 16,
            orders: 1_559,
            lines: 40_635,
            seconds,
            orders_per_second: 1_559.0 / seconds,
            lines_per_second: 40_635.0 / seconds,
            add: Percentiles { count: 40_635, p50_ms: 1.0, p99_ms: 2.0, p999_ms: 3.0, max_ms: 4.0 },
            checkout: Percentiles::default(),
            retries: 0,
            failures: 0,
            differences: 0,
        }
    }

    #[test]
    fn december_should_take_half_a_minute() {
        let text = section("Measured.", &december(60.0));
        for expected in
            ["16 customers at once | 60.0 s | 30.0 s | **missed by a factor of 2.00** |", "| 1.0 / 2.0 / 3.0 ms |"]
        {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
        assert!(section("Measured.", &december(29.0)).contains("| 29.0 s | 30.0 s | met |"));
    }
}
