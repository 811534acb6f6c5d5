//! The part of a webhook's body that is read.

use serde::Deserialize;

use crate::store::Subject;

/// Longest event id that is remembered, in bytes.
const EVENT_ID_BYTES_MAX: usize = 128;

/// A webhook event. Amounts and states in it are not even parsed.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub id: String,
    #[serde(rename = "type")]
    event_type: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    #[serde(default)]
    reference: String,
}

impl Event {
    pub fn parse(body: &[u8]) -> Option<Self> {
        let event: Self = serde_json::from_slice(body).ok()?;
        (1..=EVENT_ID_BYTES_MAX).contains(&event.id.len()).then_some(event)
    }

    /// What it is about; `None` when that is nothing of ours.
    pub fn subject(&self) -> Option<Subject> {
        let reference = &self.data.object.reference;
        match self.event_type.split_once('.')?.0 {
            "payment_intent" => reference.parse().ok().map(Subject::Payment),
            "refund" => reference.parse().ok().map(Subject::Refund),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn event(event_type: &str, reference: &str) -> Event {
        let body =
            format!(r#"{{"id":"evt_1","type":"{event_type}","data":{{"object":{{"reference":"{reference}"}}}}}}"#);
        Event::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_names_its_payment_or_refund_or_nothing() {
        let order = Subject::Payment(UUID.parse().unwrap());
        assert_eq!(event("payment_intent.captured", UUID).subject(), Some(order));
        assert_eq!(event("refund.succeeded", UUID).subject(), Some(Subject::Refund(UUID.parse().unwrap())));
        assert_eq!(event("payment_intent.captured", "17").subject(), None);
        assert_eq!(event("payout.paid", UUID).subject(), None);
        assert_eq!(event("payout", UUID).subject(), None);
        for malformed in ["", "{}", "[]", r#"{"id":"","type":"refund.x","data":{"object":{}}}"#] {
            assert!(Event::parse(malformed.as_bytes()).is_none(), "{malformed}");
        }
    }
}
