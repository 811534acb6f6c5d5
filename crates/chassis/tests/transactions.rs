//! A transaction whose caller goes away while it begins.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use futures::poll;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// More than a begin ever takes.
const POLLS_MAX: i64 = 1_000;
/// Drops a begin after so many polls, somewhere between taking the connection and the answer to BEGIN, then writes a row on the pool's
/// only connection, in so many rounds. Returns how many such rows nobody else can see, over all places where it can be dropped; ends with the first.
async fn writes_lost(pool: &PgPool, rounds: usize, begin: impl AsyncFn(PgPool)) -> i64 {
    sqlx::query("create table written (id bigint)").execute(pool).await.unwrap();
    let mut written = 0;
    for _ in 0..rounds {
        for polls in 1..=POLLS_MAX {
            let ready = write_after(pool, &begin, polls).await;
            written += 1;
            if ready {
                break;
            }
        }
        let seen: i64 = sqlx::query_scalar("select count(*) from written").fetch_one(pool).await.unwrap();
        if seen < written {
            return written - seen;
        }
    }
    0
}

/// One begin that is dropped after `polls`, and a write. Returns whether it had begun by then.
async fn write_after(pool: &PgPool, begin: &impl AsyncFn(PgPool), polls: i64) -> bool {
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
    // Unseen while its connection lives, and gone with it.
    one.close().await;
    ready
}

#[sqlx::test]
async fn a_caller_that_goes_away_while_it_begins_leaves_no_transaction_open(pool: PgPool) {
    let begin = async |one: PgPool| drop(chassis::database::begin(&one).await);
    assert_eq!(writes_lost(&pool, 1, begin).await, 0);
}

/// Why there is such a function. When this fails, sqlx has been mended, and `pool.begin()` will do.
#[sqlx::test]
async fn without_it_the_next_write_is_answered_and_lost(pool: PgPool) {
    let begin = async |one: PgPool| drop(one.begin().await);
    // On a busy machine the answer to BEGIN may be there before anybody could stop waiting for it; then the place is tried again.
    assert!(writes_lost(&pool, 50, begin).await > 0);
}
