//! The delivery address, on a real database.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use contracts::cart::v1::{DeliveryAddress, SetDeliveryAddressRequest};
use sqlx::PgPool;
use support::{Shopper, address, reason, streets, units};
use tonic::Code;
use uuid::Uuid;

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_address_is_set_replaced_and_taken_back(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let empty = shopper.get().await;
    assert_eq!(empty.delivery_addresses, []);
    assert_eq!(shopper.clear_address("1").await.unwrap(), empty.version, "nothing to take back is fine");

    let version = shopper.deliver_to("2", "Home Lane 1").await;
    assert_eq!(shopper.clear_address("1").await.unwrap(), empty.version, "and its repeat takes nothing back");
    let cart = shopper.get().await;
    assert_eq!((cart.version, cart.delivery_addresses), (version, vec![address("Home Lane 1")]));
    shopper.deliver_to("3", "Work Street 2").await;
    assert_eq!(streets(&shopper.get().await), ["Work Street 2"]);
    let version = shopper.clear_address("4").await.unwrap();
    let cart = shopper.get().await;
    assert_eq!((cart.version, cart.delivery_addresses), (version, vec![]));
}

/// What a line's edit is decided on is remembered; an address in between moves the cart on.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn lines_and_address_leave_each_other_alone(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    for round in 1..=3 {
        shopper.add(&format!("add-{round}"), "offer-1", 1).await;
        shopper.deliver_to(&format!("to-{round}"), &format!("Lane {round}")).await;
        let cart = shopper.get().await;
        assert_eq!((units(&cart), streets(&cart)), (vec![("offer-1", round)], vec![format!("Lane {round}").as_str()]));
    }
    shopper.clear_address("clear").await.unwrap();
    shopper.remove("remove", "offer-1").await.unwrap();
    let cart = shopper.get().await;
    assert_eq!((units(&cart), streets(&cart)), (vec![], vec![]));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn concurrent_edits_of_lines_and_address_all_count(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let edits = (0..16).map(|at| {
        let shopper = shopper.clone();
        async move {
            if at % 2 == 0 {
                shopper.add(&format!("add-{at}"), "offer-1", 1).await;
            } else {
                shopper.deliver_to(&format!("to-{at}"), &format!("Lane {at}")).await;
            }
        }
    });
    futures::future::join_all(edits).await;
    let cart = shopper.get().await;
    assert_eq!((units(&cart), cart.delivery_addresses.len()), (vec![("offer-1", 8)], 1), "one writer, one address");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_repeat_gets_the_first_reply_and_changes_nothing(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let first = shopper.deliver_to("1", "Home Lane 1").await;
    let second = shopper.deliver_to("2", "Work Street 2").await;
    assert_eq!(shopper.deliver_to("1", "Home Lane 1").await, first);
    let cart = shopper.get().await;
    assert_eq!((cart.version.as_str(), streets(&cart)), (second.as_str(), vec!["Work Street 2"]));

    let cleared = shopper.clear_address("3").await.unwrap();
    let third = shopper.deliver_to("4", "Home Lane 1").await;
    assert_eq!(shopper.clear_address("3").await.unwrap(), cleared);
    assert_eq!(shopper.get().await.version, third);

    let reused = [
        shopper.try_deliver_to(shopper.address_request("1", "Elsewhere 3")).await.unwrap_err(),
        shopper.clear_address("1").await.unwrap_err(),
        shopper.try_add(shopper.add_request("1", "offer-1", 1)).await.unwrap_err(),
        shopper.try_deliver_to(shopper.address_request("3", "Home Lane 1")).await.unwrap_err(),
    ];
    for refused in reused {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
    }
}

/// The log must carry an address to the other region. What is kept to answer a repeat need not.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn what_answers_a_repeat_holds_no_address(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.deliver_to("1", "Home Lane 1").await;
    let kept: (bool, bool) = sqlx::query_as(
        "select position('Home Lane'::bytea in outcome) > 0, position('Home Lane'::bytea in delta) > 0
         from cart_operation where operation_key = 'client:1'",
    )
    .fetch_one(&shopper.pool)
    .await
    .unwrap();
    assert_eq!(kept, (false, true));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn the_address_of_another_sessions_cart_is_not_there_to_be_changed(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.deliver_to("1", "Home Lane 1").await;
    let stranger = Shopper { owner_id: Uuid::now_v7().to_string(), ..shopper.clone() };
    let nowhere = Shopper { cart_id: Uuid::now_v7().to_string(), ..shopper.clone() };
    for other in [stranger, nowhere] {
        for refused in [
            other.try_deliver_to(other.address_request("1", "Home Lane 1")).await.unwrap_err(),
            other.clear_address("1").await.unwrap_err(),
        ] {
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CART_NOT_FOUND"));
        }
    }
    assert_eq!(streets(&shopper.get().await), ["Home Lane 1"]);
}

/// The rules of an order's address, in the words of an order.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn bad_addresses_name_the_field_and_its_rule(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let good = shopper.address_request("1", "Home Lane 1");
    let with = |change: fn(&mut DeliveryAddress)| {
        let mut request = good.clone();
        change(request.address.as_mut().unwrap());
        request
    };
    let cases = [
        ("address.recipient", 0, 200, with(|address| address.recipient = "é".repeat(201))),
        ("address.recipient", 0, 200, with(|address| address.recipient = "\u{0}".to_owned())),
        ("address.street", 0, 200, with(|address| address.street = "two\nlines".to_owned())),
        ("address.city", 0, 100, with(|address| address.city = "x".repeat(101))),
        ("address.postal_code", 0, 20, with(|address| address.postal_code = "x".repeat(21))),
        ("address.country", 1, 64, with(|address| address.country = "x".repeat(65))),
        ("address.country", 1, 64, with(|address| address.country = String::new())),
        ("address.country", 1, 64, SetDeliveryAddressRequest { address: None, ..good.clone() }),
    ];
    for (field, min, max, request) in cases {
        let refused = shopper.try_deliver_to(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
        let description = text::Illegible::OutOfBounds { min, max }.to_string();
        let expected = chassis::status::FieldViolation { field: field.to_owned(), description };
        assert_eq!(chassis::status::field_violations(&refused), [expected]);
    }
    let unseen = [
        ("address.country", with(|address| address.country = "\u{3164}".to_owned())),
        ("address.city", with(|address| address.city = " ".to_owned())),
        ("address.street", with(|address| address.street = "\u{202e}teerts".to_owned())),
        ("address.postal_code", with(|address| address.postal_code = "4242424242424242".to_owned())),
        ("address.recipient", with(|address| address.recipient = "4242 4242 4242 4242".to_owned())),
    ];
    for (field, request) in unseen {
        let refused = shopper.try_deliver_to(request).await.unwrap_err();
        let fields: Vec<_> = chassis::status::field_violations(&refused).into_iter().map(|at| at.field).collect();
        assert_eq!(fields, [field]);
        assert!(!format!("{refused:?}").contains("4242"), "{refused:?}");
    }
    let nonsense = SetDeliveryAddressRequest { address: Some(DeliveryAddress::default()), ..Default::default() };
    let refused = shopper.try_deliver_to(nonsense).await.unwrap_err();
    let fields: Vec<_> = chassis::status::field_violations(&refused).into_iter().map(|at| at.field).collect();
    assert_eq!(fields, ["address.country", "cart_id", "owner_id", "idempotency_key"], "all at once");
    shopper.try_deliver_to(with(|address| address.recipient = "é".repeat(200))).await.unwrap();
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_order_leaves_the_address_whether_it_is_placed_or_given_up(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.deliver_to("1", "Home Lane 1").await;
    for order in ["placed", "abandoned"] {
        let seen = shopper.add(order, "offer-1", 2).await;
        let checkout = shopper.checkout(order, &seen.version).await.unwrap();
        let cart = shopper.get().await;
        assert_eq!((units(&cart), streets(&cart)), (vec![], vec!["Home Lane 1"]), "only the lines are hidden");
        if order == "placed" {
            shopper.consume(&checkout.order_id).await;
        } else {
            shopper.abandon(&checkout.order_id).await;
        }
        assert_eq!(streets(&shopper.get().await), ["Home Lane 1"]);
    }
    // An address is part of what a shopper saw: changed, the version that they hold is not the cart's any more.
    let seen = shopper.get().await.version;
    shopper.deliver_to("2", "Work Street 2").await;
    let refused = shopper.checkout("stale", &seen).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CART_VERSION_STALE"));
}

/// Rows of before the column, and of a cart just created, hold the one form of "never touched".
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_new_cart_has_an_untouched_address(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let stored: Vec<u8> = sqlx::query_scalar("select address from cart").fetch_one(&shopper.pool).await.unwrap();
    let untouched = crdt::MvRegister::<cart::domain::Address>::default();
    assert_eq!(stored, crdt::codec::encode_address(&untouched));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_stored_address_that_is_out_of_bounds_is_not_read(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.deliver_to("1", "Home Lane 1").await;
    // As many bytes, one of them a control character.
    let spoiled =
        sqlx::query("update cart set address = set_byte(address, position('Home'::bytea in address) - 1, 10)");
    spoiled.execute(&shopper.pool).await.unwrap();
    let refused = shopper.clear_address("2").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Internal, "INTERNAL"));
}
