//! Names derived from the data set alone, so that a second replay of a month asks for exactly what the first did.

use ids::{CustomerId, Region};
use uuid::Uuid;

use super::plan::Order;
use super::rows::OfferKey;

/// Namespace of the version 5 UUIDs below. Changing it makes every replay a new one.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f3c_5a1e_88b2_4c0d_9a57_2f1d_40c6_b8e3);
/// The shop's goods are spread over so many sellers.
const SELLERS: u8 = 5;

fn derive(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// `<month>_<code>_<pence>`; a character outside `A-Z a-z 0-9 . _ -` becomes `~` and two hex digits per byte.
///
/// No two offers share an id: months have one length, the pence are the digits after the last `_`, and `~` itself is escaped.
pub fn offer_id(month: &str, offer: &OfferKey) -> String {
    let mut id = format!("{month}_");
    for byte in offer.stock_code.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            id.push(char::from(byte));
        } else {
            id.push_str(&format!("~{byte:02X}"));
        }
    }
    id.push_str(&format!("_{}", offer.pence));
    id
}

/// What every offer id of a month begins with.
pub fn offer_prefix(month: &str) -> String {
    format!("{month}_")
}

/// Who sells a stock code, at whatever price.
pub fn seller_id(stock_code: &str) -> String {
    let [first, ..] = derive(&format!("seller-of/{stock_code}")).into_bytes();
    format!("online-retail-{}", first % SELLERS + 1)
}

/// Whose order it is. A guest is a customer of one order.
pub fn customer_id(order: &Order) -> CustomerId {
    CustomerId::from_uuid(match &order.customer {
        Some(customer) => derive(&format!("customer/{customer}")),
        None => derive(&format!("guest/{}", order.invoice)),
    })
}

/// Whom the check "one more unit is refused" shops as.
pub fn prober_id(month: &str, region: Region) -> CustomerId {
    CustomerId::from_uuid(derive(&format!("prober/{month}/{region}")))
}

/// Where a customer shops: about half in each region, and always in the same.
pub fn home_region(customer: CustomerId) -> Region {
    // The last byte of a version 5 UUID is a hash's, untouched by version and variant bits.
    let [.., last] = customer.as_uuid().into_bytes();
    if last % 2 == 0 { Region::East } else { Region::West }
}

/// Names one receipt of goods.
pub fn receipt_id(month: &str, region: Region, batch: usize) -> Uuid {
    derive(&format!("receipt/{month}/{region}/{batch}"))
}

/// Idempotency key of a step of an order or refund, such as `2010-12/536365/cart`.
pub fn key(month: &str, invoice: impl std::fmt::Display, step: impl std::fmt::Display) -> String {
    format!("{month}/{invoice}/{step}")
}

#[cfg(test)]
mod tests {
    use ids::{IdempotencyKey, OfferId, SellerId};
    use proptest::prelude::*;

    use super::*;

    fn id_of(stock_code: &str, pence: i64) -> String {
        offer_id("2010-12", &OfferKey { stock_code: stock_code.into(), pence })
    }

    #[test]
    fn names_fit_their_alphabets() {
        assert_eq!(id_of("BANK CHARGES", 1_500), "2010-12_BANK~20CHARGES_1500");
        assert!(id_of("BANK CHARGES", 1_500).parse::<OfferId>().is_ok());
        assert!(seller_id("BANK CHARGES").parse::<SellerId>().is_ok());
        assert!(key("2010-12", 536_365, "line/1/1").parse::<IdempotencyKey>().is_ok());
    }

    #[test]
    fn names_never_change() {
        assert_eq!(receipt_id("2010-12", Region::East, 0).to_string(), "7088b1d1-aa11-5589-bec0-53030c7dc5ff");
        assert_eq!(seller_id("85123A"), "online-retail-4");
    }

    proptest! {
        #[test]
        fn prop_no_two_offers_share_an_id(
            a in "[A-C_~0-9 ]{1,6}", b in "[A-C_~0-9 ]{1,6}", pence_a in 1..30_i64, pence_b in 1..30_i64,
        ) {
            prop_assert_eq!(id_of(&a, pence_a) == id_of(&b, pence_b), a == b && pence_a == pence_b);
        }
    }
}
