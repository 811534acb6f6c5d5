//! Editing a cart, on a real database.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::sync::atomic::Ordering;

use contracts::cart::v1::cart_service_server::CartService as _;
use contracts::cart::v1::{AddLineRequest, CartLine, GetCartRequest};
use sqlx::PgPool;
use support::{Shopper, reason, units};
use tonic::{Code, Request};
use uuid::Uuid;

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_edited_cart_reads_back_as_edited(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 2).await;
    let added = shopper.add("2", "offer-1", 3).await;
    assert_eq!(added.line.unwrap().quantity, 5);
    shopper.add("3", "offer-2", 1).await;
    shopper.set("4", "offer-2", 7).await.unwrap();
    shopper.add("5", "offer-3", 1).await;
    let removed = shopper.remove("6", "offer-3").await.unwrap();

    let cart = shopper.get().await;
    assert_eq!(units(&cart), [("offer-1", 5), ("offer-2", 7)]);
    assert_eq!(cart.total.unwrap().minor_units, 12 * 250);
    assert_eq!(cart.version, removed.version);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_repeat_gets_the_first_reply_and_changes_nothing(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let first = shopper.add("1", "offer-1", 2).await;
    shopper.add("2", "offer-1", 3).await;
    assert_eq!(shopper.add("1", "offer-1", 2).await, first);
    assert_eq!(units(&shopper.get().await), [("offer-1", 5)]);

    let other = shopper.try_add(shopper.add_request("1", "offer-1", 9)).await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
}

/// A request that changed nothing has an outcome as well: its repeat must not take what its shopper had not seen.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_repeat_of_what_changed_nothing_changes_nothing_later(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let nothing = shopper.remove("1", "offer-1").await.unwrap();
    let refused = shopper.set("2", "offer-1", 4).await.unwrap_err();
    assert_eq!(reason(&refused), "LINE_NOT_FOUND");
    shopper.add("3", "offer-1", 2).await;
    assert_eq!(shopper.remove("1", "offer-1").await.unwrap(), nothing);
    let again = shopper.set("2", "offer-1", 4).await.unwrap_err();
    assert_eq!((again.code(), reason(&again)), (refused.code(), reason(&refused)));
    assert_eq!(units(&shopper.get().await), [("offer-1", 2)]);
    let other = shopper.remove("2", "offer-1").await.unwrap_err();
    assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");
}

/// Units by price of a line, the dearest first, in minor units.
fn prices(line: Option<&CartLine>) -> Vec<(i64, i64)> {
    let units = line.iter().flat_map(|line| &line.prices);
    units.map(|units| (units.unit_price.as_ref().unwrap().minor_units, units.quantity)).collect()
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn each_unit_costs_what_the_catalogue_showed_when_it_was_added(pool: PgPool) {
    for (before, now) in [(250, 999), (999, 250)] {
        let shopper = Shopper::new(pool.clone()).await;
        shopper.catalog.price.store(before, Ordering::Relaxed);
        shopper.add("1", "offer-1", 1).await;
        shopper.catalog.price.store(now, Ordering::Relaxed);
        let added = shopper.add("2", "offer-1", 3).await.line;
        let mut expected = vec![(before, 1), (now, 3)];
        expected.sort_unstable_by_key(|(price, _)| std::cmp::Reverse(*price));
        assert_eq!(prices(added.as_ref()), expected, "at once, and from memory");
        assert_eq!(added.unwrap().unit_price.unwrap().minor_units, 999, "the dearest");

        let cart = shopper.get().await;
        assert_eq!(prices(cart.lines.first()), expected);
        assert_eq!(cart.total.unwrap().minor_units, before + 3 * now);
        let raised = shopper.set("3", "offer-1", 6).await.unwrap().line;
        assert_eq!(prices(raised.as_ref()).iter().find(|(price, _)| *price == now), Some(&(now, 5)));
        let lowered = shopper.set("4", "offer-1", 1).await.unwrap().line;
        assert_eq!(prices(lowered.as_ref()), [(250, 1)], "the dearest go first");
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_quantity_is_lowered_and_a_line_removed_without_the_catalogue(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 5).await;
    let asked = shopper.catalog.calls.load(Ordering::Relaxed);
    shopper.set("2", "offer-1", 2).await.unwrap();
    shopper.set("3", "offer-1", 2).await.unwrap();
    shopper.remove("4", "offer-1").await.unwrap();
    assert_eq!(shopper.catalog.calls.load(Ordering::Relaxed), asked);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_add_in_another_currency_is_refused_until_the_cart_is_empty(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 1).await;
    shopper.catalog.in_yen.store(true, Ordering::Relaxed);
    for (key, offer) in [("2", "offer-1"), ("3", "offer-2")] {
        let refused = shopper.try_add(shopper.add_request(key, offer, 1)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CART_CURRENCY_DIFFERS"));
    }
    let refused = shopper.set("4", "offer-1", 2).await.unwrap_err();
    assert_eq!(reason(&refused), "CART_CURRENCY_DIFFERS");
    assert_eq!(units(&shopper.get().await), [("offer-1", 1)]);
    shopper.remove("5", "offer-1").await.unwrap();
    shopper.add("6", "offer-2", 1).await;
    shopper.add("7", "offer-1", 1).await;
    assert_eq!(shopper.get().await.total.unwrap().currency_code, "JPY");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn concurrent_adds_all_count(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let adds = (0..24).map(|at| {
        let shopper = shopper.clone();
        async move { shopper.add(&format!("add-{at}"), &format!("offer-{}", at % 3), 1).await }
    });
    futures::future::join_all(adds).await;
    assert_eq!(units(&shopper.get().await), [("offer-0", 8), ("offer-1", 8), ("offer-2", 8)]);
    let line_count =
        sqlx::query_scalar::<_, i32>("select line_count from cart").fetch_one(&shopper.pool).await.unwrap();
    assert_eq!(line_count, 3);
}

/// The optimistic lock is what makes the test above pass: a writer that ignores the revision loses another's add.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_edit_decided_on_an_old_revision_is_not_written(pool: PgPool) {
    use cart::domain::{Edit, Item, Quantity, decide};
    use cart::store::{self, Stored, Write};

    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 1).await;
    let (cart_id, item) = (shopper.cart_id.parse().unwrap(), Item("offer-1".parse().unwrap()));
    let old = store::load_line(&shopper.pool, cart_id, &item, "client:late").await.unwrap().unwrap();
    shopper.add("2", "offer-1", 1).await;

    let now = old.state.line.units().into_keys().next().cloned();
    let edit = Edit::Set(Quantity::try_from(9).unwrap(), now);
    let edited = decide(&old.state, &item, &edit, crdt::ReplicaId(1)).unwrap().unwrap();
    let stored = Stored { request_digest: vec![1], outcome: vec![] };
    let late = store::commit_edit(&shopper.pool, cart_id, &old, &item, &edited, "client:late", &stored).await;
    assert_eq!(late.unwrap(), Write::Raced);
    assert_eq!(units(&shopper.get().await), [("offer-1", 2)]);
}

/// The service remembers what it last saw of a cart. Whatever changed it since, the truth is what counts.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_edit_never_builds_on_a_memory_that_is_out_of_date(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let process = || Shopper { service: shopper.another_process(), ..shopper.clone() };
    let (here, there) = (process(), process());
    here.add("1", "offer-1", 1).await;
    there.add("2", "offer-1", 1).await;
    // Remembered here as 1; refused there as gone, allowed here as changed.
    assert_eq!(here.add("3", "offer-1", 1).await.line.unwrap().quantity, 3);
    there.remove("4", "offer-1").await.unwrap();
    assert_eq!(reason(&here.set("5", "offer-1", 4).await.unwrap_err()), "LINE_NOT_FOUND");
    assert_eq!(here.add("6", "offer-1", 5).await.line.unwrap().quantity, 5);

    // A person with a SQL prompt, who knows nothing of revisions.
    let line = "select line from cart_line where offer_id = 'offer-1'";
    let five: Vec<u8> = sqlx::query_scalar(line).fetch_one(&shopper.pool).await.unwrap();
    here.add("7", "offer-1", 2).await;
    sqlx::query("update cart_line set line = $1").bind(five).execute(&shopper.pool).await.unwrap();
    assert_eq!(here.add("8", "offer-1", 1).await.line.unwrap().quantity, 6);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cart_of_another_session_is_not_found(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 1).await;
    let stranger = Shopper { owner_id: Uuid::now_v7().to_string(), ..shopper.clone() };
    let request = GetCartRequest { cart_id: stranger.cart_id.clone(), owner_id: stranger.owner_id.clone() };
    let never_was = GetCartRequest { cart_id: Uuid::now_v7().to_string(), ..request.clone() };
    let refusals = [
        shopper.service.get_cart(Request::new(request)).await.unwrap_err(),
        shopper.service.get_cart(Request::new(never_was)).await.unwrap_err(),
        stranger.try_add(stranger.add_request("1", "offer-1", 1)).await.unwrap_err(),
        stranger.checkout("1", &shopper.get().await.version).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CART_NOT_FOUND"));
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn bad_requests_name_the_field(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let good = shopper.add_request("1", "offer-1", 1);
    let cases = [
        ("quantity", AddLineRequest { quantity: 0, ..good.clone() }),
        ("quantity", AddLineRequest { quantity: -1, ..good.clone() }),
        ("quantity", AddLineRequest { quantity: 10_001, ..good.clone() }),
        ("cart_id", AddLineRequest { cart_id: "17".to_owned(), ..good.clone() }),
        ("owner_id", AddLineRequest { owner_id: String::new(), ..good.clone() }),
        ("offer_id", AddLineRequest { offer_id: "no spaces".to_owned(), ..good.clone() }),
        ("idempotency_key", AddLineRequest { idempotency_key: "x".repeat(129), ..good.clone() }),
    ];
    for (field, request) in cases {
        let refused = shopper.try_add(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
        let fields = chassis::status::field_violations(&refused);
        assert_eq!(fields.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), [field]);
    }
    let unknown = shopper.try_add(AddLineRequest { offer_id: "unknown".to_owned(), ..good }).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "OFFER_NOT_FOUND"));
    let no_line = shopper.set("2", "offer-9", 1).await.unwrap_err();
    assert_eq!((no_line.code(), reason(&no_line).as_str()), (Code::NotFound, "LINE_NOT_FOUND"));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn line_1501_is_refused(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("1", "offer-1", 1).await;
    // As if 1,499 more had been added one by one.
    sqlx::query("update cart set line_count = 1500, revision = revision + 1").execute(&shopper.pool).await.unwrap();
    let refused = shopper.try_add(shopper.add_request("2", "offer-2", 1)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CART_FULL"));
    shopper.add("3", "offer-1", 1).await;
}
