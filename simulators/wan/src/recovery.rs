//! How long TCP takes to repair what the link broke. Pure: dice are an argument.
//!
//! Sources: RFC 6298 (retransmission timer), RFC 5681 (fast retransmit), Linux `TCP_RTO_MIN`.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::properties::Properties;

/// Payload of a full segment: 1,500 bytes of Ethernet less the headers of IP and TCP with its usual options.
pub const SEGMENT_BYTES: usize = 1_448;
/// Least patience of the retransmission timer beyond the round trip (Linux).
const RETRANSMIT_MIN: Duration = Duration::from_millis(200);
/// Longest step of the retransmission timer. Linux doubles it up to 120 s (`net.ipv4.tcp_rto_max_ms`); see the crate's notes.
pub const RETRANSMIT_MAX: Duration = Duration::from_secs(1);
/// Segments that must arrive behind a lost one for the receiver's duplicate acknowledgements to reveal it.
const DUPLICATES_MIN: usize = 3;
/// The same segment is not lost more often in a row: Linux gives the connection up then (`tcp_retries2`), we deliver.
const LOSSES_MAX: u32 = 15;

/// The two ways of a connection, as one sender's timers see them.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    round_trip: Duration,
    first: Duration,
}

impl Timers {
    /// Of a sender whose bytes go one way and their acknowledgements the other.
    pub fn of(forward: &Properties, backward: &Properties) -> Self {
        let round_trip = forward.delay + backward.delay;
        let jitter = forward.jitter.max(backward.jitter);
        Self { round_trip, first: round_trip + RETRANSMIT_MIN.max(4 * jitter) }
    }

    fn after(self, timeout: Duration) -> Duration {
        (timeout * 2).min(RETRANSMIT_MAX.max(self.first))
    }

    /// When bytes that should have arrived at `due` do, when nothing passed before `healed`: at the first retransmission that
    /// leaves after the heal.
    pub fn resume(self, due: Instant, healed: Instant) -> Instant {
        let (mut at, mut timeout) = (due, self.first);
        // A step is at least RETRANSMIT_MIN: a day's cut is some 100,000 steps.
        while at < healed {
            at += timeout;
            timeout = self.after(timeout);
        }
        at
    }

    /// How late the worst of these segments is, sent together and delivered together.
    pub fn delay_by_loss(self, segments: usize, link: &Properties, dice: &mut impl Rng) -> Duration {
        let mut worst = Duration::ZERO;
        for place in 0..segments {
            let mut late = if hit(dice, link.reorder) { link.detour() } else { Duration::ZERO };
            let mut timeout = self.first;
            let mut losses = 0;
            while losses < LOSSES_MAX && hit(dice, link.loss) {
                let revealed = losses == 0 && segments - 1 - place >= DUPLICATES_MIN;
                late += if revealed { self.round_trip } else { timeout };
                timeout = if revealed { timeout } else { self.after(timeout) };
                losses += 1;
            }
            worst = worst.max(late);
        }
        worst
    }
}

/// How many segments carry so many bytes.
pub const fn segments(bytes: usize) -> usize {
    bytes.div_ceil(SEGMENT_BYTES)
}

/// Throws no dice when the answer is known, so that what is switched off does not shift the sequence of the rest.
pub fn hit(dice: &mut impl Rng, probability: f64) -> bool {
    probability > 0.0 && dice.random_bool(probability.min(1.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn timers() -> Timers {
        Timers::of(&Properties::default(), &Properties::default())
    }

    #[test]
    fn after_a_heal_the_next_retransmission_brings_the_bytes() {
        let due = Instant::now();
        // 280, 560, 1,000, 1,000 … ms apart.
        for (cut_ms, resumed_ms) in [(0, 0), (1, 280), (280, 280), (281, 840), (900, 1_840), (60_000, 60_840)] {
            let resumed = timers().resume(due, due + Duration::from_millis(cut_ms));
            assert_eq!(resumed - due, Duration::from_millis(resumed_ms), "healed after {cut_ms} ms");
        }
    }

    #[test]
    fn a_lost_segment_costs_a_time_out_and_in_a_stream_a_round_trip() {
        let always = Properties { loss: 1.0, ..Properties::default() };
        let mut dice = StdRng::seed_from_u64(1);
        // Not a possible setting, but it makes the arithmetic visible: 15 losses of the only segment.
        let late = timers().delay_by_loss(1, &always, &mut dice);
        assert_eq!(late, Duration::from_millis(280 + 560 + 13 * 1_000));
        let sometimes = Properties { loss: 0.02, ..Properties::default() };
        let mut seen: Vec<Duration> = (0..2_000).map(|_| timers().delay_by_loss(40, &sometimes, &mut dice)).collect();
        seen.sort();
        assert_eq!(seen[seen.len() / 2], Duration::from_millis(80), "the usual loss within a stream");
    }

    #[test]
    fn a_perfect_link_throws_no_dice() {
        let mut dice = StdRng::seed_from_u64(1);
        assert_eq!(timers().delay_by_loss(1_000, &Properties::default(), &mut dice), Duration::ZERO);
        assert_eq!(dice, StdRng::seed_from_u64(1));
    }
}
