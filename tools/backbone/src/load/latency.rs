//! Latency histograms: three significant digits, from a microsecond to two minutes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest latency told apart; longer ones count as this.
const LONGEST_MICROSECONDS: u64 = 120_000_000;

/// Percentiles of a run, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Calls measured.
    pub count: u64,
    /// Half were at most this.
    pub p50_ms: f64,
    /// 99 of 100 were at most this.
    pub p99_ms: f64,
    /// 999 of 1,000 were at most this.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, p50_ms, p99_ms, p999_ms, max_ms } = self;
        write!(f, "p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, p99.9 {p999_ms:.1} ms, max {max_ms:.1} ms ({count} calls)")
    }
}

/// Collects latencies from many tasks.
#[derive(Debug)]
pub struct Latencies {
    /// `None` only if a histogram of these bounds could not be built, which its constructor rules out.
    histogram: Mutex<Option<Histogram<u64>>>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { histogram: Mutex::new(Histogram::new_with_bounds(1, LONGEST_MICROSECONDS, 3).ok()) }
    }
}

impl Latencies {
    /// Records one.
    pub fn record(&self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = self.histogram.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            histogram.saturating_record(microseconds);
        }
    }

    /// The percentiles so far.
    pub fn percentiles(&self) -> Percentiles {
        let guard = self.histogram.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(histogram) = guard.as_ref() else { return Percentiles::default() };
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Percentiles {
            count: histogram.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(histogram.max()),
        }
    }
}

fn millis(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_the_promised_digits() {
        let latencies = Latencies::default();
        for millisecond in 1..=1_000 {
            latencies.record(Duration::from_millis(millisecond));
        }
        let percentiles = latencies.percentiles();
        assert_eq!(percentiles.count, 1_000);
        assert!((percentiles.p50_ms - 500.0).abs() < 1.0, "{percentiles}");
        assert!((percentiles.p99_ms - 990.0).abs() < 1.0, "{percentiles}");
        latencies.record(Duration::from_secs(1_000));
        assert!((latencies.percentiles().max_ms - 120_000.0).abs() < 200.0);
    }
}
