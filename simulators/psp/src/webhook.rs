//! Webhooks: signed, at least once, in no order. A hint to the caller, never the truth: the truth is asked for.
//!
//! Each event is a task that waits its delay, then tries until the receiver answers 2xx or the tries run out. Undelivered
//! events live in memory only; those of a killed provider are lost, as a real one may lose them, so callers must also ask.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::config::WebhookTarget;
use crate::faults::Delivery;
use crate::intent::{EventId, Intent, Refund};
use crate::ledger::{Entry, Fact};

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

/// Sends webhooks.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    pending: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl Sender {
    /// A sender with its own connections.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new() -> reqwest::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(ANSWER_WITHIN).tcp_nodelay(true).build()?,
            pending: Arc::new(Semaphore::new(EVENTS_PENDING_MAX)),
            at_once: Arc::new(Semaphore::new(DELIVERIES_AT_ONCE_MAX)),
        })
    }

    /// Sends an entry's webhook in the background.
    pub fn send(&self, target: &WebhookTarget, entry: &Entry, delivery: Delivery) {
        let Some(body) = body(entry) else { return };
        let Ok(permit) = Arc::clone(&self.pending).try_acquire_owned() else {
            tracing::warn!(entry = entry.n, "webhook dropped: too many are on their way");
            return;
        };
        let (sender, target, n) = (self.clone(), target.clone(), entry.n);
        tokio::spawn(async move {
            tokio::time::sleep(delivery.delay).await;
            let delivered = sender.deliver(&target, &body).await;
            if delivered && delivery.twice {
                sender.deliver(&target, &body).await;
            }
            if !delivered {
                tracing::warn!(entry = n, account_url = %target.url, "webhook given up");
            }
            drop(permit);
        });
    }

    async fn deliver(&self, target: &WebhookTarget, body: &[u8]) -> bool {
        let mut wait = RETRY_FIRST;
        for attempt in 1..=TRIES_MAX {
            if self.try_once(target, body).await {
                return true;
            }
            if attempt < TRIES_MAX {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_LONGEST);
            }
        }
        false
    }

    async fn try_once(&self, target: &WebhookTarget, body: &[u8]) -> bool {
        let Ok(_permit) = self.at_once.acquire().await else { return false };
        let request = self
            .client
            .post(&target.url)
            .header("content-type", "application/json")
            .header(SIGNATURE_HEADER, signature(&target.secret, Utc::now().timestamp(), body))
            .body(body.to_vec());
        match request.send().await {
            Ok(response) => response.status().is_success(),
            Err(error) => {
                tracing::debug!(%error, "webhook not delivered");
                false
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
