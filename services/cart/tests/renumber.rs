//! A region's database that went back in time: it takes no edits as it is, and goes on under another number.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use cart::replication::Replica;
use cart::replication::guard::{Found, look};
use cart::replication::ship::peer;
use chassis::client::Dependency;
use ids::Region;
use sqlx::PgPool;
use support::regions::Regions;
use support::{Shopper, reason, units};
use tokio_util::sync::CancellationToken;

/// What a backup keeps of the one cart: everything, as bytes.
struct Backup(Vec<String>);

const TABLES: [&str; 6] = ["cart", "cart_line", "cart_operation", "cart_checkout", "cart_replica", "cart_log"];

async fn back_up(pool: &PgPool) -> Backup {
    let mut tables = Vec::new();
    for table in TABLES {
        let sql = format!("select coalesce(jsonb_agg(to_jsonb(t)), '[]')::text from {table} t");
        tables.push(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap());
    }
    Backup(tables)
}

/// The database as it was, on a server that has started since.
async fn restore(pool: &PgPool, backup: &Backup) {
    let mut transaction = pool.begin().await.unwrap();
    // The guard is there to stop others.
    sqlx::query("alter table cart_operation disable trigger cart_log_guard").execute(&mut *transaction).await.unwrap();
    for (table, rows) in TABLES.into_iter().zip(&backup.0) {
        let sql = format!("delete from {table}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
        let overriding = if table == "cart_operation" { "overriding system value" } else { "" };
        let sql =
            format!("insert into {table} {overriding} select (jsonb_populate_recordset(null::{table}, $1::jsonb)).*");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(rows).execute(&mut *transaction).await.unwrap();
    }
    sqlx::query("alter table cart_operation enable trigger cart_log_guard").execute(&mut *transaction).await.unwrap();
    sqlx::query("update cart_log set life = 'before'").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

fn dependency(url: &str) -> Dependency {
    Dependency::new("peer-cart", url, peer()).unwrap()
}

async fn claimed(pool: PgPool) -> Regions {
    let regions = Regions::new(pool).await;
    for (side, region) in [(&regions.east, Region::East), (&regions.west, Region::West)] {
        let claimed = Replica::claim(&side.shopper.pool, region, &CancellationToken::new()).await.unwrap();
        assert_eq!(claimed.id(), side.replica.id());
    }
    regions
}

/// The region forgot an add that the other one has: under its old number nothing is edited, by no process; under a new one it goes on,
/// and the add comes back.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_database_that_lost_its_tail_goes_on_only_under_a_new_number(pool: PgPool) {
    let mut regions = claimed(pool).await;
    regions.connect();
    regions.east.shopper.add("1", "offer-1", 2).await;
    regions.converge().await;
    let backup = back_up(&regions.east.shopper.pool).await;
    regions.east.shopper.add("2", "offer-2", 3).await;
    regions.converge().await;
    regions.cut();

    restore(&regions.east.shopper.pool, &backup).await;
    let east = &regions.east.shopper;
    let early = east.try_add(east.add_request("3", "offer-3", 1)).await.unwrap_err();
    assert_eq!(reason(&early), "CART_LOG_UNCONFIRMED", "before anybody was asked");
    let west = dependency(regions.west.url());
    assert_eq!(look(&east.pool, Some(&west), &regions.east.replica).await.unwrap(), Found::Rewound);
    // Neither this process nor one that has never heard of it.
    let stranger = east.process_of(Replica::of(Region::East));
    for process in [east.clone(), Shopper { service: stranger, ..east.clone() }] {
        let refused = process.try_add(process.add_request("4", "offer-3", 1)).await.unwrap_err();
        assert_eq!(reason(&refused), "CART_LOG_REWOUND");
    }
    // Nor is it forgotten with the next start of the server, nor by looking again.
    sqlx::query("update cart_log set life = 'again'").execute(&east.pool).await.unwrap();
    assert_eq!(look(&east.pool, Some(&west), &Replica::of(Region::East)).await.unwrap(), Found::Rewound);

    sqlx::query("select cart_renumber(3)").execute(&east.pool).await.unwrap();
    assert_eq!(
        look(&east.pool, Some(&west), &regions.east.replica).await.unwrap(),
        Found::Renumbered,
        "the old process ends"
    );
    let replica = Replica::claim(&east.pool, Region::East, &CancellationToken::new()).await.unwrap();
    assert_eq!(replica.id(), crdt::ReplicaId(3));
    regions.east_goes_on_as(replica).await;
    let added = regions.east.shopper.add("5", "offer-3", 1).await;
    assert_eq!(added.line.unwrap().quantity, 1);
    regions.connect();
    regions.converge().await;
    for side in [&regions.east, &regions.west] {
        assert_eq!(units(&side.shopper.get().await), [("offer-1", 2), ("offer-2", 3), ("offer-3", 1)]);
    }
    regions.west.shopper.add("6", "offer-3", 1).await;
    regions.converge().await;
    assert_eq!(look(&regions.east.shopper.pool, Some(&west), &regions.east.replica).await.unwrap(), Found::Whole);
}

/// A server that was only restarted has everything the other region has, and goes on; also when the other region cannot be asked. One that is
/// another server waits until it can.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_restart_is_told_from_a_restore(pool: PgPool) {
    let mut regions = claimed(pool).await;
    regions.connect();
    regions.east.shopper.add("1", "offer-1", 2).await;
    regions.converge().await;
    let (east, replica) = (&regions.east.shopper, &regions.east.replica);
    let (there, nowhere) = (dependency(regions.west.url()), dependency("http://127.0.0.1:1"));
    let restarted = "update cart_log set life = 'before'";
    let restored = "update cart_log set life = 'before', identity = 'another'";
    for (happened, peer, found) in [
        (restarted, &there, Found::Whole),
        (restarted, &nowhere, Found::Whole),
        (restored, &nowhere, Found::Unknown),
        (restored, &there, Found::Whole),
    ] {
        sqlx::query(happened).execute(&east.pool).await.unwrap();
        assert_eq!(look(&east.pool, Some(peer), replica).await.unwrap(), found, "{happened}");
        let key = uuid::Uuid::new_v4().to_string();
        let edited = east.try_add(east.add_request(&key, "offer-1", 1)).await;
        match found {
            Found::Unknown => assert_eq!(reason(&edited.unwrap_err()), "CART_LOG_UNCONFIRMED"),
            _ => assert!(edited.is_ok(), "{edited:?}"),
        }
    }
}

/// A process that decided under the old number, and has not noticed yet.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_process_of_the_old_number_writes_nothing_more(pool: PgPool) {
    let regions = claimed(pool).await;
    let east = &regions.east.shopper;
    let old = Shopper { pool: regions.east.replica.sessions(&east.pool), ..east.clone() };
    let old = Shopper { service: old.another_process(), ..old };
    old.add("1", "offer-1", 1).await;
    sqlx::query("select cart_renumber(3)").execute(&east.pool).await.unwrap();
    let refused = old.try_add(old.add_request("2", "offer-1", 1)).await.unwrap_err();
    assert_eq!(reason(&refused), "CART_LOG_RENUMBERED");
    for wrong in [3, 4, 2, 17] {
        let again = sqlx::query("select cart_renumber($1)").bind(wrong).execute(&east.pool).await;
        assert!(again.is_err(), "{wrong}");
    }
    let origins = "select count(*) from cart_operation where origin is distinct from 1";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(origins).fetch_one(&east.pool).await.unwrap(),
        0,
        "what was, was replica 1's"
    );
}
