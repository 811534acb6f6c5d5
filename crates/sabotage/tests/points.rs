//! What an armed point does, in a process that is not to die.
#![cfg(feature = "armed")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use sabotage::{arm, crash_point, disarm, points, reached};
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(50);

/// One test, because orders are the process's.
#[tokio::test]
async fn a_point_acts_once_at_its_passing_unless_the_order_is_taken_back() {
    arm("test.hang.before-commit=hang@2".parse().unwrap());
    crash_point("test.hang.before-commit").await;
    assert!(timeout(SOON, crash_point("test.hang.before-commit")).await.is_err());
    reached("test.hang.before-commit").await;
    crash_point("test.hang.before-commit").await;
    let point = points().into_iter().find(|point| point.name == "test.hang.before-commit").unwrap();
    assert_eq!((point.passings, point.carried_out, point.order), (3, 1, None));
    arm("test.hang.before-commit=hang".parse().unwrap());
    disarm();
    crash_point("test.hang.before-commit").await;
}
