//! Reading carts: with Redis away, after a change by hand, and by watching, in one region and across.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use backbone::platform::Service;
use contracts::cart::v1::cart_service_client::CartServiceClient;
use contracts::cart::v1::{AddLineRequest, Cart, CreateCartRequest, GetCartRequest, WatchCartRequest};
use ids::Region;
use libtest_mimic::Trial;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::Scenarios;
use crate::client::Shopper;
use crate::deployment::Deployment;

/// From a change to what a reader or watcher sees of it.
const PROMPT: Duration = Duration::from_secs(1);
/// From a change in one region to what the other holds, over the link as it is at first: far more than it takes.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("carts_are_read_and_right_while_redis_stops_and_comes_back", redis_stops),
        scenarios.trial("a_cart_changed_by_hand_shows_at_once", by_hand),
        scenarios.trial("a_watcher_sees_a_change_made_in_the_same_region", watched),
        scenarios.trial("an_add_in_the_west_shows_on_an_event_stream_in_the_east", watched_across),
    ]
}

async fn redis_stops(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 50, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, _) = shopper.cart_with(&[(&offer, 1)]).await?;
    let lines = format!("/v1/carts/{cart_id}/lines");
    let add_and_read = async |expected: i64| -> Result<()> {
        shopper.post(&lines, json!({"offer_id": offer, "quantity": 1})).await?.expect(200)?;
        for _ in 0..20 {
            let cart = shopper.get(&format!("/v1/carts/{cart_id}")).await?.expect(200)?;
            ensure!(cart["lines"][0]["quantity"] == expected, "{expected} units expected: {cart}");
        }
        Ok(())
    };
    add_and_read(2).await?;
    deployment.stop("east/redis").await?;
    let during = async {
        add_and_read(3).await?;
        add_and_read(4).await
    };
    let during = during.await;
    deployment.start("east/redis").await?;
    during?;
    add_and_read(5).await
}

/// The change is one that the replication knows nothing of, and is taken back: carts stay equal in both regions.
async fn by_hand(deployment: Arc<Deployment>) -> Result<()> {
    let mut mine = OneCart::new(&deployment).await?;
    let offer = deployment.offer(100, 50, 0).await?;
    mine.add(&offer).await?;
    // Often enough for it to be cached.
    for _ in 0..10 {
        ensure!(units(&mine.get().await?) == 1);
    }
    let mut database = deployment.database(Region::East, "cart").await?;
    let mut theirs = OneCart { owner_id: Uuid::now_v7().to_string(), ..mine.clone() };
    for (from, to) in [(&mut mine.clone(), &mut theirs.clone()), (&mut theirs, &mut mine)] {
        let give = sqlx::query("update cart set owner_id = $2::uuid where cart_id = $1::uuid");
        give.bind(&to.cart_id).bind(&to.owner_id).execute(&mut database).await?;
        let changed = Instant::now();
        while from.get().await.is_ok() || to.get().await.is_err() {
            ensure!(
                changed.elapsed() < PROMPT,
                "a cart given away by hand still shows to its old owner after {PROMPT:?}"
            );
            sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(database.close().await?)
}

async fn watched(deployment: Arc<Deployment>) -> Result<()> {
    let mut carts = OneCart::new(&deployment).await?;
    let offer = deployment.offer(100, 50, 0).await?;
    let request = WatchCartRequest { cart_id: carts.cart_id.clone(), owner_id: carts.owner_id.clone() };
    let mut stream = carts.client.watch_cart(request).await?.into_inner();
    for expected in 0..5 {
        loop {
            let message = timeout(PROMPT, stream.message()).await.context("no message within a second")??;
            let seen = units(&message.context("the stream ended")?.cart.unwrap_or_default());
            ensure!(seen <= expected, "{seen} units seen, {expected} added");
            if seen == expected {
                break;
            }
        }
        carts.add(&offer).await?;
    }
    Ok(())
}

async fn watched_across(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 0, 50).await?;
    let west = deployment.shopper(Region::West).await?;
    let east = west.moved_to(&deployment.front_door(Region::East));
    let (cart_id, _) = west.cart_with(&[(&offer, 1)]).await?;
    let (cart, events) = (format!("/v1/carts/{cart_id}"), format!("/v1/carts/{cart_id}/events"));
    timeout(ARRIVAL_MAX, read_until(&east, &cart, 1)).await.context("the cart did not arrive")??;

    deployment.shopper(Region::East).await?.get(&events).await?.expect_problem(404, "CART_NOT_FOUND")?;
    let mut stream = EventStream::open(&east, &events).await?;
    timeout(PROMPT, stream.until(1)).await.context("no first event within a second")??;
    ensure!(streams_open(&deployment).await? == 1.0, "one stream is open");
    for expected in 2..=5 {
        west.post(&format!("{cart}/lines"), json!({"offer_id": offer, "quantity": 1})).await?.expect(200)?;
        let both = futures::future::try_join(read_until(&east, &cart, expected), stream.until(expected));
        let (arrived, shown) = timeout(ARRIVAL_MAX, both).await.context("the add did not arrive")??;
        let late = shown.saturating_duration_since(arrived);
        ensure!(late < PROMPT, "the event came {late:?} after the add could be read");
    }
    drop(stream);
    let gone = Instant::now();
    while streams_open(&deployment).await? > 0.0 {
        ensure!(gone.elapsed() < PROMPT, "the seat of a client that hung up is still taken after {PROMPT:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Reads a cart until it holds so many units. Returns when that was.
async fn read_until(shopper: &Shopper, path: &str, expected: i64) -> Result<Instant> {
    loop {
        let answer = shopper.get(path).await?;
        if answer.status.is_success() && units_shown(&answer.body) == expected {
            return Ok(Instant::now());
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Streams of events that the front door of the east has open, as its gauge says.
async fn streams_open(deployment: &Deployment) -> Result<f64> {
    let admin = Service::Bff.admin(&deployment.layout, Region::East);
    let metrics = reqwest::get(format!("http://{admin}/metrics")).await?.text().await?;
    let line = metrics.lines().find(|line| line.starts_with("event_streams_open")).context("no gauge")?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}

/// A cart's events, read as they come.
struct EventStream {
    response: Response,
    unread: String,
}

impl EventStream {
    async fn open(shopper: &Shopper, path: &str) -> Result<Self> {
        let response = shopper.request(Method::GET, path).send().await?.error_for_status()?;
        Ok(Self { response, unread: String::new() })
    }

    /// Reads until an event shows so many units. Returns when that was.
    async fn until(&mut self, expected: i64) -> Result<Instant> {
        loop {
            while let Some((block, rest)) = self.unread.split_once("\n\n") {
                let data = block.lines().find_map(|line| line.strip_prefix("data: "));
                let cart: Option<Value> = data.map(serde_json::from_str).transpose()?;
                self.unread = rest.to_owned();
                match cart.as_ref().map(units_shown) {
                    Some(seen) if seen == expected => return Ok(Instant::now()),
                    Some(seen) => ensure!(seen < expected, "{seen} units seen, {expected} added"),
                    None => {}
                }
            }
            let chunk = self.response.chunk().await?.context("the stream ended")?;
            self.unread.push_str(std::str::from_utf8(&chunk)?);
        }
    }
}

fn units_shown(cart: &Value) -> i64 {
    cart["lines"].as_array().into_iter().flatten().filter_map(|line| line["quantity"].as_i64()).sum()
}

/// A cart in the east, asked for past the front door.
#[derive(Clone)]
struct OneCart {
    client: CartServiceClient<Channel>,
    owner_id: String,
    cart_id: String,
}

impl OneCart {
    async fn new(deployment: &Deployment) -> Result<Self> {
        let mut client = CartServiceClient::connect(deployment.grpc(Region::East, 11)).await?;
        let owner_id = Uuid::now_v7().to_string();
        let create = CreateCartRequest { owner_id: owner_id.clone(), idempotency_key: "cart".to_owned() };
        let cart = client.create_cart(create).await?.into_inner().cart.context("no cart")?;
        Ok(Self { client, owner_id, cart_id: cart.cart_id })
    }

    async fn add(&mut self, offer_id: &str) -> Result<()> {
        let add = AddLineRequest {
            cart_id: self.cart_id.clone(),
            owner_id: self.owner_id.clone(),
            idempotency_key: Uuid::now_v7().to_string(),
            offer_id: offer_id.to_owned(),
            quantity: 1,
        };
        self.client.add_line(add).await?;
        Ok(())
    }

    async fn get(&mut self) -> Result<Cart> {
        let get = GetCartRequest { cart_id: self.cart_id.clone(), owner_id: self.owner_id.clone() };
        self.client.get_cart(get).await?.into_inner().cart.context("no cart")
    }
}

fn units(cart: &Cart) -> i64 {
    cart.lines.iter().map(|line| line.quantity).sum()
}
