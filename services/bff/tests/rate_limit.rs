//! The rate limit against a real Redis of the test's own, and without one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bff::rate_limit::{Client, Quota, RateLimit};
use ids::CustomerId;
use support::{NO_REDIS, Rig};
use tokio::net::{TcpListener, TcpStream};

/// A Redis that ends with the test.
struct Redis {
    process: Child,
    url: String,
}

impl Redis {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        Self::start_at(port).await
    }

    async fn start_at(port: u16) -> Self {
        let port = port.to_string();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server must be installed: apt-get install redis-server");
        let redis = Self { process, url: format!("redis://127.0.0.1:{port}") };
        while TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        redis
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn quota(per_second: u32, burst: u32) -> Quota {
    Quota { per_second: per_second.try_into().unwrap(), burst: burst.try_into().unwrap() }
}

fn someone() -> Client {
    Client::Customer(CustomerId::generate())
}

/// Connects, so that the first request that counts does not pay for it.
async fn warm(limit: &RateLimit) {
    let _ = limit.admit(someone()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn one_client_shares_its_quota_over_processes_and_others_are_untouched() {
    let redis = Redis::start().await;
    let (here, there) =
        (RateLimit::new(&redis.url, quota(1, 4)).unwrap(), RateLimit::new(&redis.url, quota(1, 4)).unwrap());
    warm(&here).await;
    warm(&there).await;
    let client = someone();
    for _ in 0..2 {
        here.admit(client).await.unwrap();
        there.admit(client).await.unwrap();
    }
    let refused = there.admit(client).await.unwrap_err();
    assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= Duration::from_secs(1), "{refused:?}");
    here.admit(client).await.unwrap_err();
    here.admit(someone()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_waits_as_told_is_let_in() {
    let redis = Redis::start().await;
    let limit = RateLimit::new(&redis.url, quota(10, 1)).unwrap();
    warm(&limit).await;
    let client = someone();
    limit.admit(client).await.unwrap();
    let refused = limit.admit(client).await.unwrap_err();
    tokio::time::sleep(refused.retry_after).await;
    limit.admit(client).await.unwrap();
}

#[tokio::test]
async fn without_redis_each_process_keeps_the_limit_itself() {
    let limit = RateLimit::new(NO_REDIS, quota(1, 3)).unwrap();
    let client = someone();
    for _ in 0..3 {
        limit.admit(client).await.unwrap();
    }
    assert!(limit.admit(client).await.is_err());
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_few_requests_a_moment_and_then_nothing() {
    // Accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = RateLimit::new(&format!("redis://{}", listener.local_addr().unwrap()), quota(1_000, 1_000)).unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let started = Instant::now();
        limit.admit(someone()).await.unwrap();
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_millis(250), "{slowest:?}");
    let started = Instant::now();
    for _ in 0..100 {
        limit.admit(someone()).await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_millis(100), "the breaker is open: {:?}", started.elapsed());
}

#[tokio::test]
async fn redis_killed_while_requests_run_refuses_none() {
    let mut redis = Redis::start().await;
    let rig = Rig::with(&redis.url, quota(10_000, 10_000)).await;
    for round in 0..200 {
        if round == 50 {
            redis.kill();
        }
        let path = "/v1/carts/01890a5d-ac96-774b-bcce-b302099a8057";
        let (status, body) = rig.ask(rig.request("GET", path, "")).await;
        assert_eq!(status, 200, "round {round}: {body}");
    }
}

#[tokio::test]
async fn a_redis_that_comes_back_is_used_again() {
    let mut redis = Redis::start().await;
    let port = redis.url.rsplit(':').next().unwrap().parse().unwrap();
    let (here, there) =
        (RateLimit::new(&redis.url, quota(1, 1)).unwrap(), RateLimit::new(&redis.url, quota(1, 1)).unwrap());
    redis.kill();
    for _ in 0..20 {
        here.admit(someone()).await.unwrap();
        there.admit(someone()).await.unwrap();
    }
    let _redis = Redis::start_at(port).await;
    let started = Instant::now();
    loop {
        let client = someone();
        here.admit(client).await.unwrap();
        if there.admit(client).await.is_err() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "each still counts for itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let rig = Rig::with(NO_REDIS, quota(1, 1)).await;
    assert_eq!(rig.send(rig.request("GET", "/v1/orders", "")).await.status(), 200);
    let refused = rig.send(rig.request("GET", "/v1/orders", "")).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(support::json(refused).await["code"], "RATE_LIMITED");
}
