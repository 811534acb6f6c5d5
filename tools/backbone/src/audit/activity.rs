//! Whether the system stands still: what is in flight, and a mark that moves with every step that the checks care about.
//!
//! The stores cannot be read at one moment. So the audit waits until nothing is in flight, reads, and looks at the marks again: when
//! none has moved, what it read is what was there all the time. Both looks are counts, cheap enough to repeat while it waits.

use ids::Region;
use sqlx::PgConnection;
use uuid::Uuid;

use super::sources::database::snapshot;
use super::sources::link::Link;
use super::sources::{Read, carts};
use crate::platform::Layout;

/// What the eight databases and the link say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Things that will change by themselves.
    pub in_flight: i64,
    /// Of each database: counts and sums that every step of an order, payment, reservation, transfer or checkout changes, and every edit
    /// of a cart that the other region gets to see; no later step changes them back. `None` where it cannot be read; the checks that
    /// need it then say so.
    marks: Vec<Option<String>>,
    link: Link,
}

impl Activity {
    /// Whether every database answered.
    pub fn is_whole(&self) -> bool {
        self.marks.iter().all(Option::is_some)
    }
}

/// Looks at both regions.
pub async fn look(layout: &Layout) -> Activity {
    let link = Link::read(layout).await;
    let (east, west) = tokio::join!(look_at(layout, Region::East, link), look_at(layout, Region::West, link));
    Activity { in_flight: east.in_flight + west.in_flight, marks: [east.marks, west.marks].concat(), link }
}

async fn look_at(layout: &Layout, region: Region, link: Link) -> Activity {
    let mut activity = Activity { in_flight: 0, marks: Vec::new(), link };
    for (database, query) in [("order", ORDERS), ("payment", PAYMENTS), ("inventory", INVENTORY), ("cart", CARTS)] {
        let seen = snapshot(layout, region, database, async |conn| count(conn, query).await).await;
        activity.in_flight += seen.as_ref().map_or(0, |(in_flight, _)| *in_flight);
        activity.marks.push(seen.ok().map(|(_, mark)| mark));
    }
    activity.in_flight += unheard_cancellations(layout, region).await.unwrap_or_default();
    // What a cut keeps back is waited for in vain.
    if link == Link::Open {
        let seen = replication(layout, region).await;
        activity.in_flight += seen.as_ref().map_or(0, |(in_flight, _)| *in_flight);
        activity.marks.push(seen.ok().map(|(_, mark)| mark));
        activity.in_flight += intentions(layout, region).await.unwrap_or_default();
    }
    activity
}

async fn count(conn: &mut PgConnection, query: &'static str) -> Result<(i64, String), sqlx::Error> {
    let (in_flight, mark): (i64, String) = sqlx::query_as(query).fetch_one(&mut *conn).await?;
    let unpublished: i64 =
        sqlx::query_scalar("select (select count(*) from outbox) + (select count(*) from outbox_peer)")
            .fetch_one(conn)
            .await?;
    Ok((in_flight + unpublished, mark))
}

/// Edits of carts that the other region has not acknowledged; and a mark that moves with every edit, made here or there.
async fn replication(layout: &Layout, region: Region) -> Read<(i64, String)> {
    snapshot(layout, region, "cart", async |conn| {
        let in_flight = carts::unacknowledged(conn, region).await?;
        let mark = sqlx::query_scalar(EDITS).fetch_one(conn).await?;
        Ok((in_flight, mark))
    })
    .await
}

/// Orders that were decided in an absent home's stead, of which it has not heard; and the later of two of one request that are still to be
/// undone, whose undoing moves the orders' own mark.
async fn intentions(layout: &Layout, region: Region) -> Read<i64> {
    snapshot(layout, region, "order", async |conn| {
        sqlx::query_scalar(
            "select (select count(*) from customer_order where tell_home_after is not null and told_home_at is null)
                  + (select count(*) from superseded_order where next_look_at is not null)",
        )
        .fetch_one(conn)
        .await
    })
    .await
}

/// Cancelled orders whose stock is not free yet. This is the one step that leaves no trace of itself between Kafka and the consumer:
/// the order is done, and the reservation looks like a sale.
async fn unheard_cancellations(layout: &Layout, region: Region) -> Read<i64> {
    let cancelled: Vec<Uuid> = snapshot(layout, region, "order", async |conn| {
        sqlx::query_scalar("select order_id from customer_order where state = 'cancelled'").fetch_all(conn).await
    })
    .await?;
    snapshot(layout, region, "inventory", async |conn| {
        sqlx::query_scalar("select count(*) from reservation where state = 'committed' and order_id = any($1)")
            .bind(&cancelled)
            .fetch_one(conn)
            .await
    })
    .await
}

/// Placed orders ship by themselves, so they are waited for if they are about to.
const ORDERS: &str = "
    select
        count(*) filter (where
            state in ('pending', 'compensating')
            or (state = 'placed' and (ship_at is null or ship_at < now() + interval '10 seconds'))
            or (state = 'shipped' and not captured)
            or (state = 'cancelled' and (drive_after is not null or parked_at is not null))
        ) + (select count(*) from order_return where state = 'requested'),
        concat_ws(' ',
            count(*), count(*) filter (where state = 'placed'), count(*) filter (where state = 'shipped'),
            count(*) filter (where state in ('rejected', 'cancelled')), count(*) filter (where captured),
            sum(refunded_minor), (select count(*) from order_return))
    from customer_order";

const PAYMENTS: &str = "
    select
        count(*) filter (where due_at is not null) + (select count(*) from refund where due_at is not null),
        concat_ws(' ',
            count(*), count(*) filter (where state = 'authorised'), count(*) filter (where state = 'captured'),
            count(*) filter (where state in ('declined', 'voided')), sum(refunded_minor),
            (select count(*) from refund where state = 'succeeded'), (select count(*) from posting))
    from payment";

const INVENTORY: &str = "
    select
        count(*) filter (where state = 'reserved') + (select count(*) from rights_transfer_in where state = 'pending'),
        concat_ws(' ',
            count(*), count(*) filter (where state = 'committed'), count(*) filter (where state = 'released'),
            (select count(*) from stock_receipt), (select count(*) from rights_transfer_in),
            (select count(*) from rights_transfer_out))
    from reservation";

/// Checkouts, each waited for in the region that began it. One whose order was never stored is waited for in vain, but no longer than
/// it takes the rest to settle: see the check `settled`.
const CARTS: &str = "
    select
        count(*) filter (where state = 'undecided' and cart_is_own(origin)),
        concat_ws(' ', count(*), count(*) filter (where state = 'ordered'), count(*) filter (where state = 'abandoned'))
    from cart_checkout";

/// Every write of a cart moves its revision on.
const EDITS: &str = "select concat_ws(' ', count(*), sum(revision)) from cart";
