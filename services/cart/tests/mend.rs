//! A cart of which a stored value does not decode is whole again, and both regions agree on what it is.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use cart::domain::SKIPPED;
use cart::replication::Replica;
use cart::store::mend::{NotMended, Outcome, Plan, Record, Value, plan, read, write};
use crdt::codec::decode_context;
use ids::{CartId, Region};
use sqlx::PgPool;
use support::regions::{Regions, Side};
use support::{Shopper, streets, units};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Two regions that have talked: two units of an offer, one of another and an address from east, three of a third from west.
async fn talked(pool: PgPool) -> Regions {
    let mut regions = Regions::new(pool).await;
    for (side, region) in [(&regions.east, Region::East), (&regions.west, Region::West)] {
        Replica::claim(&side.shopper.pool, region, &CancellationToken::new()).await.unwrap();
    }
    regions.connect();
    regions.east.shopper.add("1", "offer-1", 2).await;
    regions.east.shopper.add("2", "offer-2", 1).await;
    regions.east.shopper.deliver_to("3", "Home 1").await;
    regions.converge().await;
    regions.west.shopper.add("4", "offer-3", 3).await;
    regions.converge().await;
    // Everything is acknowledged and a day old: nothing of it is in a log any more.
    for side in [&regions.east, &regions.west] {
        sqlx::query("delete from cart_operation").execute(&side.shopper.pool).await.unwrap();
    }
    regions
}

async fn spoil(side: &Side, what: &str) {
    let spoil = format!("update {what}");
    let done = sqlx::query(sqlx::AssertSqlSafe(spoil)).execute(&side.shopper.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{what}");
}

fn cart_id(side: &Side) -> CartId {
    side.shopper.cart_id.parse().unwrap()
}

/// What `backbone cart mend --apply` does.
async fn mend(here: &Side, there: &Side) -> Result<Plan, NotMended> {
    let (mut ours, mut theirs) = (here.shopper.pool.begin().await.unwrap(), there.shopper.pool.begin().await.unwrap());
    let stored = read(&mut ours, cart_id(here)).await.unwrap().unwrap();
    let other = read(&mut theirs, cart_id(there)).await.unwrap();
    let plan = plan(&stored, other.as_ref())?;
    let record = Record { mend_id: Uuid::now_v7(), by: "ann", reason: "a test" };
    write(&mut ours, cart_id(here), &stored, &plan, record).await.unwrap();
    ours.commit().await.unwrap();
    here.replica.log_grew();
    Ok(plan)
}

async fn mends(side: &Side) -> Vec<(String, String, String, String)> {
    sqlx::query_as("select value, outcome, mended_by, reason from cart_mend order by mended_at, value")
        .fetch_all(&side.shopper.pool)
        .await
        .unwrap()
}

async fn is_readable(shopper: &Shopper) -> bool {
    let request =
        contracts::cart::v1::GetCartRequest { cart_id: shopper.cart_id.clone(), owner_id: shopper.owner_id.clone() };
    use contracts::cart::v1::cart_service_server::CartService as _;
    // Another process: one that has the cart in memory goes on showing it.
    shopper.another_process().get_cart(tonic::Request::new(request)).await.is_ok()
}

/// Both show this, byte for byte the same, and go on being edited.
async fn agree(regions: &mut Regions, expected: &[(&str, i64)]) {
    regions.connect();
    regions.converge().await;
    for side in [&regions.east, &regions.west] {
        assert_eq!(units(&side.shopper.get().await), expected);
    }
    regions.east.shopper.add("after-east", "offer-9", 1).await;
    regions.west.shopper.add("after-west", "offer-9", 2).await;
    regions.converge().await;
    let mut after = expected.to_vec();
    after.push(("offer-9", 3));
    assert_eq!(units(&regions.west.shopper.get().await), after);
    regions.cut();
}

/// Since the regions last talked the one adds to the line that the other then cannot read, and that one too: none of it is lost.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_line_that_one_region_cannot_read_is_the_others_with_what_was_done_here_since(pool: PgPool) {
    let mut regions = talked(pool).await;
    regions.cut();
    regions.east.shopper.add("5", "offer-1", 4).await;
    regions.west.shopper.add("6", "offer-1", 1).await;
    regions.east.shopper.remove("7", "offer-3").await.unwrap();
    spoil(&regions.east, "cart_line set line = '\\x01ff' where offer_id = 'offer-1'").await;
    assert!(!is_readable(&regions.east.shopper).await);

    let plan = mend(&regions.east, &regions.west).await.unwrap();
    assert_eq!(plan.outcomes, [(Value::Line("offer-1".to_owned()), Outcome::Joined)].into());
    assert_eq!(units(&regions.east.shopper.get().await), [("offer-1", 7), ("offer-2", 1)]);
    assert_eq!(
        mends(&regions.east).await,
        [("line offer-1", "joined", "ann", "a test")].map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into()))
    );
    agree(&mut regions, &[("offer-1", 7), ("offer-2", 1)]).await;
}

/// Were one of its dots issued again, the other region would take the new operation for the old one.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_context_that_cannot_be_read_is_made_anew_and_no_dot_is_issued_again(pool: PgPool) {
    let mut regions = talked(pool).await;
    regions.cut();
    regions.east.shopper.add("5", "offer-1", 4).await;
    regions.east.shopper.remove("6", "offer-2").await.unwrap();
    let before: Vec<u8> =
        sqlx::query_scalar("select context from cart").fetch_one(&regions.east.shopper.pool).await.unwrap();
    let before = decode_context(&before).unwrap();
    spoil(&regions.east, "cart set context = '\\xff'").await;

    let plan = mend(&regions.east, &regions.west).await.unwrap();
    assert!(plan.mended.state.context().covers(&before));
    assert_eq!(plan.mended.operation.counter, before.greatest(crdt::ReplicaId(1)) + SKIPPED + 1);
    agree(&mut regions, &[("offer-1", 6), ("offer-3", 3)]).await;
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn an_address_that_cannot_be_read_is_the_other_regions(pool: PgPool) {
    let mut regions = talked(pool).await;
    regions.cut();
    spoil(&regions.west, "cart set address = '\\x0107'").await;
    let plan = mend(&regions.west, &regions.east).await.unwrap();
    assert_eq!(plan.outcomes, [(Value::Address, Outcome::Joined)].into());
    assert_eq!(streets(&regions.west.shopper.get().await), ["Home 1"]);
    let kept: Option<Vec<u8>> =
        sqlx::query_scalar("select bytes from cart_mend").fetch_one(&regions.west.shopper.pool).await.unwrap();
    assert_eq!(kept, None, "where somebody lives is kept in one place");
    agree(&mut regions, &[("offer-1", 2), ("offer-2", 1), ("offer-3", 3)]).await;
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_line_that_neither_region_can_read_is_dropped_in_both_and_nothing_else_is(pool: PgPool) {
    let mut regions = talked(pool).await;
    regions.cut();
    let (east, west) = (&regions.east, &regions.west);
    west.shopper.add("5", "offer-2", 5).await;
    for side in [east, west] {
        spoil(side, "cart_line set line = '\\x01ff' where offer_id = 'offer-1'").await;
    }

    let plan = mend(east, west).await.unwrap();
    assert_eq!(plan.outcomes, [(Value::Line("offer-1".to_owned()), Outcome::Lost)].into());
    assert_eq!(units(&east.shopper.get().await), [("offer-2", 6), ("offer-3", 3)]);
    let bytes: Vec<u8> = sqlx::query_scalar("select bytes from cart_mend").fetch_one(&east.shopper.pool).await.unwrap();
    assert_eq!(bytes, [1, 0xff], "as it was, for whoever asks");
    // What is left to do in the other region is to take this one's.
    let plan = mend(west, east).await.unwrap();
    assert_eq!(plan.outcomes, [(Value::Line("offer-1".to_owned()), Outcome::Joined)].into());
    agree(&mut regions, &[("offer-2", 6), ("offer-3", 3)]).await;
}

/// The cut of an undecided order hides what it holds; what it takes must be what was ordered.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cut_is_the_other_regions_or_the_cart_is_left_alone(pool: PgPool) {
    let mut regions = talked(pool).await;
    let (east, west) = (regions.east.shopper.clone(), regions.west.shopper.clone());
    let version = east.get().await.version;
    let request = east.checkout_request("order", &version);
    east.begin(request.clone()).await.unwrap();
    regions.converge().await;
    regions.cut();
    spoil(&regions.east, "cart_checkout set cut = '\\x01ff'").await;
    assert!(!is_readable(&east).await);
    let plan = mend(&regions.east, &regions.west).await.unwrap();
    let value = Value::Cut(request.order_id.parse().unwrap());
    assert_eq!(plan.outcomes, [(value, Outcome::Joined)].into());
    assert!(is_readable(&east).await);

    for side in [&regions.east, &regions.west] {
        spoil(side, "cart_checkout set cut = '\\x01ff'").await;
    }
    let refused = mend(&regions.east, &regions.west).await.unwrap_err();
    assert!(matches!(refused, NotMended::CutLost(order) if order.to_string() == request.order_id), "{refused:?}");
    // Its order is taken back, so nobody asks what it held.
    east.abandon(&request.order_id).await;
    assert!(is_readable(&east).await);
    regions.connect();
    support::regions::eventually("west hears of it", async || is_readable(&west).await).await;
    regions.converge().await;
    assert_eq!(units(&west.get().await), [("offer-1", 2), ("offer-2", 1), ("offer-3", 3)]);
}
