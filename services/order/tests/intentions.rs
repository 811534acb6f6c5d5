//! What two regions made of one request is settled order by order: one that cannot be settled keeps none behind it waiting.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use ids::{OrderId, Region};
use order::domain::Fate;
use order::sagas::CallError;
use order::sagas::one_intention::{Home, OneIntention};
use order::store::{StoreError, Untold};
use order::workers::intentions;
use sqlx::{PgConnection, PgPool};
use support::{App, migrate, request};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

/// A home that has nothing of any request.
struct NothingThere;

#[async_trait]
impl Home for NothingThere {
    async fn report(&self, _: &Untold, _: Duration) -> Result<Option<(OrderId, Fate)>, CallError> {
        Ok(None)
    }
}

/// Orders in the way of the one that is behind them.
struct Queue {
    app: App,
    held: OrderId,
    unreadable: OrderId,
    behind: OrderId,
}

impl Queue {
    /// Three placed orders, of which one cannot be read.
    async fn new(pool: &PgPool) -> Self {
        migrate(pool).await;
        let app = App::of_region(pool, Region::West);
        let mut orders = Vec::new();
        for _ in 0..3 {
            orders.push(app.place(&request()).await.unwrap().id);
        }
        let [held, unreadable, behind] = orders[..] else { unreachable!("three were placed") };
        let spoil = "update customer_order set idempotency_key = 'no key', home_region = 'nowhere' where order_id = $1";
        sqlx::query(spoil).bind(unreadable.as_uuid()).execute(pool).await.unwrap();
        Self { app, held, unreadable, behind }
    }

    /// Runs `statement` of each order, with how many seconds it is to have waited: those in the way longest.
    async fn enqueue(&self, statement: &'static str) {
        for (order, waited) in [(self.held, 30), (self.unreadable, 20), (self.behind, 10)] {
            let enqueued =
                sqlx::query(statement).bind(order.as_uuid()).bind(f64::from(waited)).execute(&self.app.pool).await;
            assert_eq!(enqueued.unwrap().rows_affected(), 1);
        }
    }

    async fn hold(&self, conn: &mut PgConnection) {
        let lock = "select from customer_order where order_id = $1 for update";
        sqlx::query(lock).bind(self.held.as_uuid()).execute(conn).await.unwrap();
    }

    fn worker(&self, token: &CancellationToken) -> JoinHandle<Result<(), StoreError>> {
        let (store, token) = (self.app.sagas.store.clone(), token.clone());
        let intentions = OneIntention::new(self.app.sagas.clone(), Some(Arc::new(NothingThere)));
        tokio::spawn(async move { intentions::run(&store, &intentions, token).await })
    }

    async fn is(&self, what: &'static str, order: OrderId) -> bool {
        sqlx::query_scalar(what).bind(order.as_uuid()).fetch_one(&self.app.pool).await.unwrap()
    }

    /// Waits until `what` is true of an order: two looks, and some time for them.
    async fn becomes(&self, what: &'static str, order: OrderId) {
        let settled = async {
            while !self.is(what, order).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), settled).await.unwrap();
    }

    /// The order behind the two others is settled while the first is held and the second stays unreadable; the first once it is let go.
    async fn is_settled_one_by_one(&self, enqueue: &'static str, is_settled: &'static str) {
        self.enqueue(enqueue).await;
        let mut holder = self.app.pool.begin().await.unwrap();
        self.hold(&mut holder).await;
        let token = CancellationToken::new();
        let worker = self.worker(&token);
        self.becomes(is_settled, self.behind).await;
        assert!(!self.is(is_settled, self.held).await && !self.is(is_settled, self.unreadable).await);
        holder.rollback().await.unwrap();
        self.becomes(is_settled, self.held).await;
        token.cancel();
        worker.await.unwrap().unwrap();
        assert!(!self.is(is_settled, self.unreadable).await);
    }
}

#[sqlx::test(migrations = false)]
async fn an_order_that_is_held_or_unreadable_keeps_no_home_from_being_told_of_another(pool: PgPool) {
    let enqueue = "update customer_order set tell_home_after = now() - make_interval(secs => $2) where order_id = $1";
    let is_settled = "select told_home_at is not null from customer_order where order_id = $1";
    Queue::new(&pool).await.is_settled_one_by_one(enqueue, is_settled).await;
}

#[sqlx::test(migrations = false)]
async fn an_order_that_is_held_or_unreadable_keeps_no_other_from_being_undone(pool: PgPool) {
    let enqueue = "insert into superseded_order (order_id, by_order_id, next_look_at)
                   values ($1, gen_random_uuid(), now() - make_interval(secs => $2))";
    let is_settled = "select settled_at is not null from superseded_order where order_id = $1";
    Queue::new(&pool).await.is_settled_one_by_one(enqueue, is_settled).await;
}
