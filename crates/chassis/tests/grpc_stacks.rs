//! The server and client stacks against each other, over real sockets in one process.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chassis::breaker::BreakerConfig;
use chassis::client::DependencyConfig;
use chassis::deadline;
use chassis::retry::BudgetConfig;
use chassis::status::{self, Violation};
use support::{Catalog, Running, config, dependency, get, get_offer};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::Code;

const PATIENT: Duration = Duration::from_secs(5);

fn reason(status: &tonic::Status) -> String {
    status::reason(status).unwrap_or_else(|| format!("no reason in {status:?}"))
}

/// Tells when it is dropped: when the future that holds it was.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Caller and server watch the same deadline; whichever notices first, the answer says so and the handler is stopped.
#[tokio::test]
async fn a_call_ends_at_its_deadline_and_so_does_its_handler() {
    let stopped = Arc::new(Notify::new());
    let handler = Arc::clone(&stopped);
    let catalog = Catalog::answering(move |_| {
        let held = OnDrop(Arc::clone(&handler));
        async move {
            let _held = held;
            tokio::time::sleep(PATIENT).await;
            Ok(1)
        }
    });
    let running = Running::start(&catalog, &config(&[])).await;
    let started = Instant::now();
    let late = get_offer(&running.dependency(), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((late.code(), reason(&late).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    tokio::time::timeout(Duration::from_secs(2), stopped.notified()).await.expect("the handler went on");
    assert!(started.elapsed() < PATIENT);
    assert_eq!(catalog.calls(), 1, "a late call is not repeated");
}

#[tokio::test]
async fn a_deadline_is_inherited_through_two_hops() {
    let left_ms = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&left_ms);
    let last = Catalog::answering(move |_| {
        let left = deadline::remaining().unwrap();
        heard.store(u64::try_from(left.as_millis()).unwrap(), Ordering::SeqCst);
        async { Ok(1) }
    });
    let last = Running::start(&last, &config(&[])).await;
    let next = last.dependency();
    let first = Catalog::answering(move |_| {
        let next = next.clone();
        async move { get_offer(&next, PATIENT).await }
    });
    let first = Running::start(&first, &config(&[])).await;
    get_offer(&first.dependency(), Duration::from_millis(800)).await.unwrap();
    let left_ms = left_ms.load(Ordering::SeqCst);
    assert!((1..800).contains(&left_ms), "{left_ms} ms left at the second hop");
}

#[tokio::test]
async fn overload_sheds_at_once_with_retry_info() {
    let release = Arc::new(Notify::new());
    let wait = Arc::clone(&release);
    let catalog = Catalog::answering(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Ok(1)
        }
    });
    let running = Running::start(&catalog, &config(&["--requests-in-flight-max", "1"])).await;
    let once = DependencyConfig { tries_max: 1, ..DependencyConfig::default() };
    let caller = dependency(running.address, once);
    let first = tokio::spawn({
        let caller = caller.clone();
        async move { get_offer(&caller, PATIENT).await }
    });
    while catalog.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let shed = get_offer(&caller, PATIENT).await.unwrap_err();
    assert_eq!((shed.code(), reason(&shed).as_str()), (Code::Unavailable, "OVERLOADED"));
    assert!(status::retry_delay(&shed).is_some());
    release.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), 1, "the admitted request is untouched");
    assert_eq!(catalog.calls(), 1);
}

fn unavailable() -> tonic::Status {
    status::unavailable("DEPENDENCY_UNAVAILABLE", "not now", Duration::from_millis(1))
}

#[tokio::test]
async fn unavailable_is_retried_until_it_works() {
    let catalog = Catalog::answering(async |call| if call < 3 { Err(unavailable()) } else { Ok(7) });
    let running = Running::start(&catalog, &config(&[])).await;
    assert_eq!(get_offer(&running.dependency(), PATIENT).await.unwrap(), 7);
    assert_eq!(catalog.calls(), 3);
}

#[tokio::test]
async fn a_refusal_is_not_retried() {
    let catalog = Catalog::answering(async |_| Err(status::aborted("CART_VERSION_STALE", "read again")));
    let running = Running::start(&catalog, &config(&[])).await;
    let refused = get_offer(&running.dependency(), PATIENT).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CART_VERSION_STALE"));
    assert_eq!(catalog.calls(), 1);
}

#[tokio::test]
async fn the_budget_bounds_retries_of_a_dependency_that_is_down() {
    let catalog = Catalog::answering(async |_| Err(unavailable()));
    let running = Running::start(&catalog, &config(&[])).await;
    let budget = BudgetConfig { retries_per_hundred_calls: 0, retries_per_second_min: 0, retries_saved_max: 5 };
    let never_opens = BreakerConfig { failures_percent: 101, ..BreakerConfig::default() };
    let caller =
        dependency(running.address, DependencyConfig { budget, breaker: never_opens, ..DependencyConfig::default() });
    for _ in 0..20 {
        get_offer(&caller, PATIENT).await.unwrap_err();
    }
    assert_eq!(catalog.calls(), 25, "20 calls and 5 retries");
}

#[tokio::test]
async fn the_breaker_opens_and_closes_again_when_the_dependency_is_back() {
    let catalog = Catalog::answering(async |call| if call <= 4 { Err(unavailable()) } else { Ok(1) });
    let running = Running::start(&catalog, &config(&[])).await;
    let breaker = BreakerConfig { calls_min: 4, open_for: Duration::from_millis(100), ..BreakerConfig::default() };
    let caller = dependency(running.address, DependencyConfig { tries_max: 1, breaker, ..DependencyConfig::default() });
    for _ in 0..4 {
        get_offer(&caller, PATIENT).await.unwrap_err();
    }
    let refused = get_offer(&caller, PATIENT).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
    assert_eq!(catalog.calls(), 4, "nothing was sent");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(get_offer(&caller, PATIENT).await.unwrap(), 1);
}

#[tokio::test]
async fn a_dead_address_is_unavailable_within_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let down = get_offer(&dependency(address, DependencyConfig::default()), PATIENT).await.unwrap_err();
    assert_eq!((down.code(), reason(&down).as_str()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
}

#[tokio::test]
async fn a_restarted_dependency_is_found_again_without_a_failed_call() {
    let catalog = Catalog::answering(async |call| Ok(i64::from(call)));
    let first = Running::start(&catalog, &config(&[])).await;
    let (address, caller) = (first.address, first.dependency());
    get_offer(&caller, PATIENT).await.unwrap();
    first.shutdown.cancel();
    first.server.await.unwrap().unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let _second = Running::start_on(listener, &catalog, &config(&[])).await;
    assert_eq!(get_offer(&caller, PATIENT).await.unwrap(), 2);
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_says_it_is_not_ready() {
    let release = Arc::new(Notify::new());
    let wait = Arc::clone(&release);
    let catalog = Catalog::answering(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Ok(1)
        }
    });
    let running = Running::start(&catalog, &config(&[])).await;
    assert_eq!(get(running.admin, "/healthz").await.0, 200);
    assert_eq!(get(running.admin, "/readyz").await.0, 200);
    assert_eq!(get(running.admin, "/metrics").await.0, 200);
    let caller = running.dependency();
    let in_flight = tokio::spawn(async move { get_offer(&caller, PATIENT).await });
    while catalog.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(get(running.admin, "/readyz").await.0, 503);
    assert_eq!(get(running.admin, "/healthz").await.0, 200);
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err(), "no new connection");
    release.notify_one();
    assert_eq!(in_flight.await.unwrap().unwrap(), 1);
    tokio::time::timeout(Duration::from_secs(1), running.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn draining_gives_up_after_the_grace_period() {
    let catalog = Catalog::answering(async |_| {
        tokio::time::sleep(PATIENT).await;
        Ok(1)
    });
    let running = Running::start(&catalog, &config(&["--drain-grace-ms", "100"])).await;
    let caller = running.dependency();
    tokio::spawn(async move { get_offer(&caller, PATIENT).await });
    while catalog.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(1), running.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_panicking_handler_is_an_internal_error_and_the_server_lives_on() {
    let catalog = Catalog::answering(async |call| if call == 1 { panic!("a bug") } else { Ok(1) });
    let running = Running::start(&catalog, &config(&[])).await;
    let caller = running.dependency();
    let broken = get_offer(&caller, PATIENT).await.unwrap_err();
    assert_eq!((broken.code(), reason(&broken).as_str()), (Code::Internal, "INTERNAL"));
    assert!(!broken.message().contains("bug"), "internals are not returned");
    assert_eq!(get_offer(&caller, PATIENT).await.unwrap(), 1);
}

#[tokio::test]
async fn a_refusal_of_1_500_lines_gets_through() {
    let catalog = Catalog::answering(async |_| {
        let line = |number: u32| Violation::new("OUT_OF_STOCK", format!("{number:064}"), "1 wanted, 0 left here");
        Err(status::failed_precondition("OUT_OF_STOCK", "out of stock", &(0..1_500).map(line).collect::<Vec<_>>()))
    });
    let running = Running::start(&catalog, &config(&[])).await;
    let refused = get_offer(&running.dependency(), PATIENT).await.unwrap_err();
    assert_eq!(reason(&refused), "OUT_OF_STOCK");
    assert_eq!(status::violations(&refused).len(), 1_500);
}
