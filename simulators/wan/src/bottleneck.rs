//! The narrowest point of one direction, which all its connections share. Pure: it is told the time.

use std::time::{Duration, Instant};

/// How much may queue in front of the bottleneck, as time on the line. A router with more would only add delay (buffer bloat);
/// it also bounds how long a new setting takes to be felt.
const QUEUE_MAX: Duration = Duration::from_millis(100);

/// When the line is free again.
#[derive(Debug)]
pub struct Bottleneck {
    free_at: Instant,
}

impl Bottleneck {
    /// A line that is free.
    pub const fn new(now: Instant) -> Self {
        Self { free_at: now }
    }

    /// Puts `bytes` on the line behind what is there. Returns when their last bit has left.
    pub fn depart(&mut self, now: Instant, bytes: usize, bandwidth: Option<u64>) -> Instant {
        let Some(bandwidth) = bandwidth else { return now };
        self.free_at = self.free_at.max(now) + on_the_line(bytes, bandwidth);
        self.free_at
    }

    /// Until when the next bytes must wait for the queue to shrink; `None` while there is room.
    pub fn full_until(&self, now: Instant) -> Option<Instant> {
        (self.free_at > now + QUEUE_MAX).then(|| self.free_at - QUEUE_MAX)
    }
}

fn on_the_line(bytes: usize, bandwidth: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 * 8.0 / bandwidth as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_all_connections_leave_one_after_the_other() {
        let now = Instant::now();
        let mut line = Bottleneck::new(now);
        // 1,000 bytes at 80 kbit/s are 100 ms.
        let first = line.depart(now, 1_000, Some(80_000));
        let second = line.depart(now, 500, Some(80_000));
        assert_eq!((first - now, second - first), (Duration::from_millis(100), Duration::from_millis(50)));
        // A line that was idle does not catch up on the time it was idle.
        let later = now + Duration::from_secs(9);
        assert_eq!(line.depart(later, 1_000, Some(80_000)) - later, Duration::from_millis(100));
    }

    #[test]
    fn senders_wait_while_the_queue_is_full() {
        let now = Instant::now();
        let mut line = Bottleneck::new(now);
        line.depart(now, 3_000, Some(80_000));
        let until = now + Duration::from_millis(200);
        assert_eq!((line.full_until(now), line.full_until(until)), (Some(until), None));
    }
}
