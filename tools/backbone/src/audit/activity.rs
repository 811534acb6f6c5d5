//! Whether the system stands still: what is in flight, and a mark that moves with every step that the checks care about.
//!
//! The stores cannot be read at one moment. So the audit waits until nothing is in flight, reads, and looks at the marks again: when
//! none has moved, what it read is what was there all the time. Both looks are counts, cheap enough to repeat while it waits.

use ids::Region;
use sqlx::PgConnection;
use uuid::Uuid;

use super::sources::Read;
use super::sources::database::snapshot;
use crate::platform::Layout;

/// What the eight databases say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Things that will change by themselves.
    pub in_flight: i64,
    /// Of each database: counts and sums that every step of an order, payment, reservation, transfer or checkout changes, and no
    /// later step changes back. `None` where it cannot be read; the checks that need it then say so.
    marks: Vec<Option<String>>,
}

/// Looks at both regions.
pub async fn look(layout: &Layout) -> Activity {
    let (east, west) = tokio::join!(look_at(layout, Region::East), look_at(layout, Region::West));
    Activity { in_flight: east.in_flight + west.in_flight, marks: [east.marks, west.marks].concat() }
}

async fn look_at(layout: &Layout, region: Region) -> Activity {
    let mut activity = Activity::default();
    for (database, query) in [("order", ORDERS), ("payment", PAYMENTS), ("inventory", INVENTORY), ("cart", CARTS)] {
        let seen = snapshot(layout, region, database, async |conn| count(conn, query).await).await;
        activity.in_flight += seen.as_ref().map_or(0, |(in_flight, _)| *in_flight);
        activity.marks.push(seen.ok().map(|(_, mark)| mark));
    }
    activity.in_flight += unheard_cancellations(layout, region).await.unwrap_or_default();
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
            or (state = 'cancelled' and drive_after is not null)
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

/// An edit of a cart concerns nobody else: only checkouts count. One whose order was never stored is waited for in vain, but
/// no longer than it takes the rest to settle: see the check `settled`.
const CARTS: &str = "
    select
        count(*) filter (where state = 'undecided'),
        concat_ws(' ', count(*), count(*) filter (where state = 'ordered'), count(*) filter (where state = 'abandoned'))
    from cart_checkout";
