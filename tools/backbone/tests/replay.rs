//! The replay against a fake marketplace: it ends well when all is well, says what differs when it is not, and a second replay
//! changes nothing.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake;

use std::time::Duration;

use backbone::client::Deployment;
use backbone::replay::expected::Expected;
use backbone::replay::run::Run;
use backbone::replay::{Outcome, plan, replay, rows};
use fake::{Fake, Vices};

/// Two customers and a guest; a line of many units, an odd code, no description, rows that do not count, refunds that find their
/// order and refunds that do not.
const MONTH: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1001,A,\"HEART, \"\"RED\"\"\",6,2010-12-01,2.55,1.0,United Kingdom
1001,A,\"HEART, \"\"RED\"\"\",4,2010-12-01,2.55,1.0,United Kingdom
1001,B,,3,2010-12-01,0.5,1.0,United Kingdom
1002,A,HEART,5,2010-12-01,2.55,1.0,United Kingdom
1003,BANK CHARGES,Bank Charges,1,2010-12-02,15.0,,United Kingdom
1004,B,BALL,74215,2010-12-02,1.04,2.0,EIRE
1005,B,BALL,2,2010-12-02,0.5,1.0,United Kingdom
1006,C,GIFT,7,2010-12-02,0.0,1.0,United Kingdom
A1007,D,ADJUST,1,2010-12-02,10.0,,United Kingdom
C1008,A,HEART,-6,2010-12-03,2.55,1.0,United Kingdom
C1009,A,HEART,-5,2010-12-03,2.55,1.0,United Kingdom
C1010,A,HEART,-9,2010-12-03,2.55,1.0,United Kingdom
C1011,B,BALL,-74215,2010-12-03,1.04,2.0,EIRE
C1012,BANK CHARGES,Bank Charges,-1,2010-12-03,15.0,,United Kingdom
";

fn month() -> plan::Month {
    plan::plan("2010-12", rows::read(MONTH.as_bytes()).unwrap()).unwrap()
}

async fn replayed(deployment: &Deployment) -> (Outcome, Vec<String>) {
    let run = Run::new(deployment, month(), 4).unwrap();
    let outcome = replay(&run, deployment, &Expected::of(&month())).await.unwrap();
    (outcome, run.failures())
}

/// Orders made, and changes carried out in all.
fn effects(fake: &Fake) -> (usize, u64) {
    let state = fake.state();
    (state.orders.len(), state.changes)
}

fn differing(outcome: &Outcome) -> Vec<&str> {
    outcome.checks.iter().filter(|check| !check.is_ok()).map(|check| check.name.as_str()).collect()
}

#[test]
fn the_plan_matches_refunds_to_the_newest_earlier_order_that_has_the_units() {
    let month = month();
    let refunds: Vec<_> =
        month.refunds.iter().map(|refund| (refund.invoice, month.orders[refund.order].invoice, refund.pence)).collect();
    // Six hearts are more than the five of 1002, so 1001 gives them; then 1002 has five; nine are nowhere.
    assert_eq!(refunds, [(1008, 1001, 1_530), (1009, 1002, 1_275), (1011, 1004, 7_718_360)]);
    assert_eq!((month.tally.refund_lines_unmatched, month.tally.unmatched_pence), (2, 2_295 + 1_500));
    let titles: Vec<_> = month.offers.iter().map(|offer| offer.title.as_str()).collect();
    assert_eq!(titles, ["HEART, \"RED\"", "BALL", "BALL", "Bank Charges"]);
}

#[tokio::test]
async fn a_replay_ends_well_and_a_second_one_changes_nothing() {
    let (deployment, fake) = fake::start(Vices::default()).await;
    let (outcome, failures) = replayed(&deployment).await;
    assert!(outcome.is_ok(), "{failures:?} {:?}", differing(&outcome));
    let (orders, changes) = effects(&fake);
    assert_eq!(orders, 5);

    let (again, failures) = replayed(&deployment).await;
    assert!(again.is_ok(), "{failures:?} {:?}", differing(&again));
    assert_eq!(again.checks, outcome.checks);
    assert_eq!(effects(&fake), (orders, changes));
}

#[tokio::test]
async fn calls_that_were_carried_out_but_not_answered_are_repeated_without_harm() {
    let (deployment, fake) = fake::start(Vices { hiccup_every: Some(3), ..Vices::default() }).await;
    let (outcome, failures) = replayed(&deployment).await;
    assert!(outcome.is_ok(), "{failures:?} {:?}", differing(&outcome));
    assert!(outcome.measured.retries > 0);
    assert_eq!(fake.state().orders.len(), 5);
}

#[tokio::test]
async fn overselling_is_found() {
    let (deployment, _) = fake::start(Vices { oversells: true, ..Vices::default() }).await;
    let (outcome, failures) = replayed(&deployment).await;
    assert!(!outcome.is_ok());
    assert!(differing(&outcome).contains(&"orders of one more unit refused"));
    assert!(failures.iter().any(|failure| failure.contains("was sold")), "{failures:?}");
}

#[tokio::test]
async fn a_penny_too_much_is_found() {
    let (deployment, _) = fake::start(Vices { overcharges: true, ..Vices::default() }).await;
    let (outcome, _) = replayed(&deployment).await;
    let differing = differing(&outcome);
    for figure in ["revenue_pence", "revenue_pence.EIRE", "orders whose lines sum to their total"] {
        assert!(differing.contains(&figure), "{figure} {differing:?}");
    }
}

#[tokio::test]
async fn an_order_made_behind_its_back_is_found() {
    let (deployment, fake) = fake::start(Vices::default()).await;
    let (outcome, _) = replayed(&deployment).await;
    assert!(outcome.is_ok());
    let mut twice = fake.state().orders[0].clone();
    twice.id = uuid::Uuid::now_v7();
    fake.state().orders.push(twice);
    tokio::time::sleep(Duration::from_millis(60)).await;
    let (again, _) = replayed(&deployment).await;
    assert!(differing(&again).contains(&"orders"), "{:?}", differing(&again));
}
