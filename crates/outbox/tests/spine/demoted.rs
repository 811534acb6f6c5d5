//! A database whose server was demoted and lives: the sessions that are open stay open, and find nothing for ever.

use ids::Region;
use outbox::{NewEvent, append};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::support::{Topic, eventually, relay, settings};

/// Sessions of this pool believe that they are on a standby when they were opened before a moment that [`demote`] sets: a function of
/// the same name stands before Postgres' own.
async fn demotable(pool: &PgPool) -> PgPool {
    sqlx::raw_sql(
        "create schema demoted;
         create table demoted.since (at timestamptz not null);
         create function demoted.pg_is_in_recovery() returns boolean language sql as
             'select exists (select from demoted.since s, pg_stat_activity a where a.pid = pg_backend_pid() and a.backend_start < s.at)';",
    )
    .execute(pool)
    .await
    .unwrap();
    let options = pool.connect_options().as_ref().clone().options([("search_path", "demoted,public,pg_catalog")]);
    PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap()
}

async fn demote(pool: &PgPool) {
    sqlx::query("insert into demoted.since select clock_timestamp()").execute(pool).await.unwrap();
}

/// The process that holds the local lane's lock, and the one that listens.
async fn sessions(pool: &PgPool) -> (Option<i32>, Option<i32>) {
    let lane = "select pid from pg_locks where locktype = 'advisory' and classid = x'6f757462'::int::oid and objid = 1 and granted
                    and database = (select oid from pg_database where datname = current_database())";
    let listener =
        "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %outbox%'
                        and state = 'idle'";
    let of = async |sql| sqlx::query_scalar(sql).fetch_optional(pool).await.unwrap();
    (of(lane).await, of(listener).await)
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_lane_that_has_nothing_to_do_leaves_a_demoted_server_and_so_does_its_listener(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let demotable = demotable(&pool).await;
    let running = relay(&demotable, &settings());
    eventually("the relay is active", async || {
        let now = sessions(&pool).await;
        now.0.is_some() && now.1.is_some()
    })
    .await;
    let before = sessions(&pool).await;
    demote(&pool).await;
    eventually("both have new sessions", async || {
        let now = sessions(&pool).await;
        now.0.is_some() && now.1.is_some() && now.0 != before.0 && now.1 != before.1
    })
    .await;
    let mut tx = pool.begin().await.unwrap();
    let event = NewEvent {
        event_type: topic.0,
        aggregate_type: "test",
        aggregate_id: Uuid::now_v7().to_string(),
        payload: b"after the failover".to_vec(),
    };
    append(&mut tx, Region::East, &[event]).await.unwrap();
    tx.commit().await.unwrap();
    let left = async || sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(&pool).await.unwrap();
    eventually("it is published", async || left().await == 0).await;
    running.stop().await;
    assert_eq!(topic.records().await.len(), 1);
}
