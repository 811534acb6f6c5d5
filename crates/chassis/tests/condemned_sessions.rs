//! A database whose sessions can only read for a while, as after a failover.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::{Duration, Instant};

use chassis::database::{note, of_writers};
use chassis::status::{from_database, reason, retry_delay};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tonic::Code;

/// A service's pool on the database of the test.
async fn service_pool(pool: &PgPool) -> PgPool {
    let options = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(2));
    of_writers(options).connect_with(pool.connect_options().as_ref().clone()).await.unwrap()
}

/// From now on new sessions can only read, or can write again.
async fn set_read_only(pool: &PgPool, is_read_only: bool) {
    let database: String = sqlx::query_scalar("select current_database()").fetch_one(pool).await.unwrap();
    let setting = if is_read_only { "on" } else { "off" };
    let sql = format!("alter database \"{database}\" set default_transaction_read_only = {setting}");
    // Sessions that can only read may not change that.
    let mut conn = pool.acquire().await.unwrap();
    sqlx::query("set default_transaction_read_only = off").execute(&mut *conn).await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await.unwrap();
}

async fn write(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("insert into written values (1)").execute(pool).await.map(drop)
}

#[sqlx::test]
async fn a_session_that_can_only_read_is_replaced_once_it_says_so(pool: PgPool) {
    sqlx::query("create table written (id bigint)").execute(&pool).await.unwrap();
    set_read_only(&pool, true).await;
    let service = service_pool(&pool).await;
    let error = write(&service).await.unwrap_err();
    set_read_only(&pool, false).await;
    // What the edge answers, which tells the pool too.
    let status = from_database(&error);
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(&status).as_deref(), Some("DEPENDENCY_UNAVAILABLE"));
    assert!(retry_delay(&status).is_some());
    // Another test of this process may have condemned the sessions a moment ago, which is then not done again.
    let deadline = Instant::now() + Duration::from_millis(900);
    while let Err(error) = write(&service).await {
        assert!(Instant::now() < deadline, "{error}");
        note(&error);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test]
async fn a_session_that_can_only_read_is_noticed_by_asking_though_nobody_says_so(pool: PgPool) {
    sqlx::query("create table written (id bigint)").execute(&pool).await.unwrap();
    set_read_only(&pool, true).await;
    let service = service_pool(&pool).await;
    write(&service).await.unwrap_err();
    set_read_only(&pool, false).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while write(&service).await.is_err() {
        assert!(Instant::now() < deadline, "the session is still handed out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
