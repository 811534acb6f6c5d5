//! A marketplace in one process, with just enough behaviour to hold the replay and the load generator to their word: both
//! regions' REST and gRPC on ports of their own, stored outcomes per key, stock, and hiccups.
#![allow(dead_code, missing_docs, reason = "shared by several test binaries, none of which uses all of it")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod goods;
pub mod rest;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use backbone::client::{Deployment, Endpoint, SessionKey};
use contracts::catalog::v1::Offer;
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

pub const KEY: [u8; 32] = [7; 32];
/// Shipping, capturing and refunding take so long.
pub const EVENTS_TAKE: Duration = Duration::from_millis(50);

/// What the fake does wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vices {
    /// Each so many-th change is carried out but answered with 503.
    pub hiccup_every: Option<u64>,
    /// Sells what it does not have.
    pub oversells: bool,
    /// Charges a penny more than the lines come to.
    pub overcharges: bool,
    /// How long a checkout takes.
    pub checkout_takes: Duration,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub offer_id: String,
    pub quantity: i64,
    pub returned: i64,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub id: Uuid,
    pub customer: Uuid,
    pub lines: Vec<Line>,
    pub total: i64,
    pub country: String,
    pub placed_at: Instant,
    pub refunds: Vec<(Instant, i64)>,
}

#[derive(Debug, Default)]
pub struct State {
    pub offers: BTreeMap<String, Offer>,
    pub receipts: HashSet<(u8, String)>,
    /// Available in east and west, and sold.
    pub stock: HashMap<String, [i64; 3]>,
    pub carts: HashMap<Uuid, (Uuid, BTreeMap<String, i64>)>,
    pub orders: Vec<Order>,
    /// Stored outcomes: (customer, path, key) to (request, status, answer).
    pub outcomes: HashMap<(Uuid, String, String), (Value, u16, Value)>,
    pub changes: u64,
    pub calls: u64,
}

#[derive(Clone, Debug)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    vices: Vices,
    /// 0 is east.
    region: usize,
}

impl Fake {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Starts both regions; returns where they are, and a look inside.
pub async fn start(vices: Vices) -> (Deployment, Fake) {
    let fake = Fake { state: Arc::default(), vices, region: 0 };
    let east = region(fake.clone()).await;
    let west = region(Fake { region: 1, ..fake.clone() }).await;
    let deployment = Deployment {
        east,
        west,
        session_key: SessionKey::from_hex(&hex::encode(KEY)).unwrap(),
        run_dir: PathBuf::new(),
    };
    (deployment, fake)
}

async fn region(fake: Fake) -> Endpoint {
    let (rest, bff) = listen().await;
    let (grpc, inventory) = listen().await;
    let router = rest::router(fake.clone());
    tokio::spawn(async move { axum::serve(rest, router).await });
    tokio::spawn(goods::serve(grpc, fake));
    Endpoint { bff, inventory }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
