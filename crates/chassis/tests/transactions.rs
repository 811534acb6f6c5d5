//! A transaction whose caller goes away while it begins.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use futures::poll;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Drops a begin after so many polls, somewhere between taking the connection and the answer to BEGIN, then writes a row on the pool's
/// only connection. Returns how many such rows nobody else can see, over all places where it can be dropped.
async fn writes_lost(pool: &PgPool, begin: impl AsyncFn(PgPool)) -> i64 {
    sqlx::query("create table written (id bigint)").execute(pool).await.unwrap();
    let mut written = 0;
    for polls in 1..=POLLS_MAX {
        let one = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
        let one = one.connect_with(pool.connect_options().as_ref().clone()).await.unwrap();
        let mut begun = Box::pin(begin(one.clone()));
        let mut ready = false;
        for _ in 0..polls {
            ready = ready || poll!(&mut begun).is_ready();
            tokio::task::yield_now().await;
        }
        drop(begun);
        sqlx::query("insert into written values ($1)").bind(polls).execute(&one).await.unwrap();
        written += 1;
        // Unseen while its connection lives, and gone with it.
        one.close().await;
        if ready {
            break;
        }
    }
    let seen: i64 = sqlx::query_scalar("select count(*) from written").fetch_one(pool).await.unwrap();
    written - seen
}

/// More than a begin ever takes.
const POLLS_MAX: i64 = 1_000;

#[sqlx::test]
async fn a_caller_that_goes_away_while_it_begins_leaves_no_transaction_open(pool: PgPool) {
    let begin = async |one: PgPool| drop(chassis::database::begin(&one).await);
    assert_eq!(writes_lost(&pool, begin).await, 0);
}

/// Why there is such a function. When this fails, sqlx has been mended, and `pool.begin()` will do.
#[sqlx::test]
async fn without_it_the_next_write_is_answered_and_lost(pool: PgPool) {
    let begin = async |one: PgPool| drop(one.begin().await);
    assert!(writes_lost(&pool, begin).await > 0);
}
