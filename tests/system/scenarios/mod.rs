//! The scenarios, one file per subject. They run in this order, on one system.

mod audit;
mod bad_input;
mod cart_reads;
mod clocks;
mod contracts;
mod crashes;
mod dlq;
mod drill;
mod explain;
mod lifecycle;
mod one_effect;
mod one_request;
mod orders;
mod outages;
mod replay;
mod spine;
mod wan;

use libtest_mimic::Trial;

use crate::Scenarios;

/// Every scenario. The replay and the audits come last: they judge what all others left behind.
pub fn all(scenarios: &Scenarios) -> Vec<Trial> {
    let subjects = [
        orders::scenarios,
        one_request::scenarios,
        bad_input::scenarios,
        contracts::scenarios,
        outages::scenarios,
        cart_reads::scenarios,
        wan::scenarios,
        crashes::scenarios,
        lifecycle::scenarios,
        clocks::scenarios,
        drill::scenarios,
        dlq::scenarios,
        spine::scenarios,
        explain::scenarios,
        one_effect::scenarios,
        replay::scenarios,
        audit::scenarios,
    ];
    subjects.iter().flat_map(|subject| subject(scenarios)).collect()
}
