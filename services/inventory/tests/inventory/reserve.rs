//! Reserving from local rights.

use std::sync::Arc;

use ids::Region;
use inventory::domain::{Event, Move, ReserveRefusal, State, Transition};
use inventory::grpc::{ReserveError, Reserving};
use inventory::store::{self, StoreError};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::fixture::{NoPeer, Site, assert_books_balance, lines, order_of};

#[sqlx::test(migrations = false)]
async fn every_line_is_reserved_or_none(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 5), ("b", 5)]).await;

    assert!(store::reserve(&east.pool, &order_of(&[("a", 2), ("b", 5)])).await.unwrap());
    assert!(!store::reserve(&east.pool, &order_of(&[("a", 2), ("b", 1)])).await.unwrap());
    assert!(!store::reserve(&east.pool, &order_of(&[("a", 2), ("unknown", 1)])).await.unwrap());

    assert_eq!(east.level("a").await, (3, 2, 0));
    assert_eq!(east.level("b").await, (0, 5, 0));
    assert_books_balance(&east.pool).await;
}

#[sqlx::test(migrations = false)]
async fn a_repeat_gets_the_first_outcome_and_other_lines_are_refused(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 5), ("b", 5)]).await;
    let reserving = Reserving::new(east.pool.clone(), NoPeer);
    let order = order_of(&[("a", 2), ("b", 1)]);

    let first = reserving.reserve(&order).await.unwrap();
    let repeat = reserving.reserve(&order).await.unwrap();
    assert_eq!(first.timestamp_micros(), repeat.timestamp_micros());

    let mut other = order.clone();
    other.lines = lines(&[("a", 3)]);
    other.digest = other.lines.digest("");
    let refused = reserving.reserve(&other).await.unwrap_err();
    assert!(matches!(refused, ReserveError::Refused(ReserveRefusal::KeyReused)), "{refused:?}");
    assert_eq!(east.level("a").await, (3, 2, 0));
}

#[sqlx::test(migrations = false)]
async fn a_reserve_that_comes_after_its_release_is_refused(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 5)]).await;
    let order = order_of(&[("a", 2)]);

    let mut transaction = east.pool.begin().await.unwrap();
    let released = store::apply(&mut transaction, Event::ReleaseRequested, order.order_id).await;
    transaction.commit().await.unwrap();
    assert!(matches!(released.unwrap(), Ok(Transition::To(State::Released(_), Move::NONE))));

    let refused = Reserving::new(east.pool.clone(), NoPeer).reserve(&order).await.unwrap_err();
    assert!(matches!(refused, ReserveError::Refused(ReserveRefusal::Released)), "{refused:?}");
    assert_eq!(east.level("a").await, (5, 0, 0));
}

#[sqlx::test(migrations = false)]
async fn an_order_of_1500_lines_is_one_reservation(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let ids: Vec<String> = (0..1_500).map(|index| format!("offer-{index}")).collect();
    let goods: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 3)).collect();
    east.receive(&goods).await;
    assert!(store::reserve(&east.pool, &order_of(&goods)).await.unwrap());
    assert_eq!(east.level("offer-1499").await, (0, 3, 0));
    assert_books_balance(&east.pool).await;
}

/// Forty orders of three of five offers, in every order of lines, for stock that covers about half of them.
#[sqlx::test(migrations = false)]
async fn concurrent_orders_never_sell_more_than_there_is(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Arc::new(Site::new(&options, Region::East).await);
    let ids = ["a", "b", "c", "d", "e"];
    east.receive(&ids.map(|id| (id, 24))).await;

    let orders = (0..40).map(|index| {
        let east = Arc::clone(&east);
        let wanted = [2, 1, 0].map(|step| (ids[(index + step * 2) % ids.len()], 2));
        tokio::spawn(async move { store::reserve(&east.pool, &order_of(&wanted)).await.unwrap() })
    });
    let mut reserved = 0;
    for order in orders.collect::<Vec<_>>() {
        reserved += i64::from(order.await.unwrap());
    }

    let mut held = 0;
    for id in ids {
        let (available, units, _) = east.level(id).await;
        assert!(available >= 0 && available + units == 24, "{id}: {available} available, {units} reserved");
        held += units;
    }
    assert_eq!(held, reserved * 6);
    assert!(reserved > 10, "only {reserved} orders got through");
    assert_books_balance(&east.pool).await;
}

/// Many tries of one order at once: one reservation, and all are told the same.
#[sqlx::test(migrations = false)]
async fn concurrent_repeats_of_one_order_reserve_once(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 2), ("b", 2)]).await;
    let reserving = Arc::new(Reserving::new(east.pool.clone(), NoPeer));
    let order = Arc::new(order_of(&[("a", 2), ("b", 1)]));
    let tries: Vec<_> = (0..16)
        .map(|_| {
            let (reserving, order) = (Arc::clone(&reserving), Arc::clone(&order));
            tokio::spawn(async move { reserving.reserve(&order).await })
        })
        .collect();
    for attempt in tries {
        let expires_at = attempt.await.unwrap().unwrap();
        assert_eq!(expires_at.timestamp_micros(), order.expires_at.timestamp_micros());
    }
    assert_eq!(east.level("a").await, (0, 2, 0));
    assert_books_balance(&east.pool).await;
}

/// A statement without the guard, as a bug would write it.
#[sqlx::test(migrations = false)]
async fn the_constraint_stops_a_sale_below_zero_when_the_guard_is_gone(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 1)]).await;
    for (column, constraint) in [
        ("available", "stock_available_not_negative"),
        ("reserved", "stock_reserved_not_negative"),
        ("sold", "stock_sold_not_negative"),
    ] {
        let unguarded = format!("update stock set {column} = {column} - 2 where offer_id = 'a'");
        let error = sqlx::query(sqlx::AssertSqlSafe(unguarded)).execute(&east.pool).await.unwrap_err();
        let error = StoreError::from(error);
        assert!(matches!(&error, StoreError::BelowZero { constraint: stopped } if stopped == constraint), "{error:?}");
    }
    assert_eq!(east.level("a").await, (1, 0, 0));
}

#[sqlx::test(migrations = false)]
async fn a_receipt_counts_once_and_needs_the_catalogue(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 1)]).await;
    let receipt_id = uuid::Uuid::now_v7();
    for _ in 0..2 {
        let outcome = store::receive(&east.pool, receipt_id, &lines(&[("a", 4)])).await.unwrap();
        assert_eq!(outcome, store::ReceiveOutcome::Received);
    }
    let other = store::receive(&east.pool, receipt_id, &lines(&[("a", 5)])).await.unwrap();
    assert_eq!(other, store::ReceiveOutcome::KeyReused);
    let unknown = store::receive(&east.pool, uuid::Uuid::now_v7(), &lines(&[("a", 1), ("z", 1)])).await.unwrap();
    assert_eq!(unknown, store::ReceiveOutcome::UnknownOffers(vec!["z".to_owned()]));
    assert_eq!(east.level("a").await, (5, 0, 0));
    assert_books_balance(&east.pool).await;
}

/// Reserves, releases, sales and grants of the same offers at once: all lock in one order, so none is ever chosen to die.
#[sqlx::test(migrations = false)]
async fn reserves_releases_sales_and_grants_never_deadlock(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Arc::new(Site::new(&options, Region::East).await);
    let ids = ["a", "b", "c", "d", "e", "f"];
    east.receive(&ids.map(|id| (id, 10_000))).await;
    let tasks: Vec<_> = (0..48_usize)
        .map(|index| {
            let east = Arc::clone(&east);
            tokio::spawn(async move {
                let wanted = [0, 1, 2, 3].map(|step| (ids[(index + step * 5) % ids.len()], 1));
                for _ in 0..5 {
                    if index % 4 == 3 {
                        let transfer_id = ids::TransferId::generate();
                        store::grant(&east.pool, transfer_id, Region::West, &lines(&wanted)).await.unwrap();
                        continue;
                    }
                    let order = order_of(&wanted);
                    assert!(store::reserve(&east.pool, &order).await.unwrap());
                    let event = if index % 4 == 0 { Event::OrderPlaced } else { Event::ReleaseRequested };
                    let mut transaction = east.pool.begin().await.unwrap();
                    let applied = store::apply(&mut transaction, event, order.order_id).await;
                    applied.unwrap().unwrap();
                    transaction.commit().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_books_balance(&east.pool).await;
}
