//! The scenarios, one file per subject. They run in this order, on one system.

mod audit;
mod bad_input;
mod contracts;
mod crashes;
mod lifecycle;
mod orders;
mod outages;
mod replay;

use libtest_mimic::Trial;

use crate::Scenarios;

/// Every scenario. The replay and the audits come last: they judge what all others left behind.
pub fn all(scenarios: &Scenarios) -> Vec<Trial> {
    let subjects = [
        orders::scenarios,
        bad_input::scenarios,
        contracts::scenarios,
        outages::scenarios,
        crashes::scenarios,
        lifecycle::scenarios,
        replay::scenarios,
        audit::scenarios,
    ];
    subjects.iter().flat_map(|subject| subject(scenarios)).collect()
}
