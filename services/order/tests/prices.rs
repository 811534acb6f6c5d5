//! Lines whose units have several prices: what they cost, what is told of them, and what comes back for them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use contracts::order::v1::OrderPlaced;
use order::domain::{CutLine, Order, Prices, ReturnLine, ReturnRequest, Share};
use order::workers::Queue as _;
use order::workers::refunds::Refunds;
use prost::Message;
use sqlx::PgPool;
use support::{App, cut_line, migrate, request, soon};

/// A mug at 10.00, two at 25.00; and a bowl.
fn cut() -> Vec<CutLine> {
    let prices = Prices::new([(1_000, 1), (2_500, 2)]).unwrap();
    vec![CutLine { prices, ..cut_line("mug", "potter", 1, "GBP", 1) }, cut_line("bowl", "turner", 900, "GBP", 1)]
}

fn give_back(order: &Order, key: &str, quantity: i64) -> ReturnRequest {
    ReturnRequest {
        order: order.id,
        customer: order.customer,
        idempotency_key: key.parse().unwrap(),
        lines: vec![ReturnLine { offer: "mug".parse().unwrap(), quantity }],
    }
}

async fn placed(app: &App) -> Order {
    app.world.sell(cut());
    app.place(&request()).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn an_order_keeps_and_tells_what_each_unit_costs(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    assert_eq!(order.total.minor_units(), 1_000 + 2 * 2_500 + 900);
    let stored = app.sagas.store.order(order.id).await.unwrap().unwrap();
    assert_eq!(stored.lines, order.lines);
    assert_eq!((stored.lines[1].offer.as_str(), &stored.lines[1].prices), ("mug", &cut()[0].prices));
    let share = |seller: &str, amount_minor| Share { seller: seller.parse().unwrap(), amount_minor };
    assert_eq!(stored.shares().unwrap(), [share("potter", 6_000), share("turner", 900)]);

    let payload: Vec<u8> =
        sqlx::query_scalar("select payload from outbox where type = 'order.placed.v1'").fetch_one(&pool).await.unwrap();
    let event = OrderPlaced::decode(payload.as_slice()).unwrap();
    let mug = &event.lines[1];
    assert_eq!((mug.quantity, mug.unit_price.as_ref().unwrap().minor_units), (3, 2_500));
    let prices: Vec<_> =
        mug.prices.iter().map(|units| (units.unit_price.as_ref().unwrap().minor_units, units.quantity)).collect();
    assert_eq!(prices, [(2_500, 2), (1_000, 1)]);
}

#[sqlx::test(migrations = false)]
async fn a_line_returned_in_parts_pays_back_exactly_what_it_cost(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    app.ship(order.id).await;
    let mut paid = Vec::new();
    for key in ["r-1", "r-2", "r-3"] {
        let request = give_back(&order, key, 1);
        let returned = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
        paid.push(returned.amount_minor);
        let again = app.sagas.give_back.take_back(&request, soon()).await.unwrap();
        assert_eq!((again.id, again.amount_minor), (returned.id, returned.amount_minor));
    }
    assert_eq!(paid, [2_500, 2_500, 1_000], "the dearest come back first");
    assert!(app.sagas.give_back.take_back(&give_back(&order, "r-4", 1), soon()).await.is_err());
    let order = app.sagas.store.order(order.id).await.unwrap().unwrap();
    assert_eq!((order.refunded_minor, app.world.refunded_minor()), (6_000, 6_000));
}

/// The worker asks for what was decided when the return was stored, not for what a return of today would pay.
#[sqlx::test(migrations = false)]
async fn a_refund_that_is_driven_later_pays_for_the_units_of_its_return(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    let order = placed(&app).await;
    sqlx::query("update customer_order set ship_at = now()").execute(&pool).await.unwrap();
    app.sagas.store.ship_due(1).await.unwrap();
    for (key, quantity) in [("r-1", 2), ("r-2", 1)] {
        app.sagas.give_back.take_back(&give_back(&order, key, quantity), soon()).await.unwrap();
    }
    app.world.capture(order.id);
    let refunds = Refunds::new(app.sagas.clone());
    sqlx::query("update order_return set drive_after = now() - interval '1 second'").execute(&pool).await.unwrap();
    let due = refunds.claim(10).await.unwrap();
    let mut asked: Vec<i64> = due.iter().map(|due| due.shares.iter().map(|share| share.amount_minor).sum()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [1_000, 5_000]);
    for due in due {
        refunds.turn(due).await;
    }
    assert_eq!(app.world.refunded_minor(), 6_000);
}

/// Rows as yesterday's version wrote them: a line with one price, a returned line without an amount.
#[sqlx::test(migrations = false)]
async fn an_order_of_before_is_read_returned_and_refunded(pool: PgPool) {
    migrate(&pool).await;
    let app = App::new(&pool);
    app.world.sell(vec![cut_line("mug", "potter", 255, "GBP", 6)]);
    let order = app.place(&request()).await.unwrap();
    let prices: Option<serde_json::Value> =
        sqlx::query_scalar("select prices from order_line").fetch_one(&pool).await.unwrap();
    assert_eq!(prices, None, "one price is stored as it always was");
    sqlx::query("update customer_order set ship_at = now()").execute(&pool).await.unwrap();
    app.sagas.store.ship_due(1).await.unwrap();
    app.sagas.give_back.take_back(&give_back(&order, "r-1", 2), soon()).await.unwrap();
    app.world.capture(order.id);
    sqlx::query("update order_return_line set amount_minor = null").execute(&pool).await.unwrap();
    sqlx::query("update order_return set drive_after = now() - interval '1 second'").execute(&pool).await.unwrap();
    let refunds = Refunds::new(app.sagas.clone());
    for due in refunds.claim(10).await.unwrap() {
        refunds.turn(due).await;
    }
    assert_eq!(app.world.refunded_minor(), 2 * 255);
    let rest = app.sagas.give_back.take_back(&give_back(&order, "r-2", 4), soon()).await.unwrap();
    assert_eq!(rest.amount_minor, 4 * 255);
}
