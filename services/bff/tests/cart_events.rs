//! Watching a cart over the REST surface: what comes, what refuses, and what ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response};
use chassis::server::serve_http;
use chassis::status;
use chrono::{TimeDelta, Utc};
use contracts::cart::v1::WatchCartResponse;
use ids::CustomerId;
use support::events::{Events, SOON};
use support::{IN_FLIGHT_MAX, Rig, changed};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const CART: &str = "/v1/carts/01890a5d-ac96-774b-bcce-b302099a8057";
/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(300);

fn events() -> String {
    format!("{CART}/events")
}

async fn open(rig: &Rig) -> Response<Body> {
    rig.send(rig.request("GET", &events(), "")).await
}

async fn refused(rig: &Rig, status: u16, code: &str) -> Response<Body> {
    let response = open(rig).await;
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let (parts, body) = response.into_parts();
    assert_eq!(support::json(Response::new(body)).await["code"], code);
    Response::from_parts(parts, Body::empty())
}

/// Waits until so many seats are taken.
async fn seats_taken(rig: &Rig, expected: usize) {
    let begin = Instant::now();
    while rig.event_streams.current() != expected {
        assert!(begin.elapsed() < SOON, "{} seats are taken, not {expected}", rig.event_streams.current());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_watcher_gets_the_cart_as_it_is_read_and_then_each_change() {
    let rig = Rig::new().await;
    let (_, read) = rig.ask(rig.request("GET", CART, "")).await;
    let mut events = Events::of(open(&rig).await);
    let hint = events.block().await.unwrap();
    let [hint] = hint.as_slice() else { panic!("{hint:?}") };
    let wait_ms: u64 = hint.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((1_000..=3_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(events.cart().await, Some(("v1".to_owned(), read)));
    for quantity in [3, 7] {
        rig.fake.watcher().send(Ok(changed(&format!("w{quantity}"), quantity, "T-light\nholder"))).await.unwrap();
        let (id, cart) = events.cart().await.unwrap();
        assert_eq!((id.as_str(), &cart["version"]), (format!("w{quantity}").as_str(), &id.as_str().into()));
        assert_eq!(cart["lines"][0]["quantity"], quantity);
    }
    let asked = rig.seen().pop().unwrap();
    assert_eq!(asked.method, "WatchCart");
    assert!(asked.request.contains(&rig.customer.to_string()), "{}", asked.request);
    assert!(asked.timeout.is_some(), "the opening has a deadline");
}

#[tokio::test]
async fn a_refusal_is_a_problem_and_takes_no_seat() {
    let rig = Rig::streaming(1, LONG, CancellationToken::new()).await;
    // Longer than an opening may take: it is not tried again here.
    let later = Duration::from_secs(9);
    let table = [
        (status::not_found("CART_NOT_FOUND", "no such cart"), 404, None),
        (status::unavailable("CHANGES_NOT_HEARD", "read the cart", later), 503, Some("9")),
        (status::resource_exhausted("TOO_MANY_WATCHERS", "too many", later), 503, Some("9")),
        (status::invalid_request(&[("cart_id", "must be a UUID")]), 422, None),
    ];
    for (refusal, expected, wait) in table {
        let code = status::reason(&refusal).unwrap();
        rig.fake.refuse(refusal);
        let response = refused(&rig, expected, &code).await;
        assert_eq!(response.headers().get("retry-after").map(|wait| wait.to_str().unwrap()), wait);
        assert_eq!(rig.event_streams.current(), 0);
    }
    let bare = Request::get(events()).body(Body::empty()).unwrap();
    assert_eq!(rig.ask(bare).await.1["code"], "SESSION_MISSING");
}

#[tokio::test]
async fn the_cart_is_asked_for_by_whoever_holds_the_session() {
    let rig = Rig::new().await;
    let stranger = CustomerId::generate();
    let token = bff::session::mint(&rig.key, stranger, Utc::now() + TimeDelta::minutes(1));
    let mut request = rig.request("GET", &events(), "");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    rig.send(request).await;
    let asked = rig.seen().pop().unwrap().request;
    assert!(asked.contains(&stranger.to_string()) && !asked.contains(&rig.customer.to_string()), "{asked}");
}

#[tokio::test]
async fn seats_are_bounded_and_free_again_when_a_watcher_leaves() {
    let rig = Rig::streaming(2, LONG, CancellationToken::new()).await;
    let (one, _other) = (Events::of(open(&rig).await), Events::of(open(&rig).await));
    let response = refused(&rig, 503, "TOO_MANY_WATCHERS").await;
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(rig.seen().len(), 2, "a refusal costs the cart service nothing");
    drop(one);
    seats_taken(&rig, 1).await;
    assert!(Events::of(open(&rig).await).cart().await.is_some());
}

#[tokio::test]
async fn a_stream_is_no_request_in_flight() {
    let rig = Rig::new().await;
    let mut streams = Vec::new();
    for _ in 0..=IN_FLIGHT_MAX {
        streams.push(Events::of(open(&rig).await));
    }
    assert_eq!(rig.ask(rig.request("GET", CART, "")).await.0, 200);
    seats_taken(&rig, streams.len()).await;
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream_after_what_came_before() {
    let rig = Rig::new().await;
    let broken = [
        Err(status::unavailable("CHANGES_NOT_HEARD", "read the cart", Duration::from_secs(1))),
        Err(status::not_found("CART_NOT_FOUND", "no such cart")),
        // Against the contract.
        Ok(WatchCartResponse::default()),
    ];
    for message in broken {
        let mut events = Events::of(open(&rig).await);
        events.cart().await.unwrap();
        let watcher = rig.fake.watcher();
        watcher.send(Ok(changed("v2", 3, "T-light holder"))).await.unwrap();
        watcher.send(message).await.unwrap();
        assert_eq!(events.cart().await.unwrap().0, "v2");
        assert_eq!(events.cart().await, None);
        seats_taken(&rig, 0).await;
    }
}

/// All streams share a connection to the cart service, and what is not taken from it stops them all.
#[tokio::test]
async fn who_does_not_read_gets_the_latest_and_holds_nobody_up() {
    const CHANGES: i64 = 200;
    let rig = Rig::new().await;
    let mut slow = Events::of(open(&rig).await);
    let watcher = rig.fake.watcher();
    let mut prompt = Events::of(open(&rig).await);
    prompt.cart().await.unwrap();
    // 20 MB in all: several times what fits into the windows of the connection.
    let title = "x".repeat(100_000);
    for number in 1..=CHANGES {
        let sent = watcher.send(Ok(changed(&format!("w{number}"), number, &title)));
        timeout(SOON, sent).await.expect("the service is not held up").unwrap();
    }
    rig.fake.watcher().send(Ok(changed("v2", 3, "T-light holder"))).await.unwrap();
    assert_eq!(prompt.cart().await.unwrap().0, "v2");
    let mut versions = Vec::new();
    while versions.last().is_none_or(|last| *last != format!("w{CHANGES}")) {
        versions.push(slow.cart().await.unwrap().0);
    }
    // The last few may have been under way when the reading began.
    assert!(versions.len() < 50, "{versions:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_life_whether_or_not_it_is_read() {
    let life = Duration::from_millis(500);
    let rig = Rig::streaming(2, life, CancellationToken::new()).await;
    let begin = Instant::now();
    let _unread = open(&rig).await;
    let mut events = Events::of(open(&rig).await);
    events.cart().await.unwrap();
    assert_eq!(events.cart().await, None);
    assert!(begin.elapsed() >= life.mul_f64(0.8), "{:?}", begin.elapsed());
    seats_taken(&rig, 0).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let rig = Rig::new().await;
    let token = bff::session::mint(&rig.key, rig.customer, Utc::now() + TimeDelta::seconds(2));
    let mut request = rig.request("GET", &events(), "");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut events = Events::of(rig.send(request).await);
    events.cart().await.unwrap();
    assert_eq!(events.cart().await, None);
    assert!(bff::session::verify(&rig.key, &token, Utc::now()).is_err());
}

#[tokio::test]
async fn a_stream_that_has_no_news_says_that_it_lives() {
    let rig = Rig::new().await;
    let mut events = Events::of(open(&rig).await);
    events.cart().await.unwrap();
    // From here on the clock jumps to whatever is due next.
    tokio::time::pause();
    for _ in 0..3 {
        let begin = tokio::time::Instant::now();
        assert_eq!(events.block().await, Some(vec![":".to_owned()]));
        assert!(begin.elapsed() <= Duration::from_secs(16), "{:?}", begin.elapsed());
    }
}

/// The bff on a socket.
async fn listening(rig: &Rig, draining: CancellationToken) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve_http(listener, rig.router.clone(), draining, LONG)))
}

async fn open_over(rig: &Rig, address: SocketAddr) -> Events {
    let request = reqwest::Client::new().get(format!("http://{address}{}", events())).bearer_auth(rig.token());
    Events::over(request.send().await.unwrap())
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_seat_and_the_services() {
    let rig = Rig::new().await;
    let (address, _server) = listening(&rig, CancellationToken::new()).await;
    let mut gone = open_over(&rig, address).await;
    gone.cart().await.unwrap();
    let watcher = rig.fake.watcher();
    let mut stays = open_over(&rig, address).await;
    stays.cart().await.unwrap();
    drop(gone);
    timeout(SOON, watcher.closed()).await.expect("the service learns of it");
    seats_taken(&rig, 1).await;
    rig.fake.watcher().send(Ok(changed("v2", 3, "T-light holder"))).await.unwrap();
    assert_eq!(stays.cart().await.unwrap().0, "v2");
}

#[tokio::test]
async fn draining_ends_streams_at_once_and_leaves_the_grace_to_requests() {
    let draining = CancellationToken::new();
    let rig = Rig::streaming(10, LONG, draining.clone()).await;
    let (address, server) = listening(&rig, draining.clone()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut events = open_over(&rig, address).await;
        events.cart().await.unwrap();
        streams.push(events);
    }
    draining.cancel();
    for events in &mut streams {
        assert_eq!(events.cart().await, None);
    }
    timeout(SOON, server).await.expect("drained long before the grace is over").unwrap();
    assert_eq!(rig.event_streams.current(), 0);
}
