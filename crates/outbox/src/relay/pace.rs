//! When the local lane looks at its table: when notified while there is little to do, by itself while there is much.
//!
//! A notification makes its transaction's commit queue behind every other notifying commit of the server (the migration
//! has the numbers), which is nothing at ten events a second and ruin at a thousand. So a busy lane announces in the
//! database that it is awake for a while, appends then do not notify, and the lane polls for at least as long as it
//! announced.
//!
//! A transaction may append while the lane is awake and commit after it has gone to sleep. The lane polls on for a
//! grace after the announced time, which covers all but transactions longer than that; those are found by the sweep,
//! late but not lost.

use std::time::Duration;

use tokio::time::Instant;

/// Rows that come closer together than this make the lane busy: 50 notifying commits a second, which at three
/// milliseconds a disk flush keep the server's lock for a seventh of the time.
const BUSY_GAP: Duration = Duration::from_millis(20);
/// How long one announcement lasts. It is renewed when half of it has passed: four small updates a second.
pub(super) const AWAKE: Duration = Duration::from_millis(500);
/// Polling goes on for this long after it: many times the length of a usual transaction.
const GRACE: Duration = Duration::from_millis(100);
/// An awake lane lets rows gather for so long after a round. Without it, a thousand events a second travel in rounds of three, and the broker,
/// which works by request, takes a quarter more processor time for the same events.
const GATHER: Duration = Duration::from_millis(1);
/// Between looks while awake: this long after the first that finds nothing, twice as long after each further one. A look is a round trip,
/// and half of the time between two is the delay that it adds, which so stays in proportion to that between rows.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(5);
const POLL_INTERVAL_MAX: Duration = Duration::from_millis(20);
/// How often a sleeping lane looks without being woken. A net under the notifications, not the way events usually
/// travel.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What a round had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Rows, and they were all.
    Some,
    /// As many rows as fit into a round; there may be more.
    Full,
}

/// What to do after a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look again at once.
    Again,
    /// Announce that the lane is awake for [`AWAKE`], then look again at once.
    Announce,
    /// Look again when woken, or after this long.
    Wait(Duration),
}

/// The lane's recent past.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last_found_at: Option<Instant>,
    awake_until: Option<Instant>,
    /// Looks in a row that found nothing.
    in_vain: u32,
}

impl Pace {
    /// `found`: what the round had.
    pub(super) fn after_round(&mut self, found: Found, now: Instant) -> Next {
        if found == Found::Nothing {
            let polls = self.awake_until.is_some_and(|until| now < until + GRACE);
            let interval = POLL_INTERVAL_MIN.saturating_mul(2_u32.saturating_pow(self.in_vain));
            self.in_vain = self.in_vain.saturating_add(1);
            return Next::Wait(if polls { interval.min(POLL_INTERVAL_MAX) } else { SWEEP_INTERVAL });
        }
        self.in_vain = 0;
        let busy = self.last_found_at.is_some_and(|last| now < last + BUSY_GAP);
        self.last_found_at = Some(now);
        let announced = self.awake_until.is_some_and(|until| now + AWAKE / 2 < until);
        match found {
            _ if busy && !announced => Next::Announce,
            Found::Some if announced => Next::Wait(GATHER),
            _ => Next::Again,
        }
    }

    /// The announcement is in the database. `now`: after it was made, so that we never stop before appends notify
    /// again.
    pub(super) fn announced(&mut self, now: Instant) {
        self.awake_until = Some(now + AWAKE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lane_with_little_to_do_sleeps() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for second in 0..5 {
            let now = start + 1000 * second * MS;
            assert_eq!(pace.after_round(Found::Some, now), Next::Again);
            assert_eq!(pace.after_round(Found::Nothing, now + MS), Next::Wait(SWEEP_INTERVAL));
        }
    }

    #[test]
    fn a_busy_lane_stays_awake_for_as_long_as_it_announced() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.after_round(Found::Some, start), Next::Again);
        assert_eq!(pace.after_round(Found::Some, start + 5 * MS), Next::Announce);
        pace.announced(start + 6 * MS);
        assert_eq!(pace.after_round(Found::Full, start + 9 * MS), Next::Again);
        assert_eq!(pace.after_round(Found::Some, start + 10 * MS), Next::Wait(GATHER));
        assert_eq!(pace.after_round(Found::Nothing, start + 11 * MS), Next::Wait(POLL_INTERVAL_MIN));
        assert_eq!(pace.after_round(Found::Nothing, start + 6 * MS + AWAKE), Next::Wait(2 * POLL_INTERVAL_MIN));
        assert_eq!(pace.after_round(Found::Nothing, start + 6 * MS + AWAKE + GRACE), Next::Wait(SWEEP_INTERVAL));
    }

    #[test]
    fn the_longer_nothing_comes_the_fewer_looks_are_made() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.announced(start);
        for expected in [5, 10, 20, 20] {
            assert_eq!(pace.after_round(Found::Nothing, start + MS), Next::Wait(expected * MS));
        }
        assert_eq!(pace.after_round(Found::Some, start + 2 * MS), Next::Wait(GATHER));
        assert_eq!(pace.after_round(Found::Nothing, start + 3 * MS), Next::Wait(POLL_INTERVAL_MIN));
    }

    #[test]
    fn the_announcement_is_renewed_at_its_half() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.announced(start);
        let announcements = (0..1000).filter(|ms| {
            let now = start + *ms * MS;
            let announces = pace.after_round(Found::Some, now) == Next::Announce;
            if announces {
                pace.announced(now);
            }
            announces
        });
        assert_eq!(announcements.count(), 3);
    }
}
