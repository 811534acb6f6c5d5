//! Two orders of one cart during a cut: what both took is told to the shopper, in both regions alike.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use contracts::cart::v1::BeginCheckoutResponse;
use replication::Position;
use sqlx::PgPool;
use support::regions::Regions;
use support::{Shopper, units};

/// Two units of an offer in a cart that both regions show, and then the link is cut.
async fn cut_apart(pool: PgPool) -> (Regions, Shopper, Shopper) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.add("1", "offer-1", 2).await;
    regions.converge().await;
    regions.cut();
    (regions, east, west)
}

/// Two cuts of one cart: two orders, each of what its shopper saw, and nothing left or doubled afterwards.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cart_ordered_in_both_regions_during_a_cut_is_two_orders_of_what_was_shown(pool: PgPool) {
    let (mut regions, east, west) = cut_apart(pool).await;
    let east_seen = east.add("2", "offer-2", 1).await;
    let west_seen = west.add("3", "offer-3", 4).await;
    let east_order = east.checkout("east", &east_seen.version).await.unwrap();
    let west_order = west.checkout("west", &west_seen.version).await.unwrap();
    let lines = |order: &BeginCheckoutResponse| {
        order.lines.iter().map(|line| (line.offer_id.clone(), line.quantity)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&east_order), [("offer-1".to_owned(), 2), ("offer-2".to_owned(), 1)]);
    assert_eq!(lines(&west_order), [("offer-1".to_owned(), 2), ("offer-3".to_owned(), 4)]);
    east.consume(&east_order.order_id).await;
    west.consume(&west_order.order_id).await;
    regions.connect();
    regions.converge().await;
    assert_eq!(units(&east.get().await), []);
    for side in [&east, &west] {
        shows_ordered_twice(side, "offer-1", 2, [&east_order, &west_order]).await;
    }
}

/// The same when the log that would have told is lost: whole carts tell it too.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn what_was_ordered_twice_is_told_by_a_repair_as_well(pool: PgPool) {
    let (mut regions, east, west) = cut_apart(pool).await;
    // The shopper in the west has added one more, which only the west orders.
    let west_seen = west.add("2", "offer-1", 1).await;
    let east_order = east.checkout("east", &east.get().await.version).await.unwrap();
    let west_order = west.checkout("west", &west_seen.version).await.unwrap();
    east.consume(&east_order.order_id).await;
    west.consume(&west_order.order_id).await;
    for side in [&east, &west] {
        sqlx::query("delete from cart_operation").execute(&side.pool).await.unwrap();
    }
    regions.connect();
    regions.converge().await;
    assert_eq!(units(&east.get().await), []);
    for side in [&east, &west] {
        shows_ordered_twice(side, "offer-1", 2, [&east_order, &west_order]).await;
    }
}

/// The same when an order's beginning and its end come in one batch of the log, as they do after a cut: the end does not tell what it took.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn what_was_ordered_twice_is_told_by_a_batch_that_begins_and_ends_an_order(pool: PgPool) {
    use cart::store::replica::{join_operations, read_log};

    let (_regions, east, west) = cut_apart(pool).await;
    let east_order = east.checkout("east", &east.get().await.version).await.unwrap();
    let west_order = west.checkout("west", &west.get().await.version).await.unwrap();
    east.consume(&east_order.order_id).await;
    west.consume(&west_order.order_id).await;
    for (from, to) in [(&east, &west), (&west, &east)] {
        let mut connection = from.pool.acquire().await.unwrap();
        let log = read_log(&mut connection, from.replica.id(), Position::START, 100, usize::MAX).await.unwrap();
        assert_eq!(log.operations.iter().filter(|(_, operation)| operation.checkout.is_some()).count(), 2);
        let mut transaction = to.pool.begin().await.unwrap();
        join_operations(&mut transaction, to.replica.id(), from.replica.id(), log.through, &log.operations)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
    for side in [&east, &west] {
        shows_ordered_twice(side, "offer-1", 2, [&east_order, &west_order]).await;
    }
}

/// A line that was removed, added anew and ordered here has nothing in common with the old one, which was ordered there.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn units_that_were_removed_and_added_anew_are_not_ordered_twice_in_either_region(pool: PgPool) {
    let (mut regions, east, west) = cut_apart(pool).await;
    east.remove("2", "offer-1").await.unwrap();
    let anew = east.add("3", "offer-1", 2).await;
    let east_order = east.checkout("east", &anew.version).await.unwrap();
    let west_order = west.checkout("west", &west.get().await.version).await.unwrap();
    east.consume(&east_order.order_id).await;
    west.consume(&west_order.order_id).await;
    regions.connect();
    regions.converge().await;
    assert_eq!([east.get().await.ordered_twice, west.get().await.ordered_twice], [vec![], vec![]]);
}

/// The shopper sees what was ordered twice, and by which orders, and may cancel one.
async fn shows_ordered_twice(side: &Shopper, offer: &str, quantity: i64, orders: [&BeginCheckoutResponse; 2]) {
    let twice = side.get().await.ordered_twice;
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert_eq!((twice[0].offer_id.as_str(), twice[0].quantity), (offer, quantity));
    let mut orders = orders.map(|order| order.order_id.clone());
    orders.sort();
    assert_eq!(twice[0].order_ids, orders);
}

/// A row that one region has and the other has not is a difference like any other.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn what_one_region_alone_knows_to_be_ordered_twice_is_repaired(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let west = regions.west.shopper.clone();
    west.add("1", "offer-1", 2).await;
    regions.converge().await;
    // A pass over all carts begins with each connection.
    regions.cut();
    sqlx::query(
        "insert into cart_ordered_twice
         select cart_id, 'offer-1', '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 2 from cart",
    )
    .execute(&west.pool)
    .await
    .unwrap();
    regions.connect();
    regions.converge().await;
    assert_eq!(regions.east.shopper.get().await.ordered_twice.len(), 1);
}
