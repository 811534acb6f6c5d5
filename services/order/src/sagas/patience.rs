//! How long a saga waits: one call's share of a turn, the pause between turns, and when to stop trying. Pure.

use std::time::Duration;

use chassis::retry::Backoff;

/// One call takes at most this long, also when the turn has longer: a lost call is asked again rather than waited for.
/// Above a reservation of 1,500 lines that asks the other region (some 200 ms) with room for a machine under load.
pub(super) const CALL_MAX: Duration = Duration::from_secs(3);
/// And it gets at least this much, while the turn has it: less would be over before a healthy callee under load answers.
const CALL_MIN: Duration = Duration::from_millis(500);
/// Between turns of one saga. Below a second at first, as a payment in doubt is usually settled within one and a capture usually
/// follows shipping within one; a service that is down is asked every few seconds.
const BETWEEN_TURNS: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// The deadline of a call when `left` of the turn is left and `calls_to_go` calls are still to be made, this one included: an even
/// share, with one share kept back so that one lost answer costs a repeat and not the turn.
pub(super) fn call_deadline(left: Duration, calls_to_go: usize) -> Duration {
    let shares = u32::try_from(calls_to_go).unwrap_or(u32::MAX).saturating_add(1);
    (left / shares).max(CALL_MIN.min(left)).min(CALL_MAX)
}

/// When to stop trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Turns that a saga may fail before it is parked for a person to look at.
    pub attempts_max: u32,
}

/// What follows a turn that did not reach the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn, after this pause.
    Again(Duration),
    /// None until a person says so, for this reason.
    Park(String),
}

impl Patience {
    /// What follows a failed turn after `attempts` failed ones before it. The pause has full jitter.
    pub(crate) fn after_failure(self, attempts: i32) -> Next {
        let failures = u32::try_from(attempts).unwrap_or(0).saturating_add(1);
        if failures >= self.attempts_max {
            return Next::Park(format!("not finished after {failures} turns"));
        }
        Next::Again(BETWEEN_TURNS.delay_now(failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gets_an_even_share_and_one_is_kept_back() {
        let ms = Duration::from_millis;
        let cases = [
            (ms(6_000), 2, ms(2_000)),
            (ms(6_000), 1, ms(3_000)),
            // Never longer than a call is worth waiting for,
            (ms(60_000), 2, CALL_MAX),
            // nor shorter than an answer takes,
            (ms(900), 2, CALL_MIN),
            // unless the turn itself is shorter.
            (ms(200), 2, ms(200)),
            (ms(0), 1, ms(0)),
        ];
        for (left, calls, expected) in cases {
            assert_eq!(call_deadline(left, calls), expected, "{calls} calls in {left:?}");
        }
    }

    #[test]
    fn the_last_failure_parks() {
        let patience = Patience { attempts_max: 3 };
        let parks = [0, 1, 2, 3].map(|attempts| matches!(patience.after_failure(attempts), Next::Park(_)));
        assert_eq!(parks, [false, false, true, true]);
    }
}
