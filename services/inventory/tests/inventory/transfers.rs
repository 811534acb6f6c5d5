//! Rights that move between two regions: once each, whatever is lost on the way.

use std::sync::Arc;
use std::time::Duration;

use ids::TransferId;
use inventory::domain::{Grant, ShortLine};
use inventory::grpc::{ReserveError, Reserving, settle};
use inventory::store::{self, GrantOutcome, PendingTransfer};
use inventory::workers::transfers::finish_due;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::fixture::{FaultyPeer, TwoRegions, lines, order_of};

/// Makes every pending transfer due, as if the grace of the call that left it had passed.
async fn let_time_pass(pool: &PgPool) {
    sqlx::query("update rights_transfer_in set ask_again_at = now() - interval '1 second'")
        .execute(pool)
        .await
        .unwrap();
}

async fn finish(regions: &TwoRegions) -> usize {
    let_time_pass(&regions.east.pool).await;
    finish_due(&regions.east.pool, &regions.peer_of_east, &CancellationToken::new()).await.unwrap()
}

fn east(regions: &TwoRegions) -> Reserving<FaultyPeer> {
    Reserving::new(regions.east.pool.clone(), regions.peer_of_east.clone())
}

#[sqlx::test(migrations = false)]
async fn a_shortfall_is_fetched_in_one_call_and_is_exactly_what_is_missing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let regions = TwoRegions::new(&options).await;
    regions.east.receive(&[("a", 2), ("b", 9)]).await;
    regions.west.receive(&[("a", 10), ("c", 10)]).await;

    east(&regions).reserve(&order_of(&[("a", 5), ("b", 5), ("c", 4)])).await.unwrap();

    assert_eq!(regions.peer_of_east.calls(), 1);
    assert_eq!((regions.east.level("a").await, regions.west.level("a").await), ((0, 5, 0), (7, 0, 0)));
    assert_eq!((regions.east.level("c").await, regions.west.level("c").await), ((0, 4, 0), (6, 0, 0)));
    assert_eq!(regions.east.level("b").await, (4, 5, 0));
    regions.assert_conserved().await;
}

#[sqlx::test(migrations = false)]
async fn out_of_stock_says_what_is_left_and_keeps_what_was_granted(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.east.receive(&[("a", 1), ("b", 1)]).await;
    regions.west.receive(&[("a", 2), ("b", 9)]).await;

    let refused = east(&regions).reserve(&order_of(&[("a", 5), ("b", 3)])).await.unwrap_err();

    let ReserveError::OutOfStock(short) = refused else { panic!("{refused:?}") };
    assert_eq!(short, [ShortLine { offer_id: "a".parse().unwrap(), wanted: 5, left: 3 }]);
    assert_eq!((regions.east.level("a").await, regions.west.level("a").await), ((3, 0, 0), (0, 0, 0)));
    assert_eq!(regions.east.level("b").await, (3, 0, 0));
    regions.assert_conserved().await;
}

#[sqlx::test(migrations = false)]
async fn an_unreachable_region_is_no_reason_to_say_out_of_stock(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.east.receive(&[("a", 1)]).await;
    regions.west.receive(&[("a", 9)]).await;
    let order = order_of(&[("a", 5)]);

    regions.peer_of_east.refuse_calls(2);
    for _ in 0..2 {
        let refused = east(&regions).reserve(&order).await.unwrap_err();
        assert!(matches!(refused, ReserveError::Peer(_)), "{refused:?}");
    }
    // The same order takes up its own question: 4 units come over, not 12.
    east(&regions).reserve(&order).await.unwrap();
    assert_eq!((regions.east.level("a").await, regions.west.level("a").await), ((0, 5, 0), (5, 0, 0)));
    regions.assert_conserved().await;
}

#[sqlx::test(migrations = false)]
async fn a_lost_reply_is_asked_for_again_and_credited_once(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.west.receive(&[("a", 9)]).await;
    regions.peer_of_east.lose_replies(2);

    let refused = east(&regions).reserve(&order_of(&[("a", 5)])).await.unwrap_err();
    assert!(matches!(refused, ReserveError::Peer(_)), "{refused:?}");
    assert_eq!(regions.west.level("a").await, (4, 0, 0));
    regions.assert_conserved().await;

    assert_eq!(finish(&regions).await, 0, "this reply is lost too");
    assert_eq!(finish(&regions).await, 1);
    assert_eq!(finish(&regions).await, 0, "nothing is left to settle");
    assert_eq!((regions.east.level("a").await, regions.west.level("a").await), ((5, 0, 0), (4, 0, 0)));
    regions.assert_conserved().await;
}

/// The process dies after the other region has granted and before it could credit.
#[sqlx::test(migrations = false)]
async fn a_crash_between_grant_and_credit_loses_nothing(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.west.receive(&[("a", 9)]).await;
    regions.peer_of_east.hold_replies(1);

    let order = order_of(&[("a", 5)]);
    let killed = tokio::time::timeout(Duration::from_millis(500), east(&regions).reserve(&order)).await;
    assert!(killed.is_err());
    assert_eq!((regions.east.level("a").await, regions.west.level("a").await), ((0, 0, 0), (4, 0, 0)));

    // The worker and the client's retry come at the same time; one of them credits.
    let_time_pass(&regions.east.pool).await;
    let token = CancellationToken::new();
    let reserving = east(&regions);
    let (retried, _) =
        tokio::join!(reserving.reserve(&order), finish_due(&regions.east.pool, &regions.peer_of_east, &token));
    retried.unwrap();
    assert_eq!((regions.east.level("a").await, regions.west.level("a").await), ((0, 5, 0), (4, 0, 0)));
    regions.assert_conserved().await;
}

/// Somebody left a transaction open that holds the stock of one offer here: what was granted of others is credited.
#[sqlx::test(migrations = false)]
async fn stock_that_somebody_holds_keeps_no_other_transfer_from_being_credited(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let regions = TwoRegions::new(&options).await;
    regions.east.receive(&[("held", 1), ("free", 1), ("free-too", 1)]).await;
    regions.west.receive(&[("held", 9), ("free", 9), ("free-too", 9)]).await;
    regions.peer_of_east.lose_replies(3);
    for offer_id in ["free", "held", "free-too"] {
        let refused = east(&regions).reserve(&order_of(&[(offer_id, 5)])).await.unwrap_err();
        assert!(matches!(refused, ReserveError::Peer(_)), "{refused:?}");
    }

    let held = regions.east.hold_stock_of("held").await;
    let credited = tokio::time::timeout(Duration::from_secs(10), finish(&regions)).await;
    assert_eq!(credited.expect("it waits for the lock"), 2);
    for (offer_id, available) in [("free", 5), ("held", 1), ("free-too", 5)] {
        assert_eq!(regions.east.level(offer_id).await, (available, 0, 0), "{offer_id}");
    }
    regions.assert_conserved().await;

    held.rollback().await.unwrap();
    assert_eq!(finish(&regions).await, 1);
    assert_eq!(regions.east.level("held").await, (5, 0, 0));
    regions.assert_conserved().await;
}

#[sqlx::test(migrations = false)]
async fn a_grant_is_remembered_also_when_it_is_nothing(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    let (west, to_east) = (&regions.west, ids::Region::East);
    let transfer_id = TransferId::generate();
    let ask = lines(&[("a", 5)]);
    let nothing = store::grant(&west.pool, transfer_id, to_east, &ask).await.unwrap();
    assert_eq!(nothing, GrantOutcome::Granted(vec![]));

    west.receive(&[("a", 9)]).await;
    assert_eq!(store::grant(&west.pool, transfer_id, to_east, &ask).await.unwrap(), nothing);
    let reused = store::grant(&west.pool, transfer_id, to_east, &lines(&[("a", 6)])).await.unwrap();
    assert_eq!(reused, GrantOutcome::KeyReused);
    assert_eq!(west.level("a").await, (9, 0, 0));
}

#[sqlx::test(migrations = false)]
async fn repeated_grants_at_the_same_time_take_the_units_once(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.west.receive(&[("a", 9), ("b", 1)]).await;
    let transfer_id = TransferId::generate();
    let pool = regions.west.pool.clone();
    let grants: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            let ask = lines(&[("a", 5), ("b", 2)]);
            tokio::spawn(async move { store::grant(&pool, transfer_id, ids::Region::East, &ask).await.unwrap() })
        })
        .collect();
    let expected = GrantOutcome::Granted(vec![("a".parse().unwrap(), 5), ("b".parse().unwrap(), 1)]);
    for grant in grants {
        assert_eq!(grant.await.unwrap(), expected);
    }
    assert_eq!((regions.west.level("a").await, regions.west.level("b").await), ((4, 0, 0), (0, 0, 0)));
}

/// Orders in the east for stock that lies in the west, over a link that loses some calls and some replies, while the west
/// sells too. Whatever happens to each, no unit is made or lost.
#[sqlx::test(migrations = false)]
async fn both_regions_sell_over_a_bad_link_and_the_total_is_conserved(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = Arc::new(TwoRegions::new(&options).await);
    let ids = ["a", "b", "c"];
    regions.east.receive(&ids.map(|id| (id, 10))).await;
    regions.west.receive(&ids.map(|id| (id, 30))).await;
    regions.peer_of_east.lose_replies(3);
    regions.peer_of_east.refuse_calls(3);

    let tasks: Vec<_> = (0..30)
        .map(|index| {
            let regions = Arc::clone(&regions);
            let order = order_of(&[(ids[index % 3], 2), (ids[(index + 1) % 3], 1)]);
            tokio::spawn(async move {
                if index % 3 == 0 {
                    store::reserve(&regions.west.pool, &order).await.unwrap();
                    return;
                }
                for _ in 0..8 {
                    match east(&regions).reserve(&order).await {
                        Ok(_) | Err(ReserveError::OutOfStock(_)) => return,
                        Err(ReserveError::Peer(_) | ReserveError::Contended | ReserveError::Store(_)) => {}
                        Err(error @ ReserveError::Refused(_)) => panic!("{error}"),
                    }
                }
                panic!("the order found no end");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    finish(&regions).await;
    regions.assert_conserved().await;
    let pending: i64 = sqlx::query_scalar("select count(*) from rights_transfer_in where state = 'pending'")
        .fetch_one(&regions.east.pool)
        .await
        .unwrap();
    assert_eq!(pending, 0);
}

/// The other region asks for more than half of what is there, many times at once, while orders here want some too.
#[sqlx::test(migrations = false)]
async fn grants_and_reserves_at_the_same_time_never_give_a_unit_twice(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = TwoRegions::new(&options).await;
    regions.west.receive(&[("a", 20), ("b", 20)]).await;
    let pool = regions.west.pool.clone();
    let tasks: Vec<_> = (0..24)
        .map(|index| {
            let pool = pool.clone();
            tokio::spawn(async move {
                if index % 4 == 3 {
                    let order = order_of(&[("a", 1), ("b", 1)]);
                    return if store::reserve(&pool, &order).await.unwrap() { 2 } else { 0 };
                }
                let ask = lines(&[("a", 11), ("b", 11)]);
                let granted = store::grant(&pool, TransferId::generate(), ids::Region::East, &ask).await;
                let GrantOutcome::Granted(granted) = granted.unwrap() else { panic!("a new id was reused") };
                granted.into_iter().map(|(_, units)| units).sum::<i64>()
            })
        })
        .collect();
    let mut given = 0;
    for task in tasks {
        given += task.await.unwrap();
    }
    assert_eq!(given, 40);
    regions.assert_conserved().await;
}

/// A settlement credits a late offer and then reserves early ones too. It locks them all first, in the order that every
/// other transaction keeps to, so neither it nor an order beside it is ever chosen to die.
#[sqlx::test(migrations = false)]
async fn settlements_and_reserves_never_deadlock(_: PgPoolOptions, options: PgConnectOptions) {
    let regions = Arc::new(TwoRegions::new(&options).await);
    let wanted = ["a", "b", "c", "d", "e", "f"].map(|id| (id, 1));
    regions.east.receive(&wanted.map(|(id, _)| (id, 10_000))).await;
    let tasks: Vec<_> = (0..40)
        .map(|index| {
            let pool = regions.east.pool.clone();
            tokio::spawn(async move {
                if index % 2 == 0 {
                    // Several, so that some are under way when the settlements are.
                    for _ in 0..5 {
                        assert!(store::reserve(&pool, &order_of(&wanted)).await.unwrap());
                    }
                    return;
                }
                let order = order_of(&wanted);
                let transfer = PendingTransfer { transfer_id: TransferId::generate(), asked: lines(&[("f", 1)]) };
                assert!(store::open(&pool, order.order_id, &transfer, Duration::from_secs(60)).await.unwrap());
                let grant = Grant::check(&transfer.asked, [("f".parse().unwrap(), 1)]).unwrap();
                assert!(settle(&pool, &transfer, &grant, Some(&order)).await.unwrap());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(regions.east.level("f").await, (10_000 + 20 - 120, 120, 0));
}
