//! The breaker's states, told as stories.

use super::*;

const CONFIG: BreakerConfig = BreakerConfig {
    window: Duration::from_secs(5),
    calls_min: 4,
    failures_percent: 50,
    open_for: Duration::from_millis(100),
    open_for_max: Duration::from_millis(300),
};

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(CONFIG, now);
    for _ in 0..3 {
        assert!(!breaker.record(Outcome::Failure, now));
    }
    assert!(breaker.record(Outcome::Failure, now));
    breaker
}

#[test]
fn few_failures_prove_nothing() {
    let now = Instant::now();
    let mut breaker = Breaker::new(CONFIG, now);
    for _ in 0..3 {
        breaker.record(Outcome::Failure, now);
    }
    assert_eq!(breaker.acquire(now), Ok(()));
}

#[test]
fn a_minority_of_failures_leaves_it_closed() {
    let now = Instant::now();
    let mut breaker = Breaker::new(CONFIG, now);
    for _ in 0..100 {
        breaker.record(Outcome::Success, now);
        breaker.record(Outcome::Success, now);
        breaker.record(Outcome::Failure, now);
    }
    assert_eq!(breaker.acquire(now), Ok(()));
}

#[test]
fn failures_of_an_old_window_are_forgotten() {
    let start = Instant::now();
    let mut breaker = Breaker::new(CONFIG, start);
    for _ in 0..3 {
        breaker.record(Outcome::Failure, start);
    }
    assert!(!breaker.record(Outcome::Failure, start + CONFIG.window));
}

#[test]
fn open_refuses_until_its_time_then_lets_one_probe_pass() {
    let now = Instant::now();
    let mut breaker = opened(now);
    assert_eq!(breaker.acquire(now), Err(Open { retry_after: CONFIG.open_for }));
    let later = now + CONFIG.open_for;
    assert_eq!(breaker.acquire(later), Ok(()), "the probe");
    assert!(breaker.acquire(later).is_err(), "one at a time");
}

#[test]
fn a_good_probe_closes_it() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + CONFIG.open_for;
    assert_eq!(breaker.acquire(later), Ok(()));
    assert!(!breaker.record(Outcome::Success, later));
    assert_eq!(breaker.acquire(later), Ok(()));
    assert_eq!(breaker.acquire(later), Ok(()));
}

#[test]
fn each_bad_probe_doubles_the_wait_up_to_the_bound() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    for expected_ms in [100, 200, 300, 300] {
        let Err(open) = breaker.acquire(now) else { panic!("should be open") };
        assert_eq!(open.retry_after, Duration::from_millis(expected_ms));
        now += open.retry_after;
        assert_eq!(breaker.acquire(now), Ok(()));
        assert!(breaker.record(Outcome::Failure, now));
    }
}

#[test]
fn a_probe_that_never_reports_does_not_lock_it_for_ever() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + CONFIG.open_for;
    assert_eq!(breaker.acquire(later), Ok(()));
    assert_eq!(breaker.acquire(later + CONFIG.window), Ok(()));
}

#[test]
fn stragglers_of_before_do_not_reopen_or_close_it() {
    let now = Instant::now();
    let mut breaker = opened(now);
    assert!(!breaker.record(Outcome::Failure, now));
    assert!(!breaker.record(Outcome::Success, now));
    assert!(breaker.is_open());
}
