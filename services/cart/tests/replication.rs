//! Replication between two regions, each on a real database, over a real link.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use ids::CartId;
use replication::Position;
use sqlx::PgPool;
use support::regions::{Regions, eventually};
use support::{Shopper, reason, streets, units};

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_edit_in_either_region_shows_in_the_other(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    regions.east.shopper.add("1", "offer-1", 2).await;
    regions.west.shopper.add("2", "offer-2", 3).await;
    regions.converge().await;
    let cart = regions.west.shopper.get().await;
    assert_eq!(units(&cart), [("offer-1", 2), ("offer-2", 3)]);
    assert_eq!(cart, regions.east.shopper.get().await);
}

/// What a shopper meant, in both regions at once while they cannot talk.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn edits_during_a_cut_merge_by_intent(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    for (key, offer) in [("1", "offer-1"), ("2", "offer-2"), ("3", "offer-3")] {
        east.add(key, offer, 2).await;
    }
    regions.converge().await;
    regions.cut();

    // Adds sum. A remove takes what it saw. Of two sets the larger stands.
    east.add("4", "offer-1", 2).await;
    west.add("5", "offer-1", 3).await;
    east.remove("6", "offer-2").await.unwrap();
    west.add("7", "offer-2", 1).await;
    east.set("8", "offer-3", 5).await.unwrap();
    west.set("9", "offer-3", 4).await.unwrap();
    assert_eq!(units(&west.get().await), [("offer-1", 5), ("offer-2", 3), ("offer-3", 4)]);
    regions.connect();
    regions.converge().await;
    assert_eq!(units(&west.get().await), [("offer-1", 7), ("offer-2", 1), ("offer-3", 5)]);
    // And what was removed stays removed when it is shipped back and forth.
    west.remove("10", "offer-2").await.unwrap();
    regions.converge().await;
    assert_eq!(units(&east.get().await), [("offer-1", 7), ("offer-3", 5)]);
}

/// The regions could not talk, and the offer's currency changed in one of them.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn two_currencies_that_meet_on_a_heal_stay_apart_until_the_shopper_removes_one(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    west.catalog.in_yen.store(true, std::sync::atomic::Ordering::Relaxed);
    east.add("1", "offer-1", 1).await;
    west.add("2", "offer-1", 1).await;
    west.set("3", "offer-1", 2).await.unwrap();
    regions.connect();
    regions.converge().await;
    for side in [&east, &west] {
        let cart = side.get().await;
        let lines: Vec<_> =
            cart.lines.iter().map(|line| (line.unit_price.clone().unwrap().currency_code, line.quantity)).collect();
        assert_eq!(lines, [("GBP".to_owned(), 1), ("JPY".to_owned(), 2)]);
        assert_eq!(cart.total, None);
    }
    let version = east.get().await.version;
    let refused = east.checkout("order", &version).await.unwrap_err();
    assert_eq!(reason(&refused), "MIXED_CURRENCIES");
    assert!(refused.message().contains("GBP and JPY"), "{}", refused.message());
    assert_eq!(reason(&east.set("4", "offer-1", 1).await.unwrap_err()), "MIXED_CURRENCIES");

    east.remove_in("5", "offer-1", "GBP").await.unwrap();
    regions.converge().await;
    let cart = west.get().await;
    assert_eq!(cart.total.clone().unwrap().currency_code, "JPY");
    west.checkout("order", &cart.version).await.unwrap();
}

/// Neither of two concurrent addresses is right by itself: both stand, in both regions, until the shopper chooses.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn addresses_assigned_during_a_cut_both_stand_until_one_is_chosen(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.deliver_to("1", "Old Lane 0").await;
    regions.converge().await;
    regions.cut();
    east.deliver_to("2", "Home Lane 1").await;
    west.deliver_to("3", "Elsewhere 3").await;
    west.deliver_to("4", "Work Street 2").await;
    regions.connect();
    regions.converge().await;
    for side in [&east, &west] {
        assert_eq!(streets(&side.get().await), ["Home Lane 1", "Work Street 2"]);
    }
    west.deliver_to("5", "Work Street 2").await;
    assert_eq!(streets(&west.get().await), ["Work Street 2"]);
    regions.converge().await;
    assert_eq!(streets(&east.get().await), ["Work Street 2"]);
    assert_eq!(east.get().await, west.get().await);

    // What was taken back in one region stands beside nothing; what the other assigned meanwhile stays.
    regions.cut();
    east.clear_address("6").await.unwrap();
    west.deliver_to("7", "Inn 4").await;
    regions.connect();
    regions.converge().await;
    assert_eq!(streets(&east.get().await), ["Inn 4"]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn one_address_assigned_in_both_regions_is_one_to_the_shopper(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.deliver_to("1", "Home Lane 1").await;
    west.deliver_to("2", "Home Lane 1").await;
    regions.connect();
    regions.converge().await;
    assert_eq!(streets(&east.get().await), ["Home Lane 1"]);
    east.clear_address("3").await.unwrap();
    regions.converge().await;
    assert_eq!(west.get().await.delivery_addresses, [], "both are replaced");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_address_repeated_in_the_other_region_gets_its_first_reply(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let first = regions.east.shopper.deliver_to("1", "Home Lane 1").await;
    regions.west.knows("1").await;
    regions.converge().await;
    let west = &regions.west.shopper;
    assert_eq!(west.deliver_to("1", "Home Lane 1").await, first);
    let other = west.try_deliver_to(west.address_request("1", "Work Street 2")).await.unwrap_err();
    assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(streets(&west.get().await), ["Home Lane 1"]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_request_repeated_in_the_other_region_gets_its_first_reply(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let first = regions.east.shopper.add("1", "offer-1", 2).await;
    regions.west.knows("1").await;
    regions.converge().await;
    assert_eq!(regions.west.shopper.add("1", "offer-1", 2).await, first);
    let other = regions.west.shopper.try_add(regions.west.shopper.add_request("1", "offer-1", 3)).await;
    assert_eq!(reason(&other.unwrap_err()), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(units(&regions.west.shopper.get().await), [("offer-1", 2)]);
}

/// An order takes exactly what it saw, in both regions.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_order_leaves_what_the_other_region_added_meanwhile(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    let seen = east.add("1", "offer-1", 2).await;
    regions.converge().await;
    let checkout = east.checkout("order", &seen.version).await.unwrap();
    eventually("the cut hides its lines in the other region too", async || units(&west.get().await).is_empty()).await;
    west.add("2", "offer-1", 3).await;
    east.consume(&checkout.order_id).await;
    regions.converge().await;
    assert_eq!(units(&west.get().await), [("offer-1", 3)]);
    assert_eq!(units(&east.get().await), [("offer-1", 3)]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_abandoned_checkout_puts_its_lines_back_in_both_regions(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let seen = regions.east.shopper.add("1", "offer-1", 2).await;
    let checkout = regions.east.shopper.checkout("order", &seen.version).await.unwrap();
    regions.converge().await;
    assert_eq!(units(&regions.west.shopper.get().await), []);
    regions.east.shopper.abandon(&checkout.order_id).await;
    regions.converge().await;
    assert_eq!(units(&regions.west.shopper.get().await), [("offer-1", 2)]);
}

/// The other region has more of the log than there is: a backup came back under the old replica number.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_database_that_went_back_in_time_takes_no_edits(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    let east = regions.east.shopper.clone();
    let seen = east.add("1", "offer-1", 2).await;
    sqlx::query("insert into cart_replica (replica, received_transaction) values ($1, 1000000000000)")
        .bind(i16::from(regions.east.replica.id().0))
        .execute(&regions.west.shopper.pool)
        .await
        .unwrap();
    regions.connect();
    let refused = |refusal: &tonic::Status| reason(refusal) == "CART_LOG_REWOUND";
    eventually("edits are refused", async || {
        let key = uuid::Uuid::new_v4().to_string();
        east.try_add(east.add_request(&key, "offer-1", 1)).await.is_err_and(|refusal| refused(&refusal))
    })
    .await;
    assert!(refused(&east.set("2", "offer-1", 5).await.unwrap_err()));
    assert!(refused(&east.remove("3", "offer-1").await.unwrap_err()));
    assert!(refused(&east.checkout("4", &seen.version).await.unwrap_err()));
}

/// A log entry that nobody will ever ship, as a bug or a lost disk leaves behind.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn anti_entropy_repairs_what_a_lost_log_left_different(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.add("1", "offer-1", 2).await;
    west.add("2", "offer-2", 3).await;
    for side in [&east, &west] {
        sqlx::query("delete from cart_operation").execute(&side.pool).await.unwrap();
    }
    // Shipping has nothing to ship; comparing finds it.
    regions.connect();
    regions.converge().await;
    assert_eq!(units(&west.get().await), [("offer-1", 2), ("offer-2", 3)]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn anti_entropy_repairs_an_address(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.deliver_to("1", "Home Lane 1").await;
    west.deliver_to("2", "Work Street 2").await;
    for side in [&east, &west] {
        sqlx::query("delete from cart_operation").execute(&side.pool).await.unwrap();
    }
    regions.connect();
    regions.converge().await;
    assert_eq!(streets(&west.get().await), ["Home Lane 1", "Work Street 2"]);
    // The address alone, with the same context on both sides: only its own bytes tell.
    regions.cut();
    sqlx::query("update cart set address = default").execute(&west.pool).await.unwrap();
    assert_eq!(west.get().await.delivery_addresses, []);
    regions.connect();
    regions.converge().await;
    assert_eq!(streets(&west.get().await), ["Home Lane 1", "Work Street 2"]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn shipping_goes_on_where_it_was_after_a_restart(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    for round in 0..5 {
        regions.connect();
        for at in 0..20 {
            regions.east.shopper.add(&format!("{round}/{at}"), &format!("offer-{at}"), 1).await;
        }
        // In the middle of it, whatever is on its way.
        regions.cut();
    }
    regions.connect();
    regions.converge().await;
    let cart = regions.west.shopper.get().await;
    assert_eq!(cart.lines.len(), 20);
    assert!(cart.lines.iter().all(|line| line.quantity == 5), "{cart:?}");
}

/// One bad cart must not stop the others.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_hostile_delta_is_refused_and_its_neighbours_are_joined(pool: PgPool) {
    use cart::store::replica::{Operation, join_operations};

    let mut regions = Regions::new(pool).await;
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    east.add("1", "offer-1", 2).await;
    // As if an operation of west's own, which it never performed.
    let forged = crdt::Dot::new(west.replica.id(), 99);
    let operation = |key: &str, delta| Operation {
        key: key.to_owned(),
        request_digest: vec![1],
        outcome: Vec::new(),
        delta,
        creation: None,
        checkout: None,
    };
    let cart_id: CartId = west.cart_id.parse().unwrap();
    let operations = [
        (cart_id, operation("forged", crdt::codec::encode_delta(&cart::domain::CartDelta::tick(forged)))),
        (cart_id, operation("garbage", vec![255; 40])),
    ];
    let mut transaction = west.pool.begin().await.unwrap();
    let through = Position { transaction: 1, sequence: 1 };
    let joined = join_operations(&mut transaction, west.replica.id(), east.replica.id(), through, &operations).await;
    transaction.commit().await.unwrap();
    let joined = joined.unwrap();
    assert_eq!((joined.refused.len(), joined.through), (2, through));
    regions.connect();
    regions.converge().await;
    assert_eq!(units(&west.get().await), [("offer-1", 2)]);
}

/// What a client may not write, a peer may not ship: neither in an operation nor in a whole cart.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_address_that_is_out_of_bounds_is_refused_from_a_peer(pool: PgPool) {
    use cart::domain::{Address, CartState};
    use cart::store::replica::{CartReplica, Creation, Operation, join_operations, join_replicas};
    use crdt::codec::{encode_cart, encode_delta};

    let regions = Regions::new(pool).await;
    let (east, west) = (&regions.east.shopper, &regions.west.shopper);
    let [recipient, city, postal_code] = [(); 3].map(|()| String::new());
    let address = Address {
        recipient: recipient.try_into().unwrap(),
        street: "Home Lane 1".to_owned().try_into().unwrap(),
        city: city.try_into().unwrap(),
        postal_code: postal_code.try_into().unwrap(),
        country: "France".to_owned().try_into().unwrap(),
    };
    let mut cart = CartState::default();
    let delta = cart.assign_address(east.replica.id(), address).unwrap();
    let with_a_control_character = |mut bytes: Vec<u8>| {
        let at = bytes.windows(4).position(|window| window == b"Home").unwrap();
        bytes[at] = b'\n';
        bytes
    };

    let cart_id: CartId = west.cart_id.parse().unwrap();
    let operation = Operation {
        key: "client:1".to_owned(),
        request_digest: vec![1],
        outcome: Vec::new(),
        delta: with_a_control_character(encode_delta(&delta)),
        creation: None,
        checkout: None,
    };
    let creation = Creation { owner_id: west.owner_id.parse().unwrap(), idempotency_key: "cart".parse().unwrap() };
    let state = with_a_control_character(encode_cart(&cart));
    let whole = CartReplica { creation, state, checkouts: Vec::new(), ordered_twice: Vec::new() };
    let (here, there, through) = (west.replica.id(), east.replica.id(), Position { transaction: 1, sequence: 1 });
    let before = west.get().await;
    let mut transaction = west.pool.begin().await.unwrap();
    let joined = join_operations(&mut transaction, here, there, through, &[(cart_id, operation)]).await.unwrap();
    assert_eq!(joined.refused.len(), 1);
    assert_eq!(join_replicas(&mut transaction, here, &[(cart_id, whole)]).await.unwrap().len(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(west.get().await, before);
}

/// Somebody looks at one cart by hand, with its rows locked, for longer than any statement may wait.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cart_that_somebody_holds_keeps_no_other_from_the_region(pool: PgPool) {
    let mut regions = Regions::new(pool).await;
    regions.connect();
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    let other = east.with_another_cart("another").await;
    east.add("1", "offer-1", 1).await;
    other.add("1", "offer-1", 1).await;
    regions.converge().await;
    for table in ["cart", "cart_line"] {
        let mut holder = west.pool.begin().await.unwrap();
        let lock = format!("select 1 from {table} where cart_id = '{}' for update", east.cart_id);
        sqlx::query(sqlx::AssertSqlSafe(lock)).execute(&mut *holder).await.unwrap();
        let held = east.add(&format!("held-{table}"), "offer-1", 1).await;
        let before = units_of(&west, &other).await;
        for number in 0..3 {
            other.add(&format!("{table}-{number}"), "offer-1", 1).await;
        }
        eventually("the other cart is replicated", async || units_of(&west, &other).await == before + 3).await;
        assert_ne!(west.get().await.version, held.version, "the cart was not held");
        holder.rollback().await.unwrap();
        regions.converge().await;
        // What was left out is known here all the same: a repeat adds nothing.
        let repeated = west.try_add(west.add_request(&format!("held-{table}"), "offer-1", 1)).await.unwrap();
        assert_eq!(repeated.version, held.version);
    }
    assert_eq!(units(&west.get().await), [("offer-1", 3)]);
}

/// Units of `of`'s cart as `side` shows it.
async fn units_of(side: &Shopper, of: &Shopper) -> i64 {
    let there = Shopper { cart_id: of.cart_id.clone(), ..side.clone() };
    there.get().await.lines.iter().map(|line| line.quantity).sum()
}
