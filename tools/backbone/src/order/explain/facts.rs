//! What was read of one order, from everywhere. The order's own rows are in its home region; the rest is looked for in both, since a
//! row where none should be is worth telling too.

use chrono::{DateTime, Utc};
use ids::{EventId, OrderId, Region};

use super::databases::cart::Checkout;
use super::databases::inventory::{Reservation, TransferIn, TransferOut};
use super::databases::order::{Action, Line, Order, OrderRows, Return, Twins};
use super::databases::outbox::Waiting;
use super::databases::payment::{Entry, Payment, Refund, Webhook};
use super::events::Record;
use super::ledger::LedgerLine;
use super::logs::LogLine;
use crate::dlq::Letter;
use crate::spine::inbox::Applied;

/// What was read.
#[derive(Debug)]
pub struct Facts {
    /// When.
    pub now: DateTime<Utc>,
    pub order_id: OrderId,
    pub home: Region,
    /// Another region that has an order under this id, which none may.
    pub also_in: Option<Region>,
    pub order: Order,
    pub lines: Vec<Line>,
    pub returns: Vec<Return>,
    /// What people did to it.
    pub actions: Vec<Action>,
    /// It, and another order of the same request.
    pub twins: Vec<In<Twins>>,
    pub checkouts: Vec<In<Checkout>>,
    pub reservations: Vec<In<Reservation>>,
    pub transfers_in: Vec<In<TransferIn>>,
    pub transfers_out: Vec<In<TransferOut>>,
    pub payments: Vec<In<Payment>>,
    pub refunds: Vec<In<Refund>>,
    pub entries: Vec<In<Entry>>,
    pub webhooks: Vec<In<Webhook>>,
    /// Its lines in the provider's ledger.
    pub ledger: Vec<LedgerLine>,
    /// Events in an outbox.
    pub waiting: Vec<In<Waiting>>,
    /// Every record of its events, repeats included, in the order of their partitions.
    pub records: Vec<In<Record>>,
    pub applied: Vec<In<Applied>>,
    /// Its dead letters, and when the event of each was applied after all.
    pub letters: Vec<(Letter, Option<DateTime<Utc>>)>,
    pub logs: Vec<LogLine>,
    /// Log lines beyond those.
    pub logs_more: usize,
    /// What could not be read, in words.
    pub unread: Vec<String>,
    /// Topics that were not read from the order's beginning to the end: that an event is not there says nothing.
    pub partly_read: Vec<(Region, &'static str)>,
    /// Regions whose Kafka could not be read at all.
    pub kafkas_unread: Vec<Region>,
    /// It did not stand still while it was read.
    pub moved: bool,
    /// Regions whose inboxes could not be read: that an event is not in them says nothing.
    pub inboxes_unread: Vec<Region>,
}

/// A thing in a region.
#[derive(Clone, Debug)]
pub struct In<T> {
    pub region: Region,
    pub is: T,
}

/// An event of the order, wherever it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    /// The topic it goes to.
    pub topic: String,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The service that decided it.
    pub service: String,
    /// The region that acts on it.
    pub home: Region,
    pub traceparent: Option<String>,
}

impl Facts {
    /// The order's own rows, read at `now`; of the rest nothing yet.
    pub fn new(now: DateTime<Utc>, order_id: OrderId, home: Region, row: OrderRows) -> Self {
        let (order, lines, returns, actions) = row;
        Self {
            now,
            order_id,
            home,
            also_in: None,
            order,
            lines,
            returns,
            actions,
            twins: Vec::new(),
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
            unread: Vec::new(),
            partly_read: Vec::new(),
            kafkas_unread: Vec::new(),
            moved: false,
            inboxes_unread: Vec::new(),
        }
    }

    /// Every event of the order, each once, in the order of their deciding.
    pub fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        let recorded = self.records.iter().map(|record| &record.is.event);
        for event in self.waiting.iter().map(|waiting| &waiting.is.event).chain(recorded) {
            if !events.iter().any(|known| known.id == event.id) {
                events.push(event.clone());
            }
        }
        events.sort_by_key(|event| (event.at, event.id));
        events
    }

    /// Whether all events of a topic in a region's Kafka are known.
    pub fn knows_all(&self, region: Region, topic: &str) -> bool {
        !self.kafkas_unread.contains(&region) && !self.partly_read.contains(&(region, topic))
    }

    /// Where an event lies in a region's Kafka, in the order of its publishing.
    pub fn places(&self, event: EventId, region: Region) -> Vec<&Record> {
        let here = self.records.iter().filter(|record| record.region == region && record.is.event.id == event);
        let mut places: Vec<&Record> = here.map(|record| &record.is).collect();
        places.sort_by_key(|place| (place.published_at, place.partition, place.offset));
        places
    }

    /// The traces it took part in, each with what began it; the request's own first.
    pub fn traces(&self) -> Vec<(String, String)> {
        let mut traces: Vec<(String, String)> = Vec::new();
        let mut note = |traceparent: &Option<String>, what: &str| {
            let Some(id) = traceparent.as_deref().and_then(trace_id) else { return };
            if !traces.iter().any(|(known, _)| known == id) {
                traces.push((id.to_owned(), what.to_owned()));
            }
        };
        note(&self.order.traceparent, "the request");
        for one in &self.returns {
            note(&one.traceparent, &format!("return {}", one.return_id));
        }
        for event in self.events() {
            note(&event.traceparent, &event.topic);
        }
        for payment in &self.payments {
            note(&payment.is.traceparent, "payment");
        }
        for refund in &self.refunds {
            note(&refund.is.traceparent, &format!("refund {}", refund.is.refund_id));
        }
        traces
    }
}

/// The trace of a W3C `traceparent`.
fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1).filter(|id| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
