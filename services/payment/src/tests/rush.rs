//! Sixty-four at once: refunds, captures and voids of one payment. Never more goes out than came in.

use std::sync::Arc;
use std::time::Duration;

use ids::OrderId;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::world::{World, refund, terms};
use crate::domain::refund::RefundRejected;
use crate::driver::{DriveError, Driver};
use crate::store::StoreError;
use crate::workers::drive_due;

/// 120 in all, of which the refunds want acme's: 30 each, so three of them fit.
const SHARES: &[(&str, i64)] = &[("acme", 100), ("globex", 20)];
const REFUNDS: usize = 44;
const CAPTURES: usize = 10;
const VOIDS: usize = 10;
/// Without the lock so many refunds are decided before one of them is stored, so that the race is one every time. Each holds a
/// connection meanwhile.
const UNGUARDED: usize = 8;

/// Where the payment stands when they all come.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Authorised,
    Captured,
}

/// What is left unguarded.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    /// The lock under which the domain decides.
    Lock,
    /// The lock, and the database's own checks.
    LockAndChecks,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    /// What the provider took for the order, and how often.
    came_in: i64,
    captures: usize,
    voids: usize,
    /// What it paid back.
    went_out: i64,
    /// What our ledger says that it owes us.
    receivable: i64,
    /// Refunds that the database alone stopped.
    caught: usize,
}

async fn world(pool: PgPool, without: Without) -> World {
    // As a service's, not one that shares its connections with those of the other tests.
    let connections = u32::try_from(UNGUARDED * 2).unwrap();
    let options = PgPoolOptions::new().min_connections(connections).max_connections(connections);
    let pool = options.connect_with((*pool.connect_options()).clone()).await.unwrap();
    let mut world = World::new(pool).await;
    if without != Without::Nothing {
        let mut store = world.store().clone();
        store.unguarded_refunds = Some(Arc::new(Barrier::new(UNGUARDED)));
        world.driver = Driver::new(store, Arc::clone(world.driver.provider()), 1_000);
    }
    if without == Without::LockAndChecks {
        for sql in [
            "alter table payment drop constraint payment_refunds_within_capture",
            "alter table payment_share drop constraint payment_share_refunds_within_share",
        ] {
            sqlx::query(sql).execute(&world.pool).await.unwrap();
        }
    }
    world
}

/// Refunds as soon as there is something to refund. Returns whether the database was what stopped it.
async fn refund_once_captured(world: World, order: OrderId) -> bool {
    let request = refund(order, &[("acme", 30)]);
    loop {
        match world.driver.refund(&request).await {
            Err(DriveError::Store(StoreError::RefundRejected(RefundRejected::NotCaptured {
                state: "authorised" | "capturing",
            }))) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(DriveError::Store(StoreError::RefundExceedsCapture { .. })) => return true,
            _ => return false,
        }
    }
}

async fn rush(world: &World, start: Start) -> Outcome {
    let order = if start == Start::Captured {
        world.captured(SHARES).await
    } else {
        let order = OrderId::generate();
        world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
        order
    };
    let (token, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
    let worker = tokio::spawn(drive_due(world.driver.clone(), wake, token.clone()));
    let mut all = JoinSet::new();
    for _ in 0..REFUNDS {
        all.spawn(refund_once_captured(world.clone(), order));
    }
    for _ in 0..CAPTURES {
        let world = world.clone();
        // Once it is voided a shipped order is poison, which the order's saga never lets happen.
        all.spawn(async move {
            let _ = world.ship(order).await;
            false
        });
    }
    for _ in 0..VOIDS {
        let world = world.clone();
        all.spawn(async move {
            let _ = world.driver.void(order).await;
            false
        });
    }
    assert_eq!(all.len(), 64);
    let together = tokio::time::timeout(Duration::from_secs(60), all.join_all()).await.expect("they all end");
    let caught = together.into_iter().filter(|caught| *caught).count();
    token.cancel();
    worker.await.unwrap().unwrap();
    world.work_until_idle().await;
    let captures = world.provider.count("succeeded");
    // A statement of its own: the books are locked until its end.
    let came_in = world.provider.books().intents.iter().filter_map(|intent| intent["amount_captured"].as_i64()).sum();
    Outcome {
        came_in,
        captures,
        voids: world.provider.count("canceled"),
        went_out: world.provider.refunded_minor(),
        receivable: world
            .count("select coalesce(sum(amount_minor), 0)::bigint from posting where account_id = 'psp_receivable'")
            .await,
        caught,
    }
}

const WHAT_FITS: Outcome = Outcome { came_in: 120, captures: 1, voids: 0, went_out: 90, receivable: 30, caught: 0 };
const NOTHING: Outcome = Outcome { came_in: 0, captures: 0, voids: 1, went_out: 0, receivable: 0, caught: 0 };

#[sqlx::test(migrations = false)]
async fn sixty_four_at_once_pay_back_what_fits_and_no_more(pool: PgPool) {
    let world = world(pool, Without::Nothing).await;
    assert_eq!(rush(&world, Start::Captured).await, WHAT_FITS);
}

/// Whether the capture or the void comes first is open; that both happen, or a refund of what was voided, is not.
#[sqlx::test(migrations = false)]
async fn sixty_four_at_once_either_take_the_money_or_let_it_go(pool: PgPool) {
    let world = world(pool, Without::Nothing).await;
    let outcome = rush(&world, Start::Authorised).await;
    assert!(outcome == WHAT_FITS || outcome == NOTHING, "{outcome:?}");
}

#[sqlx::test(migrations = false)]
async fn without_the_lock_the_database_is_the_last_line(pool: PgPool) {
    let world = world(pool, Without::Lock).await;
    let outcome = rush(&world, Start::Captured).await;
    assert!(outcome.caught > 0, "{outcome:?}");
    assert_eq!(Outcome { caught: 0, ..outcome }, WHAT_FITS);
}

/// The guards taken away: the tests above can fail.
#[sqlx::test(migrations = false)]
async fn without_any_guard_the_rush_pays_out_more_than_came_in(pool: PgPool) {
    let world = world(pool, Without::LockAndChecks).await;
    let outcome = rush(&world, Start::Captured).await;
    assert_eq!(outcome.came_in, 120);
    assert!(outcome.went_out > outcome.came_in, "{outcome:?}");
}
