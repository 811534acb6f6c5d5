//! Reads the facts. First who has the order, then everything that goes by its id, then what goes by ids found so.

use chrono::{TimeDelta, Utc};
use ids::{EventId, OrderId, Region};
use uuid::Uuid;

use super::databases::{cart, inventory, order, outbox, payment};
use super::facts::{Facts, In};
use super::find::{Found, find};
use super::wanted::Wanted;
use super::{events, ledger, logs};
use crate::audit::sources::Read;
use crate::audit::sources::database::snapshot;
use crate::dlq;
use crate::platform::{Layout, TOPICS};
use crate::spine::inbox;

/// An order that moves while it is read is read again, but not for ever.
const READINGS_MAX: usize = 3;
/// Log lines shown, the last ones.
const LOG_LINES_MAX: usize = 40;
/// Clocks of ours differ by less. What happened is looked for from this long before the order on.
const CLOCKS_DIFFER_BY: TimeDelta = TimeDelta::minutes(5);

/// Takes what was read; what could not be is named instead, once.
pub struct Lost<'a>(pub &'a mut Vec<String>);

impl Lost<'_> {
    /// What was read, or nothing.
    pub fn unless<T: Default>(&mut self, read: Read<T>) -> T {
        read.unwrap_or_else(|error| {
            let error = error.to_string();
            if !self.0.contains(&error) {
                self.0.push(error);
            }
            T::default()
        })
    }
}

/// Reads all that is known of the order.
///
/// # Errors
/// There is no such order, more than one, or none is found and a region's orders cannot be read.
pub async fn gather(layout: &Layout, wanted: &Wanted) -> anyhow::Result<Facts> {
    let Found { id, home, also_in } = find(layout, wanted).await?;
    let mut readings = 0;
    loop {
        // Databases before topics: an event that has just left its outbox is in Kafka then, and nowhere missing.
        let mut facts = stored(layout, home, id).await?;
        facts.also_in = also_in;
        witnessed(layout, &mut facts).await;
        facts.moved = mark(&facts) != mark(&stored(layout, home, id).await?);
        readings += 1;
        if !facts.moved || readings == READINGS_MAX {
            read_logs(layout, &mut facts).await;
            return Ok(facts);
        }
    }
}

/// A text that changes with every step of the order.
fn mark(facts: &Facts) -> String {
    let Facts {
        order, returns, twins, checkouts, reservations, transfers_in, payments, refunds, entries, waiting, ..
    } = facts;
    let of_order = (&order.state, order.captured, order.refunded_minor, order.ship_at, order.parked_at);
    let of_returns: Vec<&String> = returns.iter().map(|one| &one.state).collect();
    let stores = (twins, checkouts, reservations, transfers_in, payments, refunds, entries, waiting);
    format!("{of_order:?} {of_returns:?} {stores:?}")
}

/// What a region's databases and outboxes have under the order's id.
struct Stored {
    twins: Read<Vec<order::Twins>>,
    checkout: Read<Option<cart::Checkout>>,
    stock: Read<(Option<inventory::Reservation>, Vec<inventory::TransferIn>)>,
    money: Read<payment::Payments>,
    /// In the outboxes of order and payment; the others have no event of an order to say.
    waiting: [Read<Vec<outbox::Waiting>>; 2],
}

impl Stored {
    async fn read(layout: &Layout, region: Region, id: Uuid) -> Self {
        let outbox =
            async |service| snapshot(layout, region, service, async |conn| outbox::read(conn, service, id).await).await;
        let (twins, checkout, stock, money, orders, payments) = tokio::join!(
            snapshot(layout, region, "order", async |conn| order::twins(conn, id).await),
            snapshot(layout, region, "cart", async |conn| cart::read(conn, id).await),
            snapshot(layout, region, "inventory", async |conn| inventory::read(conn, id).await),
            snapshot(layout, region, "payment", async |conn| payment::read(conn, id).await),
            outbox("order"),
            outbox("payment"),
        );
        Self { twins, checkout, stock, money, waiting: [orders, payments] }
    }

    fn note(self, region: Region, facts: &mut Facts) {
        let mut lost = Lost(&mut facts.unread);
        let (reservation, transfers) = lost.unless(self.stock);
        let payment::Payments { payment, refunds, entries } = lost.unless(self.money);
        facts.twins.extend(lost.unless(self.twins).into_iter().map(|is| In { region, is }));
        facts.checkouts.extend(lost.unless(self.checkout).map(|is| In { region, is }));
        facts.reservations.extend(reservation.map(|is| In { region, is }));
        facts.transfers_in.extend(transfers.into_iter().map(|is| In { region, is }));
        facts.payments.extend(payment.map(|is| In { region, is }));
        facts.refunds.extend(refunds.into_iter().map(|is| In { region, is }));
        facts.entries.extend(entries.into_iter().map(|is| In { region, is }));
        for waiting in self.waiting {
            facts.waiting.extend(lost.unless(waiting).into_iter().map(|is| In { region, is }));
        }
    }
}

/// What all databases have under the order's id.
async fn stored(layout: &Layout, home: Region, id: Uuid) -> Read<Facts> {
    let now = Utc::now();
    let row = snapshot(layout, home, "order", async |conn| order::read(conn, id).await).await?;
    let mut facts = Facts::new(now, OrderId::from_uuid(id), home, row);
    let (east, west) = tokio::join!(Stored::read(layout, Region::East, id), Stored::read(layout, Region::West, id));
    east.note(Region::East, &mut facts);
    west.note(Region::West, &mut facts);
    Ok(facts)
}

/// What the Kafkas and the provider have about it, and what the databases have under ids found there.
async fn witnessed(layout: &Layout, facts: &mut Facts) {
    let (begin, id) = (facts.order.created_at - CLOCKS_DIFFER_BY, facts.order_id.to_string());
    let witness = async |region| {
        tokio::join!(events::read(layout, region, id.clone(), begin), dlq::judged(layout, region, TOPICS.into()))
    };
    let (east, west, ledger) =
        tokio::join!(witness(Region::East), witness(Region::West), ledger::read(layout, &id, begin));
    for (region, (records, letters)) in [(Region::East, east), (Region::West, west)] {
        if records.is_err() {
            facts.kafkas_unread.push(region);
        }
        let mut lost = Lost(&mut facts.unread);
        let records = lost.unless(records);
        facts.records.extend(records.records.into_iter().map(|is| In { region, is }));
        facts.partly_read.extend(records.partly_read.into_iter().map(|topic| (region, topic)));
        let letters = lost.unless(letters.map(|judged| judged.letters));
        facts.letters.extend(letters.into_iter().filter(|(letter, _)| letter.key.as_deref() == Some(&id)));
    }
    facts.ledger = Lost(&mut facts.unread).unless(ledger);
    for region in Region::ALL {
        by_what_was_found(layout, region, facts).await;
    }
}

/// What a region has under ids that were found: inbox rows, granted transfers, webhooks.
async fn by_what_was_found(layout: &Layout, region: Region, facts: &mut Facts) {
    let events: Vec<EventId> = facts.events().iter().map(|event| event.id).collect();
    let transfers: Vec<Uuid> = facts.transfers_in.iter().map(|transfer| transfer.is.transfer_id).collect();
    let webhooks: Vec<String> = facts.ledger.iter().filter_map(|line| line.event.clone()).collect();
    let mut lost = Lost(&mut facts.unread);

    let applied = inbox::applied(layout, region, &events, |_| true).await;
    if applied.is_err() {
        facts.inboxes_unread.push(region);
    }
    facts.applied.extend(lost.unless(applied).into_iter().map(|is| In { region, is }));

    if !transfers.is_empty() {
        let granted = snapshot(layout, region, "inventory", async |conn| inventory::granted(conn, &transfers).await);
        facts.transfers_out.extend(lost.unless(granted.await).into_iter().map(|is| In { region, is }));
    }
    if !webhooks.is_empty() {
        let known = snapshot(layout, region, "payment", async |conn| payment::webhooks(conn, &webhooks).await).await;
        facts.webhooks.extend(lost.unless(known).into_iter().map(|is| In { region, is }));
    }
}

async fn read_logs(layout: &Layout, facts: &mut Facts) {
    let traces = facts.traces().into_iter().map(|(trace, _)| trace);
    let words: Vec<String> = traces.chain([facts.order_id.to_string()]).collect();
    let layout = layout.clone();
    let read = tokio::task::spawn_blocking(move || logs::read(&layout, &words, LOG_LINES_MAX));
    match read.await {
        Ok((lines, more)) => (facts.logs, facts.logs_more) = (lines, more),
        Err(error) => facts.unread.push(format!("cannot read the logs: {error}")),
    }
}
