//! Reads the facts. First who has the order, then everything that goes by its id, then what goes by ids found so.

use anyhow::bail;
use chrono::{TimeDelta, Utc};
use ids::{EventId, OrderId, Region};
use uuid::Uuid;

use super::databases::{cart, inventory, order, outbox, payment};
use super::facts::{Facts, In};
use super::wanted::Wanted;
use super::{events, ledger, logs};
use crate::audit::sources::Read;
use crate::audit::sources::database::snapshot;
use crate::dlq;
use crate::platform::{Layout, TOPICS};
use crate::spine::inbox;

/// Orders named when an id is cut too short.
const NAMED_MAX: i64 = 10;
/// Log lines shown, the last ones.
const LOG_LINES_MAX: usize = 40;
/// Clocks of ours differ by less. What happened is looked for from this long before the order on.
const CLOCKS_DIFFER_BY: TimeDelta = TimeDelta::minutes(5);

/// What is not there, because a store cannot be read, is named and left out.
struct Lost<'a>(&'a mut Vec<String>);

impl Lost<'_> {
    fn unless<T: Default>(&mut self, read: Read<T>) -> T {
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
    let mut unread = Vec::new();
    let (home, id) = find(layout, wanted, &mut unread).await?;
    let read = snapshot(layout, home, "order", async |conn| order::read(conn, id).await).await?;
    let (order, lines, returns, actions) = read;
    let mut facts = Facts {
        now: Utc::now(),
        order_id: OrderId::from_uuid(id),
        home,
        order,
        lines,
        returns,
        actions,
        checkouts: Vec::new(),
        reservations: Vec::new(),
        transfers_in: Vec::new(),
        transfers_out: Vec::new(),
        payments: Vec::new(),
        refunds: Vec::new(),
        entries: Vec::new(),
        webhooks: Vec::new(),
        ledger: Vec::new(),
        waiting: Vec::new(),
        records: Vec::new(),
        applied: Vec::new(),
        letters: Vec::new(),
        logs: Vec::new(),
        logs_more: 0,
        unread,
        partly_read: Vec::new(),
        kafkas_unread: Vec::new(),
        inboxes_unread: Vec::new(),
    };
    let begin = facts.order.created_at - CLOCKS_DIFFER_BY;
    // One after the other: some thirty short questions, and a laptop's brokers and databases are asked in turn.
    for region in Region::ALL {
        by_order(layout, region, id, &mut facts).await;
        let read = events::read(layout, region, id.to_string(), begin).await;
        if read.is_err() {
            facts.kafkas_unread.push(region);
        }
        let read = Lost(&mut facts.unread).unless(read);
        facts.records.extend(read.records.into_iter().map(|is| In { region, is }));
        facts.partly_read.extend(read.partly_read.into_iter().map(|topic| (region, topic)));
    }
    facts.ledger = Lost(&mut facts.unread).unless(ledger::read(layout, &id.to_string(), begin).await);
    for region in Region::ALL {
        by_what_was_found(layout, region, &mut facts).await;
    }
    read_logs(layout, &mut facts).await;
    Ok(facts)
}

/// The one order that begins as asked, and its region.
async fn find(layout: &Layout, wanted: &Wanted, unread: &mut Vec<String>) -> anyhow::Result<(Region, Uuid)> {
    let mut found = Vec::new();
    for region in Region::ALL {
        let read = snapshot(layout, region, "order", async |conn| {
            order::find(conn, wanted.first, wanted.last, NAMED_MAX + 1).await
        });
        let ids = Lost(unread).unless(read.await);
        found.extend(ids.into_iter().map(|id| (region, id)));
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] if unread.is_empty() => bail!("there is no order {wanted} in either region; {}", hint(layout, wanted).await),
        [] => bail!("no order {wanted} was found, but not everything could be read: {}", unread.join("; ")),
        several => {
            let shown = several.iter().take(NAMED_MAX as usize).map(|(region, id)| format!("\n  {id} ({region})"));
            let more = if several.len() > NAMED_MAX as usize { "\n  …" } else { "" };
            bail!("{wanted} begins several orders; write more of the id:{}{more}", shown.collect::<String>())
        }
    }
}

/// What to do about an order that is not there.
async fn hint(layout: &Layout, wanted: &Wanted) -> String {
    for region in Region::ALL {
        let checkout = snapshot(layout, region, "cart", async |conn| cart::read(conn, wanted.first).await).await;
        if let Ok(Some(checkout)) = checkout {
            return format!(
                "the {region} cart has a checkout for it, which is {}: its request died before the order was stored, and the \
                 cart puts the lines back after some minutes",
                checkout.state
            );
        }
    }
    "an order's id is in the answer to POST /v1/orders, in GET /v1/orders, and in log lines about it (backbone logs order)".to_owned()
}

/// What the other databases and the outboxes of a region have under the order's id.
async fn by_order(layout: &Layout, region: Region, id: Uuid, facts: &mut Facts) {
    let mut lost = Lost(&mut facts.unread);
    let checkout = snapshot(layout, region, "cart", async |conn| cart::read(conn, id).await).await;
    facts.checkouts.extend(lost.unless(checkout).map(|is| In { region, is }));

    let stock = snapshot(layout, region, "inventory", async |conn| inventory::read(conn, id).await).await;
    let (reservation, transfers) = lost.unless(stock);
    facts.reservations.extend(reservation.map(|is| In { region, is }));
    facts.transfers_in.extend(transfers.into_iter().map(|is| In { region, is }));

    let money = snapshot(layout, region, "payment", async |conn| payment::read(conn, id).await).await;
    let payment::Payments { payment, refunds, entries } = lost.unless(money);
    facts.payments.extend(payment.map(|is| In { region, is }));
    facts.refunds.extend(refunds.into_iter().map(|is| In { region, is }));
    facts.entries.extend(entries.into_iter().map(|is| In { region, is }));

    // The others have no event of an order to say.
    for service in ["order", "payment"] {
        let waiting = snapshot(layout, region, service, async |conn| outbox::read(conn, service, id).await).await;
        facts.waiting.extend(lost.unless(waiting).into_iter().map(|is| In { region, is }));
    }
}

/// What a region has under ids that were found: inbox rows, dead letters, granted transfers, webhooks.
async fn by_what_was_found(layout: &Layout, region: Region, facts: &mut Facts) {
    let events: Vec<EventId> = facts.events().iter().map(|event| event.id).collect();
    let transfers: Vec<Uuid> = facts.transfers_in.iter().map(|transfer| transfer.is.transfer_id).collect();
    let webhooks: Vec<String> = facts.ledger.iter().filter_map(|line| line.event.clone()).collect();
    let key = facts.order_id.to_string();
    let mut lost = Lost(&mut facts.unread);

    let applied = inbox::applied(layout, region, &events, |_| true).await;
    if applied.is_err() {
        facts.inboxes_unread.push(region);
    }
    let applied = lost.unless(applied);
    facts.applied.extend(applied.into_iter().map(|is| In { region, is }));

    let letters = dlq::judged(layout, region, TOPICS.into()).await.map(|judged| judged.letters);
    let is_ours = |letter: &dlq::Letter| letter.key.as_deref() == Some(&key);
    facts.letters.extend(lost.unless(letters).into_iter().filter(|(letter, _)| is_ours(letter)));

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
