//! Says when the wall clock was set: times in logs and events jump then, and Kafka's client, which waits by it, may be late by as much.

use std::time::{Duration, Instant, SystemTime};

/// How often the clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Clocks that are slewed to the right time differ by less in one look.
const JUMP_MIN: Duration = Duration::from_secs(1);

/// Compares the wall clock with the monotonic one, which nobody can set.
#[derive(Clone, Copy)]
struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clocks {
    fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// By how many seconds the wall clock was set since `earlier`, ahead or (negative) back; `None` when it was not.
    fn jumped_since(self, earlier: Self) -> Option<f64> {
        let wall = match self.wall.duration_since(earlier.wall) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(back) => -back.duration().as_secs_f64(),
        };
        let jump = wall - self.monotonic.saturating_duration_since(earlier.monotonic).as_secs_f64();
        (jump.abs() >= JUMP_MIN.as_secs_f64()).then_some(jump)
    }
}

/// Watches the clock until the runtime ends.
pub(super) async fn watch() {
    let mut last = Clocks::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = Clocks::now();
        if let Some(seconds) = now.jumped_since(last) {
            metrics::counter!("clock_jumps_total").increment(1);
            tracing::error!(seconds, "the clock was set; times before and after this line do not compare");
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_from_time_that_passes() {
        let start = Clocks::now();
        let hours = Duration::from_secs(7200);
        let later = |wall| Clocks { wall, monotonic: start.monotonic + LOOK_EVERY };
        assert_eq!(later(start.wall + LOOK_EVERY).jumped_since(start), None);
        assert_eq!(later(start.wall + LOOK_EVERY + hours).jumped_since(start).map(f64::round), Some(7200.0));
        assert_eq!(later(start.wall + LOOK_EVERY - hours).jumped_since(start).map(f64::round), Some(-7200.0));
    }
}
