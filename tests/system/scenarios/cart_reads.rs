//! Reading carts: with Redis away, after a change by hand, and by watching.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use contracts::cart::v1::cart_service_client::CartServiceClient;
use contracts::cart::v1::{AddLineRequest, Cart, CreateCartRequest, GetCartRequest, WatchCartRequest};
use ids::Region;
use libtest_mimic::Trial;
use serde_json::json;
use sqlx::Connection as _;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::Scenarios;
use crate::deployment::Deployment;

/// From a change to what a reader or watcher sees of it.
const PROMPT: Duration = Duration::from_secs(1);

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("carts_are_read_and_right_while_redis_stops_and_comes_back", redis_stops),
        scenarios.trial("a_cart_changed_by_hand_shows_at_once", by_hand),
        scenarios.trial("a_watcher_sees_a_change_made_in_the_same_region", watched),
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

/// A cart in the east, asked for past the front door: it has no route for watching.
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
