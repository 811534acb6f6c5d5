//! Pages of a customer's orders.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ids::{CustomerId, OrderId};
use uuid::Uuid;

/// Version of the token's form.
const VERSION: u8 = 1;
/// Bytes of a UUID.
const UUID_BYTES: usize = 16;

/// Lines that are loaded for a page of orders, unless its first order alone has more. Of those, as many orders are answered as fit into a
/// page's bytes ([`limits::PAGE_BYTES_MAX`]): 8,000 lines of ordinary titles do, of the longest a quarter.
pub const LINES_PER_PAGE_MAX: i64 = 8_000;

/// Where the next page of a customer's list begins. Opaque to clients and of use for that list only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    /// Whose list it is.
    pub customer: CustomerId,
    /// The last order of the page before.
    pub last: OrderId,
}

/// The text is not a page token of this customer's list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a page token of this list")]
pub struct InvalidPageToken;

impl PageToken {
    /// The token as text.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.customer.as_uuid().as_bytes());
        bytes.extend_from_slice(self.last.as_uuid().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token that `customer` sent.
    ///
    /// # Errors
    /// [`InvalidPageToken`] when it is garbage or belongs to another customer's list.
    pub fn decode(text: &str, customer: CustomerId) -> Result<Self, InvalidPageToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidPageToken)?;
        let [VERSION, ids @ ..] = bytes.as_slice() else { return Err(InvalidPageToken) };
        let (owner, last) = ids.split_at_checked(UUID_BYTES).ok_or(InvalidPageToken)?;
        let uuid = |bytes| Uuid::from_slice(bytes).map_err(|_| InvalidPageToken);
        let token = Self { customer: CustomerId::from_uuid(uuid(owner)?), last: OrderId::from_uuid(uuid(last)?) };
        if token.customer == customer { Ok(token) } else { Err(InvalidPageToken) }
    }
}

/// How many of the next orders, of `line_counts` lines each, go onto one page: at least one, unless there are none.
pub fn orders_that_fit(line_counts: impl IntoIterator<Item = i64>) -> usize {
    let mut lines = 0_i64;
    line_counts
        .into_iter()
        .enumerate()
        .take_while(|(index, count)| {
            lines = lines.saturating_add(*count);
            *index == 0 || lines <= LINES_PER_PAGE_MAX
        })
        .count()
}

/// Orders of one region, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The orders.
    pub orders: Vec<T>,
    /// Whether older ones follow.
    pub has_more: bool,
}

/// One page of two regions' pages, newest first, of at most `size` orders and as many bytes as a page may have. `key` gives an order's
/// place in time and its bytes.
///
/// A page ends where the shorter of the two ends: what lies behind the end of one region's page is not known yet.
pub fn merge<T, K: Ord + Copy>(pages: [Page<T>; 2], size: usize, key: impl Fn(&T) -> (K, usize)) -> Page<T> {
    let ends = pages.iter().filter(|page| page.has_more);
    let known_back_to = ends.filter_map(|page| page.orders.last().map(|last| key(last).0)).max();
    // A region with more and without a single order: it had room for none, which its own bound rules out.
    let mut has_more = pages.iter().any(|page| page.has_more);
    let mut orders: Vec<T> = pages.into_iter().flat_map(|page| page.orders).collect();
    orders.sort_by_key(|order| std::cmp::Reverse(key(order).0));
    let known = orders.iter().take_while(|order| known_back_to.is_none_or(|back| key(order).0 >= back)).count();
    let taken = limits::fitting(orders.iter().take(known.min(size)).map(|order| key(order).1), limits::PAGE_BYTES_MAX);
    has_more |= taken < orders.len();
    orders.truncate(taken);
    Page { orders, has_more }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let (owner, stranger) = (CustomerId::generate(), CustomerId::generate());
        let token = PageToken { customer: owner, last: OrderId::generate() };
        let text = token.encode();
        assert_eq!(PageToken::decode(&text, owner), Ok(token));
        assert_eq!(PageToken::decode(&text, stranger), Err(InvalidPageToken));
        for garbage in ["", "AQ", "%%%", &text[1..], &format!("{text}AAAA")] {
            assert_eq!(PageToken::decode(garbage, owner), Err(InvalidPageToken), "{garbage:?}");
        }
    }

    #[test]
    fn a_page_is_bounded_by_lines_but_never_empty() {
        assert_eq!(orders_that_fit([]), 0);
        assert_eq!(orders_that_fit([LINES_PER_PAGE_MAX + 1, 1]), 1);
        assert_eq!(orders_that_fit([1, LINES_PER_PAGE_MAX - 1, 1]), 2);
        assert_eq!(orders_that_fit([26; 100]), 100);
    }

    /// What a region answers for the orders older than `before`.
    fn page(all: &[u32], before: u32, size: usize) -> Page<u32> {
        let mut older: Vec<u32> = all.iter().copied().filter(|order| *order < before).collect();
        older.sort_unstable_by_key(|order| std::cmp::Reverse(*order));
        let has_more = older.len() > size;
        older.truncate(size);
        Page { orders: older, has_more }
    }

    proptest! {
        #[test]
        fn turning_the_pages_of_two_regions_shows_every_order_once_newest_first(
            orders in prop::collection::btree_set(0..1_000_u32, 0..60),
            in_west in prop::collection::vec(any::<bool>(), 60),
            size in 1..9_usize,
        ) {
            let (mut east, mut west) = (Vec::new(), Vec::new());
            for (order, in_west) in orders.iter().zip(in_west) {
                if in_west { west.push(*order) } else { east.push(*order) }
            }
            let (mut shown, mut before) = (Vec::new(), u32::MAX);
            loop {
                let pages = [page(&east, before, size), page(&west, before, size)];
                let merged = merge(pages, size, |order| (*order, 1));
                prop_assert!(merged.orders.len() <= size);
                shown.extend(merged.orders);
                if !merged.has_more { break }
                before = *shown.last().unwrap();
            }
            prop_assert_eq!(shown, orders.into_iter().rev().collect::<Vec<_>>());
        }
    }
}
