//! What order events and expiry do to reservations.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use contracts::order::v1::{OrderCancelled, OrderPlaced};
use ids::{EventId, OrderId, Region};
use inventory::domain::{ReleaseCause, State};
use inventory::store::{self, Reservation};
use inventory::workers::expiry::{Fate, Orders, release_ended};
use inventory::workers::order_events::{OrderEvents, consumer_pool};
use outbox::{HandleError, Handler as _, Received};
use prost::Message as _;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Site, assert_books_balance, order_of};

const PLACED: &str = "order.placed.v1";
const CANCELLED: &str = "order.cancelled.v1";

fn event(event_type: &str, order_id: OrderId) -> Received {
    let order_id = order_id.to_string();
    let payload = match event_type {
        PLACED => OrderPlaced { order_id: order_id.clone(), ..OrderPlaced::default() }.encode_to_vec(),
        _ => OrderCancelled { order_id: order_id.clone() }.encode_to_vec(),
    };
    Received {
        id: EventId::generate(),
        event_type: event_type.to_owned(),
        home_region: Region::East,
        aggregate_id: order_id,
        payload: payload.into(),
        traceparent: None,
        occurred_at: Utc::now(),
    }
}

/// Handles the events in one transaction, as the consumer does with a batch.
async fn handle(site: &Site, events: &[Received]) -> Result<(), HandleError> {
    let mut transaction = site.pool.begin().await.unwrap();
    for event in events {
        OrderEvents.handle(&mut transaction, event).await?;
    }
    transaction.commit().await.unwrap();
    Ok(())
}

async fn state(site: &Site, order: &Reservation) -> State {
    store::find_reservation(&site.pool, order.order_id).await.unwrap().unwrap().state
}

#[sqlx::test(migrations = false)]
async fn a_placed_order_is_sold_and_a_cancelled_one_given_back(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 5), ("b", 5)]).await;
    let order = order_of(&[("a", 2), ("b", 1)]);
    assert!(store::reserve(&east.pool, &order).await.unwrap());

    let placed = event(PLACED, order.order_id);
    handle(&east, &[placed.clone(), placed]).await.unwrap();
    assert_eq!((east.level("a").await, east.level("b").await), ((3, 0, 2), (4, 0, 1)));
    assert_eq!(state(&east, &order).await, State::Committed);

    let cancelled = event(CANCELLED, order.order_id);
    handle(&east, &[cancelled.clone(), cancelled]).await.unwrap();
    assert_eq!((east.level("a").await, east.level("b").await), ((5, 0, 0), (5, 0, 0)));
    assert_eq!(state(&east, &order).await, State::Released(ReleaseCause::Cancelled));
    assert_books_balance(&east.pool).await;
}

#[sqlx::test(migrations = false)]
async fn a_cancellation_that_overtakes_the_placement_ends_the_same(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 5)]).await;
    let order = order_of(&[("a", 2)]);
    assert!(store::reserve(&east.pool, &order).await.unwrap());
    handle(&east, &[event(CANCELLED, order.order_id), event(PLACED, order.order_id)]).await.unwrap();
    assert_eq!(east.level("a").await, (5, 0, 0));
    assert_eq!(state(&east, &order).await, State::Released(ReleaseCause::Cancelled));
}

#[sqlx::test(migrations = false)]
async fn a_placed_order_without_a_reservation_is_refused_loudly(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    let refused = handle(&east, &[event(PLACED, OrderId::generate())]).await;
    assert!(matches!(refused, Err(HandleError::Retry(_))), "{refused:?}");
    let mut rubbish = event(PLACED, OrderId::generate());
    rubbish.payload = vec![0xff; 3].into();
    let refused = handle(&east, &[rubbish]).await;
    assert!(matches!(refused, Err(HandleError::Poison(_))), "{refused:?}");
}

/// A batch holds the stock of a later offer and wants an earlier one that a reserve holds: the batch gives way.
#[sqlx::test(migrations = false)]
async fn the_consumer_gives_way_instead_of_waiting_for_a_lock(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 5)]).await;
    let order = order_of(&[("a", 2)]);
    assert!(store::reserve(&east.pool, &order).await.unwrap());
    let mut shopper = east.pool.begin().await.unwrap();
    assert!(store::reserve(&mut *shopper, &order_of(&[("a", 1)])).await.unwrap());

    let consumer = Site { region: Region::East, pool: consumer_pool(&east.pool) };
    let gave_way = handle(&consumer, &[event(PLACED, order.order_id)]).await;
    assert!(matches!(gave_way, Err(HandleError::Blocked(_))), "{gave_way:?}");
    shopper.commit().await.unwrap();
    handle(&consumer, &[event(PLACED, order.order_id)]).await.unwrap();
    assert_eq!(east.level("a").await, (2, 1, 2));
}

/// An order service that knows some fates.
struct Fates(HashMap<OrderId, Fate>);

impl Orders for Fates {
    async fn fate(&self, order_id: OrderId) -> Option<Fate> {
        self.0.get(&order_id).copied()
    }
}

#[sqlx::test(migrations = false)]
async fn only_ended_orders_lose_their_expired_reservation(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 10)]).await;
    let [ended, stands, fresh] = [1, 2, 4].map(|units| order_of(&[("a", units)]));
    for (order, age_s) in [(&ended, 20), (&stands, 10), (&fresh, 0)] {
        let order =
            Reservation { expires_at: order.expires_at - Duration::from_secs(60 * age_s.min(2)), ..order.clone() };
        assert!(store::reserve(&east.pool, &order).await.unwrap());
    }
    let orders = Fates([(ended.order_id, Fate::Ended), (stands.order_id, Fate::Stands)].into());
    let released = release_ended(&east.pool, &orders, &CancellationToken::new()).await.unwrap();

    assert_eq!(released, 1);
    assert_eq!(state(&east, &ended).await, State::Released(ReleaseCause::Expired));
    assert_eq!(state(&east, &stands).await, State::Reserved);
    assert_eq!(east.level("a").await, (4, 6, 0));
    // The one that stands was extended, so it is not asked about again at once.
    assert_eq!(release_ended(&east.pool, &orders, &CancellationToken::new()).await.unwrap(), 0);
    assert_books_balance(&east.pool).await;
}

#[sqlx::test(migrations = false)]
async fn nothing_is_released_while_the_order_service_is_silent(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 10)]).await;
    let order = Reservation { expires_at: Utc::now() - Duration::from_secs(1), ..order_of(&[("a", 1)]) };
    assert!(store::reserve(&east.pool, &order).await.unwrap());
    let silent = Fates(HashMap::new());
    assert_eq!(release_ended(&east.pool, &silent, &CancellationToken::new()).await.unwrap(), 0);
    assert_eq!(state(&east, &order).await, State::Reserved);
}

/// The oldest reservations are of orders whose fate cannot be told, for whatever reason: the one behind them gets its turn.
#[sqlx::test(migrations = false)]
async fn an_order_whose_fate_cannot_be_told_holds_up_none_behind_it(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 10)]).await;
    let orders = [1, 1, 2].map(|units| order_of(&[("a", units)]));
    for (order, age_s) in orders.iter().zip([180, 120, 60]) {
        let order = Reservation { expires_at: order.expires_at - Duration::from_secs(60 + age_s), ..order.clone() };
        assert!(store::reserve(&east.pool, &order).await.unwrap());
    }
    let [one, other, ended] = &orders;
    let fates =
        Fates([(one.order_id, Fate::Unclear), (other.order_id, Fate::Unclear), (ended.order_id, Fate::Ended)].into());
    assert_eq!(release_ended(&east.pool, &fates, &CancellationToken::new()).await.unwrap(), 1);
    assert_eq!(state(&east, ended).await, State::Released(ReleaseCause::Expired));
    assert_eq!(state(&east, one).await, State::Reserved);
}

/// Somebody left a transaction open that holds the stock of one offer: the other reservations are let go, and that one is when it can be.
#[sqlx::test(migrations = false)]
async fn stock_that_somebody_holds_keeps_no_other_reservation_from_being_let_go(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("held", 10), ("free", 10)]).await;
    let orders = [&[("free", 1)][..], &[("held", 1)], &[("free", 2), ("held", 2)], &[("free", 4)]].map(order_of);
    for order in &orders {
        let expired = Reservation { expires_at: Utc::now() - Duration::from_secs(1), ..order.clone() };
        assert!(store::reserve(&east.pool, &expired).await.unwrap());
    }
    let fates = Fates(orders.iter().map(|order| (order.order_id, Fate::Ended)).collect());
    let token = CancellationToken::new();

    let held = east.hold_stock_of("held").await;
    let released = tokio::time::timeout(Duration::from_secs(10), release_ended(&east.pool, &fates, &token));
    assert_eq!(released.await.expect("it waits for the lock").unwrap(), 2);
    assert_eq!(east.level("free").await, (8, 2, 0));
    for (order, is_free) in orders.iter().zip([true, false, false, true]) {
        assert_eq!(state(&east, order).await != State::Reserved, is_free, "{:?}", order.lines);
    }

    held.rollback().await.unwrap();
    assert_eq!(release_ended(&east.pool, &fates, &token).await.unwrap(), 0, "it was put off, as by any claim");
    sqlx::query("update reservation set expires_at = now() where state = 'reserved'")
        .execute(&east.pool)
        .await
        .unwrap();
    assert_eq!(release_ended(&east.pool, &fates, &token).await.unwrap(), 2);
    assert_eq!((east.level("free").await, east.level("held").await), ((10, 0, 0), (10, 0, 0)));
    assert_books_balance(&east.pool).await;
}

/// An order service that answers the first question when the database has just gone.
struct OutlivesTheDatabase(PgPool);

impl Orders for OutlivesTheDatabase {
    async fn fate(&self, _: OrderId) -> Option<Fate> {
        assert!(!self.0.is_closed(), "asked again, though nothing can be let go");
        self.0.close().await;
        Some(Fate::Ended)
    }
}

#[sqlx::test(migrations = false)]
async fn a_database_that_is_away_ends_the_look(_: PgPoolOptions, options: PgConnectOptions) {
    let east = Site::new(&options, Region::East).await;
    east.receive(&[("a", 10)]).await;
    for _ in 0..2 {
        let expired = Reservation { expires_at: Utc::now() - Duration::from_secs(1), ..order_of(&[("a", 1)]) };
        assert!(store::reserve(&east.pool, &expired).await.unwrap());
    }
    let orders = OutlivesTheDatabase(east.pool.clone());
    let ended = release_ended(&east.pool, &orders, &CancellationToken::new()).await.unwrap_err();
    assert!(ended.is_outage(), "{ended:?}");
}
