//! Leases and epochs, on a real Redis.
use std::sync::Arc;

use contracts::cart::v1::Cart;
use ids::CustomerId;

use super::*;

/// The last of Redis' 16 databases, which no other test uses.
fn url() -> String {
    format!("{}/15", std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL; `make test` sets it"))
}

/// A process that uses the cache.
async fn process() -> Arc<SharedCache> {
    let cache = Arc::new(SharedCache::new(&url(), Duration::from_secs(60)).unwrap());
    cache.feed_begins();
    let feed = cache.sessions().wanting().unwrap();
    cache.open(feed).await.unwrap();
    cache
}

fn visible(cart_id: CartId) -> Visible {
    let cart = Cart { cart_id: cart_id.to_string(), ..Cart::default() };
    Visible { owner_id: CustomerId::generate(), cart }
}

async fn leased(cache: &SharedCache, cart_id: CartId) -> Lease {
    match cache.look(cart_id).await {
        Looked::Leased(lease) => lease,
        other => panic!("no lease: {}", name(&other)),
    }
}

const fn name(looked: &Looked) -> &'static str {
    match looked {
        Looked::Hit { .. } => "hit",
        Looked::Leased(_) => "leased",
        Looked::Busy => "busy",
        Looked::Away => "away",
    }
}

/// One test, as the epoch is one for all.
#[tokio::test]
async fn leases_and_epochs() {
    let (one, other) = (process().await, process().await);

    one_lease_at_a_time_and_a_fill_ends_it(&one, &other).await;
    a_fill_that_a_change_has_overtaken_is_refused(&one, &other).await;
    a_fill_of_an_older_epoch_is_refused(&one, &other).await;
    a_cart_that_is_not_there_leaves_no_lease(&one).await;
    an_early_refresh_is_one_readers_and_a_change_overtakes_it_too(&one, &other).await;
    without_a_feed_or_a_session_nothing_is_read(&one, &other).await;
}

async fn one_lease_at_a_time_and_a_fill_ends_it(one: &SharedCache, other: &SharedCache) {
    let cart_id = CartId::generate();
    let lease = leased(one, cart_id).await;
    assert_eq!(name(&other.look(cart_id).await), "busy");
    let stored = visible(cart_id);
    one.fill(cart_id, lease, Some((&stored, Duration::from_millis(3)))).await;
    let Looked::Hit { visible, load_time, remaining } = other.look(cart_id).await else { panic!("not stored") };
    assert_eq!((visible, load_time), (stored, Duration::from_millis(3)));
    assert!(remaining > Duration::from_secs(50) && remaining <= Duration::from_secs(60), "{remaining:?}");
}

async fn a_fill_that_a_change_has_overtaken_is_refused(one: &SharedCache, other: &SharedCache) {
    let cart_id = CartId::generate();
    let slow = leased(one, cart_id).await;
    other.evict([cart_id].into_iter()).await;
    one.fill(cart_id, slow, Some((&visible(cart_id), Duration::ZERO))).await;
    // Also when the next reader has begun meanwhile: the slow one must not use their lease.
    let slow = leased(one, cart_id).await;
    other.evict_own(cart_id).await;
    let next = leased(other, cart_id).await;
    one.fill(cart_id, slow, Some((&visible(cart_id), Duration::ZERO))).await;
    assert_eq!(name(&one.look(cart_id).await), "busy");
    other.fill(cart_id, next, Some((&visible(cart_id), Duration::ZERO))).await;
    assert_eq!(name(&one.look(cart_id).await), "hit");
}

async fn a_fill_of_an_older_epoch_is_refused(one: &SharedCache, other: &SharedCache) {
    let (stored, loading) = (CartId::generate(), CartId::generate());
    let lease = leased(one, stored).await;
    one.fill(stored, lease, Some((&visible(stored), Duration::ZERO))).await;
    let slow = leased(one, loading).await;
    other.evict_all().await;
    one.fill(loading, slow, Some((&visible(loading), Duration::ZERO))).await;
    assert_eq!(name(&one.look(stored).await), "leased", "the new epoch is empty");
    assert_eq!(name(&one.look(loading).await), "leased");
}

async fn a_cart_that_is_not_there_leaves_no_lease(one: &SharedCache) {
    let cart_id = CartId::generate();
    let lease = leased(one, cart_id).await;
    one.fill(cart_id, lease, None).await;
    leased(one, cart_id).await;
}

async fn an_early_refresh_is_one_readers_and_a_change_overtakes_it_too(one: &SharedCache, other: &SharedCache) {
    let cart_id = CartId::generate();
    let lease = leased(one, cart_id).await;
    one.fill(cart_id, lease, Some((&visible(cart_id), Duration::ZERO))).await;
    let early = one.lease(cart_id).await.expect("a lease");
    assert!(other.lease(cart_id).await.is_none());
    assert_eq!(name(&other.look(cart_id).await), "hit", "the others go on reading");
    other.evict([cart_id].into_iter()).await;
    one.fill(cart_id, early, Some((&visible(cart_id), Duration::ZERO))).await;
    assert_eq!(name(&other.look(cart_id).await), "leased");
}

async fn without_a_feed_or_a_session_nothing_is_read(one: &SharedCache, other: &SharedCache) {
    one.feed_ends();
    assert_eq!(name(&one.look(CartId::generate()).await), "away");
    assert_eq!(name(&other.look(CartId::generate()).await), "leased", "the other process goes on");
    one.feed_begins();
    assert_eq!(name(&one.look(CartId::generate()).await), "away", "it has begun no epoch yet");
    let feed = one.sessions().wanting().unwrap();
    one.open(feed).await.unwrap();
    assert_eq!(name(&one.look(CartId::generate()).await), "leased");
    // A session of a feed that has ended meanwhile is none.
    one.feed_begins();
    one.open(feed).await.unwrap();
    assert_eq!(name(&one.look(CartId::generate()).await), "away");
}
