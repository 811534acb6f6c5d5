//! The load generator against a fake marketplace: it finds what a known system can do, and hides nothing.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake;

use std::time::Duration;

use backbone::load::carts::Shops;
use backbone::load::open_loop;
use backbone::load::verify;
use fake::Vices;

#[tokio::test]
async fn latency_counts_from_when_an_order_was_due() {
    let takes = Duration::from_millis(40);
    let (deployment, _) = fake::start(Vices { checkout_takes: takes, ..Vices::default() }).await;
    let shops = Shops::open(&deployment).await.unwrap();
    let carts = shops.fill(40).await.unwrap();
    let (step, replies) = open_loop::run(&shops, carts, 100).await;
    assert_eq!((step.placed, replies.len()), (40, 40));
    assert!(step.latency.p50_ms >= 40.0, "{}", step.latency);
    // Arrivals do not wait for answers: several are in flight, and all are sent within 0.4 s.
    assert!(step.in_flight_max >= 3, "{}", step.in_flight_max);
    assert!(step.seconds < 1.0, "{}", step.seconds);
    assert!(step.is_good(1_000) && !step.is_good(40));
}

#[tokio::test]
async fn answers_are_verified_and_a_lie_is_found() {
    let (deployment, fake) = fake::start(Vices { hiccup_every: Some(10), ..Vices::default() }).await;
    let shops = Shops::open(&deployment).await.unwrap();
    let carts = shops.fill(20).await.unwrap();
    let (step, replies) = open_loop::run(&shops, carts, 200).await;
    // Hiccups strike after the work: those orders are placed, though their shoppers were not told.
    assert!(!step.errors.is_empty() && !step.is_good(1_000));
    let verified = verify::all(&shops, &replies).await;
    assert_eq!((verified.checked, verified.wrong), (20, 0), "{:?}", verified.described);
    assert_eq!(verified.placed_after_all, 20 - step.placed);

    fake.state().orders[0].total += 1;
    fake.state().orders.remove(1);
    let verified = verify::all(&shops, &replies).await;
    assert_eq!(verified.wrong, 2, "{:?}", verified.described);
}
