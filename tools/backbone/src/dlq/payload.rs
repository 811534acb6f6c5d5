//! A payload for people: the message it stands for, or else its bytes. Events carry no personal data.

use contracts::{order, payment};
use prost::Message;

/// Bytes shown of what does not decode.
const BYTES_SHOWN_MAX: usize = 512;
/// Lines shown of what does. An order of 1,500 lines has ten times as many.
const LINES_SHOWN_MAX: usize = 200;

/// The payload of an event of that topic.
pub fn show(topic: &str, payload: &[u8]) -> String {
    match decode(topic, payload) {
        Some(Ok(message)) => bounded(&message),
        Some(Err(error)) => format!("does not decode as a {topic}: {error}\n{}", hex(payload)),
        None => hex(payload),
    }
}

/// `None` when nothing is known of the topic.
fn decode(topic: &str, payload: &[u8]) -> Option<Result<String, prost::DecodeError>> {
    Some(match topic {
        "order.placed.v1" => text::<order::v1::OrderPlaced>(payload),
        "order.cancelled.v1" => text::<order::v1::OrderCancelled>(payload),
        "order.shipped.v1" => text::<order::v1::OrderShipped>(payload),
        "payment.captured.v1" => text::<payment::v1::PaymentCaptured>(payload),
        "payment.refunded.v1" => text::<payment::v1::PaymentRefunded>(payload),
        _ => return None,
    })
}

fn text<M: Message + Default + std::fmt::Debug>(payload: &[u8]) -> Result<String, prost::DecodeError> {
    M::decode(payload).map(|message| format!("{message:#?}"))
}

fn bounded(message: &str) -> String {
    let lines: Vec<&str> = message.lines().collect();
    let shown = lines[..lines.len().min(LINES_SHOWN_MAX)].join("\n");
    match lines.len().checked_sub(LINES_SHOWN_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown}\n… and {more} more lines"),
    }
}

fn hex(payload: &[u8]) -> String {
    let shown = hex::encode(&payload[..payload.len().min(BYTES_SHOWN_MAX)]);
    match payload.len().checked_sub(BYTES_SHOWN_MAX) {
        None | Some(0) => format!("{} bytes: {shown}", payload.len()),
        Some(more) => format!("{} bytes: {shown} … and {more} more", payload.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::TOPICS;

    #[test]
    fn the_events_of_every_topic_are_shown_as_what_they_say() {
        let shipped = order::v1::OrderShipped { order_id: "an order".to_owned() }.encode_to_vec();
        assert_eq!(show("order.shipped.v1", &shipped), "OrderShipped {\n    order_id: \"an order\",\n}");
        for topic in TOPICS {
            assert!(show(topic, &shipped).contains("order_id: \"an order\""), "{topic}");
        }
    }

    #[test]
    fn what_does_not_decode_is_shown_as_bytes_and_not_all_of_them() {
        assert!(show("order.shipped.v1", &[0xff; 3]).ends_with("3 bytes: ffffff"));
        assert_eq!(show("stock.moved.v1", b"\x01\x02"), "2 bytes: 0102");
        assert!(show("stock.moved.v1", &[0; 1_000]).ends_with(" … and 488 more"));
    }

    #[test]
    fn a_long_order_is_cut() {
        let lines = vec![order::v1::OrderedLine::default(); 500];
        let placed = order::v1::OrderPlaced { lines, ..Default::default() };
        let shown = show("order.placed.v1", &placed.encode_to_vec());
        assert_eq!(shown.lines().count(), LINES_SHOWN_MAX + 1);
    }
}
