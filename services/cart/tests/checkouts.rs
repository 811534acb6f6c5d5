//! Checkout as a causal cut, on a real database.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::Duration;

use cart::store::Settled;
use cart::workers::{Orders, settle_due};
use contracts::order::v1::OrderFate;
use ids::OrderId;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use support::{Shopper, reason, units};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_placed_order_takes_what_was_seen_and_leaves_what_was_added_since(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 2).await;
    let seen = shopper.add("2", "offer-2", 1).await;
    let checkout = shopper.checkout("order", &seen.version).await.unwrap();
    assert_eq!(checkout.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(units(&shopper.get().await), [], "hidden while undecided");

    shopper.add("3", "offer-1", 3).await;
    assert_eq!(units(&shopper.get().await), [("offer-1", 3)]);
    assert_eq!(shopper.consume(&checkout.order_id).await, Settled::Consumed);
    assert_eq!(shopper.consume(&checkout.order_id).await, Settled::Before);
    let cart = shopper.get().await;
    assert_eq!(units(&cart), [("offer-1", 3)]);

    // And that is what the next order takes.
    let next = shopper.checkout("next", &cart.version).await.unwrap();
    assert_eq!(next.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [3]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_consumed_cart_leaves_no_rows(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let seen = shopper.add("1", "offer-1", 2).await;
    let checkout = shopper.checkout("order", &seen.version).await.unwrap();
    shopper.consume(&checkout.order_id).await;
    let rows = sqlx::query_as::<_, (i64, i32)>("select (select count(*) from cart_line), line_count from cart");
    assert_eq!(rows.fetch_one(&shopper.pool).await.unwrap(), (0, 0));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_abandoned_checkout_puts_everything_back(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let seen = shopper.add("1", "offer-1", 2).await;
    let checkout = shopper.checkout("order", &seen.version).await.unwrap();
    shopper.add("2", "offer-1", 3).await;
    shopper.abandon(&checkout.order_id).await;
    shopper.abandon(&checkout.order_id).await;
    assert_eq!(units(&shopper.get().await), [("offer-1", 5)]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_repeated_checkout_keeps_the_first_order(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let seen = shopper.add("1", "offer-1", 2).await;
    let first = shopper.checkout("order", &seen.version).await.unwrap();
    assert_eq!(shopper.checkout("order", &seen.version).await.unwrap(), first);

    let grown = shopper.add("2", "offer-1", 1).await;
    let reused = shopper.checkout("order", &grown.version).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn two_checkouts_at_once_of_one_version_give_one_order(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let seen = shopper.add("1", "offer-1", 2).await;
    let (one, other) = tokio::join!(shopper.checkout("a", &seen.version), shopper.checkout("b", &seen.version));
    let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].code(), reason(&refused[0]).as_str()), (Code::Aborted, "CART_VERSION_STALE"));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn versions_that_are_not_this_carts_are_refused(pool: PgPool) {
    let shopper = Shopper::new(pool.clone()).await;
    let empty = shopper.get().await.version;
    let refused = shopper.checkout("order", &empty).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CART_EMPTY"));

    let stale = shopper.add("1", "offer-1", 1).await.version;
    shopper.add("2", "offer-1", 1).await;
    let refused = shopper.checkout("order", &stale).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CART_VERSION_STALE"));

    // A version of the other region that has not arrived here yet.
    let mut ahead = crdt::CausalContext::new();
    ahead.insert(crdt::Dot::new(crdt::ReplicaId(2), 1));
    let refused = shopper.checkout("order", &cart::domain::Version(ahead).to_string()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CART_VERSION_AHEAD"));

    let refused = shopper.checkout("order", "not a version").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
}

/// The cart was made in the other region a moment ago and is on its way, as the version tells: to be tried again.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_version_of_a_cart_that_is_not_here_yet_is_ahead_and_an_empty_one_is_of_no_cart(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let seen = shopper.add("1", "offer-1", 1).await.version;
    let elsewhere = Shopper { cart_id: uuid::Uuid::now_v7().to_string(), ..shopper.clone() };
    let ahead = elsewhere.checkout("order", &seen).await.unwrap_err();
    assert_eq!((ahead.code(), reason(&ahead).as_str()), (Code::Aborted, "CART_VERSION_AHEAD"));
    let nothing = cart::domain::Version(crdt::CausalContext::new()).to_string();
    let unknown = elsewhere.checkout("order", &nothing).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "CART_NOT_FOUND"));
}

/// However many stay undecided, each overdue checkout gets its turn.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn checkouts_that_stay_undecided_keep_no_other_from_being_looked_at(pool: PgPool) {
    let shopper = Shopper::new(pool.clone()).await;
    let mut begun = std::collections::BTreeSet::new();
    for nth in 0..5 {
        let seen = shopper.add(&format!("add-{nth}"), "offer-1", 1).await;
        begun.insert(shopper.checkout(&format!("order-{nth}"), &seen.version).await.unwrap().order_id);
    }
    let long_ago = "update cart_checkout set begun_at = now() - interval '10 minutes'";
    sqlx::query(long_ago).execute(&pool).await.unwrap();
    let mut looked_at = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let taken = cart::store::take_overdue(&pool, Duration::from_secs(300), 2).await.unwrap();
        looked_at.extend(taken.iter().map(|overdue| overdue.order_id.to_string()));
    }
    assert_eq!(looked_at, begun);
    let again = cart::store::take_overdue(&pool, Duration::ZERO, 10).await.unwrap();
    assert!(again.is_empty(), "none is due again so soon: {again:?}");
    sqlx::query("update cart_checkout set next_look_at = now()").execute(&pool).await.unwrap();
    assert_eq!(cart::store::take_overdue(&pool, Duration::ZERO, 10).await.unwrap().len(), 5);
}

/// An order service that has never heard of any order.
struct NoOrders;

impl Orders for NoOrders {
    async fn fate(&self, _: OrderId) -> Result<OrderFate, Status> {
        Ok(OrderFate::Unknown)
    }
}

/// Somebody left a transaction open that holds one cart: the lines of the others are put back, and those when they can be.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cart_that_somebody_holds_keeps_no_other_overdue_checkout_from_being_settled(pool: PgPool) {
    let one = Shopper::new(pool.clone()).await;
    let shoppers = [one.clone(), one.with_another_cart("second").await, one.with_another_cart("third").await];
    for shopper in &shoppers {
        let seen = shopper.add("add", "offer-1", 2).await;
        shopper.checkout("order", &seen.version).await.unwrap();
    }
    let long_ago = "update cart_checkout set begun_at = now() - interval '10 minutes', next_look_at = now()";
    sqlx::query(long_ago).execute(&pool).await.unwrap();
    let [_, held, _] = &shoppers;
    let mut holder = pool.begin().await.unwrap();
    let lock = sqlx::query("select 1 from cart where cart_id = $1::uuid for update").bind(&held.cart_id);
    assert_eq!(lock.fetch_all(&mut *holder).await.unwrap().len(), 1);

    // As the service's own sessions, only sooner.
    let hasty = pool.connect_options().as_ref().clone().options([("statement_timeout", "300ms")]);
    let hasty = PgPoolOptions::new().max_connections(2).connect_with(hasty).await.unwrap();
    let token = CancellationToken::new();
    settle_due(&hasty, &NoOrders, one.replica.id(), &token).await.unwrap();
    for shopper in &shoppers {
        let is_back = units(&shopper.get().await) == [("offer-1", 2)];
        assert_eq!(is_back, shopper.cart_id != held.cart_id, "{}", shopper.cart_id);
    }

    holder.rollback().await.unwrap();
    sqlx::query("update cart_checkout set next_look_at = now()").execute(&pool).await.unwrap();
    settle_due(&hasty, &NoOrders, one.replica.id(), &token).await.unwrap();
    assert_eq!(units(&held.get().await), [("offer-1", 2)]);
}
