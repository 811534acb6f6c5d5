//! Webhooks: signed, at least once, in no order. A hint to the caller, never the truth: the truth is asked for.
//!
//! Each event is a task that waits its delay, then tries until the receiver answers 2xx or the tries run out. Undelivered
//! events live in memory only; those of a killed provider are lost, as a real one may lose them, so callers must also ask.
//!
//! On command somebody else sends webhooks too: with a wrong signature, with a good one over made-up content (as if the secret had
//! leaked), or a true one from an hour ago. Each of these is sent once.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::config::WebhookTarget;
use crate::counts::{Count, Counts};
use crate::faults::Delivery;
use crate::intent::{EventId, Intent, IntentId, IntentStatus, Refund};
use crate::ledger::{Entry, Fact};
use crate::order::Order;

/// Events on their way at once; one more is dropped with a warning. About 1 KB each: 10 MB at worst.
const EVENTS_PENDING_MAX: usize = 10_000;
/// Requests open at once: a receiver that hangs cannot take more connections than this.
const DELIVERIES_AT_ONCE_MAX: usize = 32;
/// Tries of one event: 0.1 s doubling to 30 s makes about three minutes.
const TRIES_MAX: u32 = 14;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(30);
/// A receiver has this long to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a webhook is held back for a later one of its payment to pass it.
const HELD_BACK_MAX: Duration = Duration::from_secs(10);
/// How old a replayed webhook is.
const REPLAYED_AGE: Duration = Duration::from_secs(3_600);

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "psp-signature";

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body" under the secret>`: the time is signed too, so that a receiver can refuse
/// an old delivery that is replayed.
pub fn signature(secret: &str, unix_seconds: i64, body: &[u8]) -> String {
    // HMAC takes a key of any length; the error is for MACs that do not.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(unix_seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={unix_seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[derive(Serialize)]
struct Event<'a> {
    id: EventId,
    #[serde(rename = "type")]
    event_type: &'static str,
    created: i64,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    object: Object<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Object<'a> {
    Intent(&'a Intent),
    Refund(&'a Refund),
}

/// The body of an entry's webhook; `None` when it has none.
pub fn body(entry: &Entry) -> Option<Vec<u8>> {
    let object = match &entry.fact {
        Fact::Declined { .. } => return None,
        Fact::Authorised { intent } | Fact::Captured { intent } | Fact::Canceled { intent } => Object::Intent(intent),
        Fact::Refunded { refund, .. } => Object::Refund(refund),
    };
    let (id, event_type) = (entry.event?, entry.fact.event_type()?);
    serde_json::to_vec(&Event { id, event_type, created: entry.at.timestamp(), data: Data { object } }).ok()
}

/// The body of a lie about an entry's payment: captured if it is not, let go if it is, and of another amount.
fn lie(intent: &Intent, now: DateTime<Utc>) -> Option<Vec<u8>> {
    let (status, event_type) = match intent.status {
        IntentStatus::RequiresCapture | IntentStatus::Canceled => (IntentStatus::Succeeded, "payment_intent.captured"),
        IntentStatus::Succeeded => (IntentStatus::Canceled, "payment_intent.canceled"),
    };
    let made_up = Intent { status, amount: intent.amount + 1, amount_captured: intent.amount + 1, ..intent.clone() };
    let (id, object) = (EventId(Uuid::new_v4()), Object::Intent(&made_up));
    serde_json::to_vec(&Event { id, event_type, created: now.timestamp(), data: Data { object } }).ok()
}

fn intent_of(entry: &Entry) -> Option<&Intent> {
    match &entry.fact {
        Fact::Declined { .. } => None,
        Fact::Authorised { intent }
        | Fact::Captured { intent }
        | Fact::Canceled { intent }
        | Fact::Refunded { intent, .. } => Some(intent),
    }
}

/// Sends webhooks.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    pending: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
    order: Order,
    counts: Arc<Counts>,
}

impl Sender {
    /// A sender with its own connections.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(counts: Arc<Counts>) -> reqwest::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(ANSWER_WITHIN).tcp_nodelay(true).build()?,
            pending: Arc::new(Semaphore::new(EVENTS_PENDING_MAX)),
            at_once: Arc::new(Semaphore::new(DELIVERIES_AT_ONCE_MAX)),
            order: Order::default(),
            counts,
        })
    }

    /// Sends an entry's webhook in the background, and what is to come beside it.
    pub fn send(&self, target: &WebhookTarget, entry: &Entry, delivery: Delivery) {
        let (Some(body), Some(intent)) = (body(entry), intent_of(entry)) else { return };
        let Ok(permit) = Arc::clone(&self.pending).try_acquire_owned() else {
            tracing::warn!(entry = entry.n, "webhook dropped: too many are on their way");
            return;
        };
        let lie = if delivery.forged_content { lie(intent, entry.at) } else { None };
        let (sender, target, n, intent) = (self.clone(), target.clone(), entry.n, intent.id);
        // Before the task runs, so that a later webhook finds this one on its way.
        self.order.begin(intent);
        tokio::spawn(async move {
            sender.impersonate(&target, &body, lie, delivery).await;
            tokio::time::sleep(delivery.delay).await;
            sender.send_one(&target, &body, (intent, n), delivery).await;
            sender.order.end(intent);
            drop(permit);
        });
    }

    async fn send_one(&self, target: &WebhookTarget, body: &[u8], (intent, n): (IntentId, u64), delivery: Delivery) {
        if delivery.after_a_later_one {
            self.order.wait_for_a_later_one(intent, n, HELD_BACK_MAX).await;
        }
        if !self.deliver(target, body).await {
            tracing::warn!(entry = n, account_url = %target.url, "webhook given up");
            return;
        }
        self.counts.add(Count::WebhooksDelivered);
        if self.order.delivered(intent, n) {
            self.counts.add(Count::ReorderedWebhook);
        }
        if delivery.twice && self.deliver(target, body).await {
            self.counts.add(Count::DuplicateWebhook);
        }
    }

    async fn impersonate(&self, target: &WebhookTarget, body: &[u8], lie: Option<Vec<u8>>, delivery: Delivery) {
        let (now, then) = (Utc::now().timestamp(), (Utc::now() - REPLAYED_AGE).timestamp());
        if let Some(lie) = lie
            && self.post(target, &lie, signature(&target.secret, now, &lie)).await.is_some()
        {
            self.counts.add(Count::ForgedContent);
        }
        if delivery.forged_signature {
            let forged = signature("whsec_of_somebody_else", now, body);
            self.count_forgery(Count::ForgedSignature, self.post(target, body, forged).await);
        }
        if delivery.replayed {
            let old = signature(&target.secret, then, body);
            self.count_forgery(Count::ReplayedWebhook, self.post(target, body, old).await);
        }
    }

    fn count_forgery(&self, count: Count, answered: Option<bool>) {
        let Some(believed) = answered else { return };
        self.counts.add(count);
        if believed {
            self.counts.add(Count::ForgeriesBelieved);
        }
    }

    async fn deliver(&self, target: &WebhookTarget, body: &[u8]) -> bool {
        let mut wait = RETRY_FIRST;
        for attempt in 1..=TRIES_MAX {
            let signature = signature(&target.secret, Utc::now().timestamp(), body);
            if self.post(target, body, signature).await == Some(true) {
                return true;
            }
            if attempt < TRIES_MAX {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_LONGEST);
            }
        }
        false
    }

    /// Whether the receiver took it; `None` when it did not answer.
    async fn post(&self, target: &WebhookTarget, body: &[u8], signature: String) -> Option<bool> {
        let _permit = self.at_once.acquire().await.ok()?;
        let request = self
            .client
            .post(&target.url)
            .header("content-type", "application/json")
            .header(SIGNATURE_HEADER, signature)
            .body(body.to_vec());
        match request.send().await {
            Ok(response) => Some(response.status().is_success()),
            Err(error) => {
                tracing::debug!(%error, "webhook not delivered");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_covers_time_and_body() {
        let signed = signature("whsec", 1_700_000_000, b"{}");
        // echo -n '1700000000.{}' | openssl dgst -sha256 -hmac whsec
        assert_eq!(signed, "t=1700000000,v1=7d44587dddbaf4c7f70fef20f48cd594834ffea1641e3ac227b84408298738af");
        assert_ne!(signature("whsec", 1_700_000_001, b"{}")[13..], signed[13..]);
        assert_ne!(signature("other", 1_700_000_000, b"{}"), signed);
    }
}
