//! A relay or consumer as a process of its own: this program, started again with nothing but a task.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use ids::Region;
use outbox::{NewEvent, append, telemetry};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{PATIENCE, Topic, consume, counter, eventually, relay, settings};

const ROLE: &str = "CRASHES_ROLE";
const DATABASE: &str = "CRASHES_DATABASE_URL";
const TOPIC: &str = "CRASHES_TOPIC";
const GROUP: &str = "CRASHES_GROUP";

/// What a child does.
#[derive(Clone, Copy)]
pub enum Role {
    Consumer,
    Relay,
    /// Relays, and makes a change with an event "made".
    Writer,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Relay => "relay",
            Self::Writer => "writer",
        }
    }
}

/// Who the children of a scenario are.
#[derive(Clone)]
pub struct Cast {
    pub pool: PgPool,
    pub topic: Topic,
    pub group: &'static str,
    /// Guards that are removed, as [`sabotage::GUARDS_VARIABLE`] names them.
    pub guards: &'static str,
}

pub struct Child(tokio::process::Child);

/// What a consumer counted in its life.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    pub delivered: u64,
    pub handled: u64,
    pub duplicates: u64,
    pub dead: u64,
}

impl Cast {
    /// Starts a child; `points`: what its crash points are ordered to do.
    pub fn start(&self, role: Role, points: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child::process", "--ignored", "--nocapture"])
            .env(ROLE, role.name())
            .env(DATABASE, self.pool.connect_options().to_url_lossy().as_str())
            .env(TOPIC, self.topic.0)
            .env(GROUP, self.group)
            .env(sabotage::POINTS_VARIABLE, points)
            .env(sabotage::GUARDS_VARIABLE, self.guards)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Child(command.spawn().unwrap())
    }

    /// Starts a child that dies when it passes `point` for the `passing`th time, and waits for its death.
    pub async fn killed(&self, role: Role, point: &str, passing: usize) {
        let mut child = self.start(role, &format!("{point}=kill@{passing}")).0;
        // Waiting would close it, and that tells the child to stop.
        let _stdin = child.stdin.take();
        let status = timeout(PATIENCE, child.wait()).await.unwrap_or_else(|_| panic!("{point} was not reached"));
        assert_eq!(status.unwrap().signal(), Some(9), "at {point}");
    }
}

impl Child {
    /// Ends it the way a service does.
    pub async fn stop(mut self) -> Counted {
        drop(self.0.stdin.take());
        let output = timeout(PATIENCE, self.0.wait_with_output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.split_once(&format!("{name}=")));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).1.trim().parse().unwrap()
        };
        Counted {
            delivered: value("delivered"),
            handled: value("handled"),
            duplicates: value("duplicates"),
            dead: value("dead"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: what the others start as a process of its own, and kill"]
#[allow(clippy::print_stdout, reason = "read by the test that started it")]
async fn process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let leaked = |name: &str| -> &'static str { std::env::var(name).unwrap().leak() };
    let (topic, group) = (Topic(leaked(TOPIC)), leaked(GROUP));
    let count = |name| counter(name, group);
    count(telemetry::HANDLED);
    sabotage::arm_from_environment().unwrap();
    let pool = PgPool::connect(leaked(DATABASE)).await.unwrap();
    let running = match role.as_str() {
        "consumer" => consume(&pool, &settings(), group, topic),
        _ => relay(&pool, &settings()),
    };
    if role == "writer" {
        change(&pool, topic, "relayed").await;
        let left = || async { sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(&pool).await };
        eventually("the relay works", async || left().await.unwrap() == 0).await;
        change(&pool, topic, "made").await;
    }
    // Until the parent says so, or is gone.
    let told = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    told.await.unwrap().unwrap();
    running.stop().await;
    println!("\ndelivered={}", count(telemetry::DELIVERED));
    println!("handled={}", count(telemetry::HANDLED));
    println!("duplicates={}", count(telemetry::DUPLICATES));
    println!("dead={}", count(telemetry::DEAD_LETTERS));
}

async fn change(pool: &PgPool, topic: Topic, what: &str) {
    let mut tx = pool.begin().await.unwrap();
    let event = NewEvent {
        event_type: topic.0,
        aggregate_type: "test",
        aggregate_id: "a".to_owned(),
        payload: what.as_bytes().to_vec(),
    };
    append(&mut tx, Region::East, &[event]).await.unwrap();
    if what == "made" {
        sabotage::crash_point("test.change.before-commit").await;
    }
    tx.commit().await.unwrap();
}
