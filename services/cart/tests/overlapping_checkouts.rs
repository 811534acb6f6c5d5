//! Checkouts that overlap in time, and edits while they are undecided, on a real database and in two regions.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use contracts::cart::v1::BeginCheckoutResponse;
use contracts::money::v1::Money;
use sqlx::PgPool;
use support::regions::{Regions, eventually};
use support::{Shopper, reason, units};
use tonic::Code;

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Placed,
    Rejected,
}
use Fate::{Placed, Rejected};

async fn decide(shopper: &Shopper, checkout: &BeginCheckoutResponse, fate: Fate) {
    match fate {
        Placed => drop(shopper.consume(&checkout.order_id).await),
        Rejected => shopper.abandon(&checkout.order_id).await,
    }
}

fn ordered(checkout: &BeginCheckoutResponse) -> Vec<(&str, i64)> {
    checkout.lines.iter().map(|line| (line.offer_id.as_str(), line.quantity)).collect()
}

/// Orders 2 of A; while that is undecided adds 3 of A and 1 of B, and orders those. `second_is_first` says which is decided first.
async fn overlap(shopper: &Shopper, fates: [Fate; 2], second_is_first: bool) -> Vec<(String, i64)> {
    let seen = shopper.add("1", "offer-1", 2).await;
    let one = shopper.checkout("order-1", &seen.version).await.unwrap();
    shopper.add("2", "offer-1", 3).await;
    let seen = shopper.add("3", "offer-2", 1).await;
    let two = shopper.checkout("order-2", &seen.version).await.unwrap();
    assert_eq!((ordered(&one), ordered(&two)), (vec![("offer-1", 2)], vec![("offer-1", 3), ("offer-2", 1)]));
    assert_eq!(units(&shopper.get().await), []);
    let mut decisions = [(&one, fates[0]), (&two, fates[1])];
    if second_is_first {
        decisions.reverse();
    }
    for (checkout, fate) in decisions {
        decide(shopper, checkout, fate).await;
    }
    units(&shopper.get().await).into_iter().map(|(offer, units)| (offer.to_owned(), units)).collect()
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn each_order_takes_what_it_ordered_whatever_becomes_of_the_other_in_either_region(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let east = regions.east.shopper.clone();
    let mut number = 0;
    for fates in [[Placed, Placed], [Placed, Rejected], [Rejected, Placed], [Rejected, Rejected]] {
        for second_is_first in [false, true] {
            number += 1;
            let east = east.with_another_cart(&format!("cart-{number}")).await;
            let west = Shopper { cart_id: east.cart_id.clone(), ..regions.west.shopper.clone() };
            let left = overlap(&east, fates, second_is_first).await;
            let a = [2, 3].into_iter().zip(fates).filter(|(_, fate)| *fate == Rejected).map(|(units, _)| units).sum();
            let mut expected = vec![("offer-1".to_owned(), a)];
            if fates[1] == Rejected {
                expected.push(("offer-2".to_owned(), 1));
            }
            expected.retain(|(_, units)| *units > 0);
            assert_eq!(left, expected, "{fates:?}, second first: {second_is_first}");
            regions.converge().await;
            let there = west.get().await;
            let there: Vec<_> = units(&there).into_iter().map(|(offer, units)| (offer.to_owned(), units)).collect();
            assert_eq!(there, expected, "in the other region: {fates:?}, second first: {second_is_first}");
        }
    }
}

/// What shows while the order is undecided and after it was rejected, of 2 units ordered and 3 added since.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_edit_while_an_order_is_undecided_leaves_alone_what_the_order_holds(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    for (edit, fate, left) in [
        ("none", Rejected, 5),
        ("remove", Rejected, 2),
        ("remove", Placed, 0),
        ("set", Rejected, 6),
        ("set", Placed, 4),
    ] {
        let shopper = shopper.with_another_cart(&format!("{edit}-{fate:?}")).await;
        let seen = shopper.add("1", "offer-1", 2).await;
        let checkout = shopper.checkout("order", &seen.version).await.unwrap();
        shopper.add("2", "offer-1", 3).await;
        match edit {
            "remove" => drop(shopper.remove("3", "offer-1").await.unwrap()),
            "set" => assert_eq!(shopper.set("3", "offer-1", 4).await.unwrap().line.unwrap().quantity, 4),
            _ => {}
        }
        decide(&shopper, &checkout, fate).await;
        let shown: i64 = units(&shopper.get().await).iter().map(|(_, units)| units).sum();
        assert_eq!(shown, left, "{edit}, {fate:?}");
    }

    let shopper = shopper.with_another_cart("set-set").await;
    shopper.add("1", "offer-1", 1).await;
    let seen = shopper.set("2", "offer-1", 5).await.unwrap();
    let checkout = shopper.checkout("order", &seen.version).await.unwrap();
    shopper.add("3", "offer-1", 1).await;
    shopper.set("4", "offer-1", 2).await.unwrap();
    shopper.abandon(&checkout.order_id).await;
    assert_eq!(units(&shopper.get().await), [("offer-1", 7)]);
}

/// Tab A orders X and will be declined. Tab B is shown Y alone, at a version. Then X comes back: tab B must not pay for it.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_version_from_before_a_rejected_order_brought_its_lines_back_is_stale_in_both_regions(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    let seen = east.add("1", "offer-1", 2).await;
    let checkout = east.checkout("tab-a", &seen.version).await.unwrap();
    let tab_b = east.add("2", "offer-2", 1).await.version;
    regions.converge().await;
    let shown = [east.get().await, west.get().await];
    assert_eq!((&shown[0], &shown[0].version), (&shown[1], &tab_b));

    regions.cut();
    east.abandon(&checkout.order_id).await;
    let refused = east.checkout("tab-b", &tab_b).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CART_VERSION_STALE"));
    // Different carts have different versions, also while the regions cannot talk.
    assert_eq!(units(&west.get().await), [("offer-2", 1)]);
    assert_ne!(east.get().await.version, west.get().await.version);

    regions.connect();
    regions.converge().await;
    assert_eq!(east.get().await, west.get().await);
    assert_eq!(units(&west.get().await), [("offer-1", 2), ("offer-2", 1)]);
    let refused = west.checkout("tab-b", &tab_b).await.unwrap_err();
    assert_eq!(reason(&refused), "CART_VERSION_STALE");
    // Abandoned again: nothing changes, and the version stays.
    let version = east.get().await.version;
    east.abandon(&checkout.order_id).await;
    assert_eq!(east.get().await.version, version);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_order_that_does_not_cost_what_was_shown_is_refused_and_takes_nothing(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let seen = shopper.add("1", "offer-1", 2).await;
    let total = |minor_units, currency: &str| Some(Money { minor_units, currency_code: currency.to_owned() });
    for wrong in [total(499, "GBP"), total(500, "EUR"), total(0, "GBP")] {
        let mut request = shopper.checkout_request("order", &seen.version);
        request.expected_total = wrong;
        let refused = shopper.begin(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CART_TOTAL_CHANGED"));
    }
    let mut request = shopper.checkout_request("order", &seen.version);
    request.expected_total = total(500, "pounds");
    assert_eq!(reason(&shopper.begin(request.clone()).await.unwrap_err()), "INVALID_REQUEST");
    assert_eq!(shopper.get().await.version, seen.version);
    request.expected_total = total(500, "GBP");
    assert_eq!(ordered(&shopper.begin(request.clone()).await.unwrap()), [("offer-1", 2)]);
    // The first answer is for what it named, and for nothing else.
    assert_eq!(ordered(&shopper.begin(request.clone()).await.unwrap()), [("offer-1", 2)]);
    for other in [total(499, "GBP"), None] {
        request.expected_total = other;
        assert_eq!(reason(&shopper.begin(request.clone()).await.unwrap_err()), "IDEMPOTENCY_KEY_REUSED");
    }
}

/// While the provider is away no order is decided: 33 sets of one line, each held by an order of its own.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_line_that_many_undecided_orders_hold_stays_readable_and_there_is_an_end_to_them(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    let mut orders = Vec::new();
    let refused = loop {
        let number = orders.len();
        east.add(&format!("add-{number}"), "offer-1", 1).await;
        let seen = east.set(&format!("set-{number}"), "offer-1", 1).await.unwrap();
        match east.checkout(&format!("order-{number}"), &seen.version).await {
            Ok(order) => orders.push(order),
            Err(refused) => break refused,
        }
    };
    assert_eq!((orders.len(), reason(&refused).as_str()), (cart::domain::CHECKOUTS_OPEN_MAX, "TOO_MANY_CHECKOUTS"));
    assert_eq!(units(&east.get().await), [("offer-1", 1)]);
    regions.converge().await;
    assert_eq!(east.get().await, west.get().await);
    // Every other order is rejected: its unit shows again, on top of the one that was not ordered.
    for (at, order) in orders.iter().enumerate() {
        decide(&east, order, if at % 2 == 0 { Placed } else { Rejected }).await;
    }
    regions.converge().await;
    assert_eq!(units(&west.get().await), [("offer-1", 26)]);
    // And one edit makes the line as small as ever.
    west.set("last", "offer-1", 3).await.unwrap();
    regions.converge().await;
    let bytes: i32 =
        sqlx::query_scalar("select octet_length(line) from cart_line").fetch_one(&east.pool).await.unwrap();
    assert!(bytes < 100, "a line of {bytes} bytes");
}

/// A value that cannot be read, whatever wrote it, is one cart's. The others are shipped, joined and repaired.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cart_that_cannot_be_read_keeps_no_other_from_the_other_region(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.add("1", "offer-1", 1).await;
    regions.converge().await;
    let other = east.with_another_cart("other").await;
    let other_there = Shopper { cart_id: other.cart_id.clone(), ..west.clone() };
    let shows = async |shopper: &Shopper, expected: i64| {
        eventually("it shows in the other region", async || {
            let request = contracts::cart::v1::GetCartRequest {
                cart_id: shopper.cart_id.clone(),
                owner_id: shopper.owner_id.clone(),
            };
            let cart = contracts::cart::v1::cart_service_server::CartService::get_cart(
                &shopper.service,
                tonic::Request::new(request),
            );
            cart.await.is_ok_and(|cart| units(&cart.into_inner().cart.unwrap()) == [("offer-9", expected)])
        })
        .await;
    };
    let spoil = async |pool: &PgPool, what: &str| {
        let spoil = format!("update {what} where cart_id = '{}'", east.cart_id);
        sqlx::query(sqlx::AssertSqlSafe(spoil)).execute(pool).await.unwrap();
    };

    // The receiver's: deltas for it are refused, those of the other cart joined.
    spoil(&west.pool, "cart_line set line = '\\x01ff'").await;
    east.add("2", "offer-1", 1).await;
    other.add("1", "offer-9", 1).await;
    shows(&other_there, 1).await;
    spoil(&west.pool, "cart set context = '\\xff'").await;
    east.add("3", "offer-1", 1).await;
    other.add("2", "offer-9", 1).await;
    shows(&other_there, 2).await;

    // The shipper's: its log and its repairs go on without it.
    regions.cut();
    spoil(&east.pool, "cart_line set line = '\\x01ff'").await;
    other.add("3", "offer-9", 1).await;
    sqlx::query("delete from cart_operation").execute(&east.pool).await.unwrap();
    regions.connect();
    shows(&other_there, 3).await;
}
