//! How large things may be, in one place, so that they fit into each other: the largest order into a message, the largest return into a
//! body, a page of anything into both.
//!
//! What is chosen stands first; what follows from it is computed. `tests/messages.rs` builds the largest legal message of every method and
//! holds it against [`MESSAGE_BYTES_MAX`].

mod page;

pub use page::fitting;

/// Most lines of a cart, and so of an order, a reservation and a return; most offers of one batch. The largest real order that we know has
/// 1,114 lines.
pub const LINES_MAX: usize = 1_500;
/// Longest id of an offer or a seller, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest title, attribute key or attribute value of an offer, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// Most attributes of an offer.
pub const ATTRIBUTES_MAX: usize = 32;
/// Most that one order, payment or refund may move, in minor units: ten thousand million of a currency with two decimals. Sums of any
/// number of them that fit a disk stay far inside `i64`.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// Longest gRPC message, in bytes: what tonic and most other stacks decode unless they are told otherwise.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest page of a list, in bytes of its items on the wire. Half a message; a longer item has a
/// page for itself.
pub const PAGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;

/// Bytes of a character of UTF-8 at most.
const CHAR_BYTES_MAX: usize = 4;
/// Longest offer on the wire: title and attributes, each text with some bytes of tag and length, and less than 256 for ids and price.
pub const OFFER_BYTES_MAX: usize = (1 + 2 * ATTRIBUTES_MAX) * (TEXT_CHARS_MAX * CHAR_BYTES_MAX + 8) + 256;

/// Longest line of a return in JSON: `{"offer_id": "…", "quantity": 10000000}`, indented and with a line for each brace.
const RETURN_LINE_JSON_BYTES_MAX: usize = NAME_BYTES_MAX + 96;
/// Largest body of a REST request, in bytes: that of a return of all lines of the largest order.
pub const BODY_BYTES_MAX: usize = (LINES_MAX * RETURN_LINE_JSON_BYTES_MAX).next_multiple_of(64 * 1024);

const _: () = assert!(OFFER_BYTES_MAX <= PAGE_BYTES_MAX, "a page holds at least one offer");
const _: () = assert!(BODY_BYTES_MAX <= MESSAGE_BYTES_MAX, "what REST takes in fits into the message that it becomes");
