//! How large things may be, in one place, so that they fit into each other: the largest order into a message, the largest return into a
//! body, a page of anything into both.
//!
//! What is chosen stands first; what follows from it is computed. `tests/messages.rs` computes the largest legal message of every
//! method and event and holds it against [`MESSAGE_BYTES_MAX`] or [`EVENT_BYTES_MAX`].

mod page;

pub use page::fitting;

/// Regions that edit one cart at the same time.
pub const REGIONS: usize = 2;
/// Most lines of a cart, and so of an order, a reservation and a return; most offers of one batch. The largest real order that we know has
/// 1,114 lines.
pub const LINES_MAX: usize = 1_500;
/// Most lines of a joined cart: each region holds its own shoppers to [`LINES_MAX`], so all together may reach more. Its shopper removes
/// some before it is ordered.
pub const JOINED_LINES_MAX: usize = REGIONS * LINES_MAX;
/// Most units of one line, however many edits made it: the largest reservation of one offer.
pub const LINE_UNITS_MAX: i64 = 1_000_000;
/// Most prices that the units of one line have after an edit: each time that the price changes between two adds, there is one more.
pub const LINE_PRICES_MAX: usize = 32;
/// Most prices of a joined line.
pub const JOINED_LINE_PRICES_MAX: usize = REGIONS * LINE_PRICES_MAX;
/// Most prices that the lines of one cart have together after an edit, a price of two lines counted twice. Eight a line for the largest
/// cart; its smaller ones seldom have two. If each line could have [`LINE_PRICES_MAX`], the event of the largest order would not fit.
pub const CART_PRICES_MAX: usize = 8 * LINES_MAX;
/// Most prices of the lines of a joined cart together, and so of an order.
pub const JOINED_PRICES_MAX: usize = REGIONS * CART_PRICES_MAX;
/// Most entries that a cart shows of what two orders took. There is as good as never one; the newest are shown.
pub const ORDERED_TWICE_MAX: usize = LINES_MAX;
/// Longest version of a cart. It names the cart's causal past: some tens of bytes for a cart of two regions. The bound only keeps junk out.
pub const VERSION_CHARS_MAX: usize = 16_384;
/// Longest id of an offer or a seller, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest title, attribute key or attribute value of an offer, recipient or street of an address, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// Longest city of an address, in characters.
pub const CITY_CHARS_MAX: usize = 100;
/// Longest postal code of an address, in characters.
pub const POSTAL_CODE_CHARS_MAX: usize = 20;
/// Longest country of an address, in characters.
pub const COUNTRY_CHARS_MAX: usize = 64;
/// Longest name of an operator, in characters.
pub const OPERATOR_CHARS_MAX: usize = 64;
/// Longest reason that an operator gives, in characters.
pub const REASON_CHARS_MAX: usize = 500;
/// Largest page that an operator may ask for.
pub const OPERATORS_PAGE_MAX: i32 = 1_000;
/// Most attributes of an offer.
pub const ATTRIBUTES_MAX: usize = 32;
/// Most that one order, payment or refund may move, in minor units: ten thousand million of a currency with two decimals. Sums of any
/// number of them that fit a disk stay far inside `i64`.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// Longest gRPC message, in bytes: what tonic and most other stacks decode unless they are told otherwise.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest payload of an event, in bytes: with its key and headers it stays below the broker's default `message.max.bytes` of 1 MiB. The
/// check on the outbox's column is the same.
pub const EVENT_BYTES_MAX: usize = 896 * 1024;
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
