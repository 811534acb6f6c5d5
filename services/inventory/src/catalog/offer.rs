//! What an offer may be.

use std::collections::BTreeMap;

use ids::{OfferId, SellerId};
use money::Money;

/// Dearest unit price, in minor units: ten thousand million of a currency with two decimals. With it the price of an order
/// (1,500 lines of at most 10,000 units) is bounded by 1.5 × 10^19, so only an order far beyond anything real meets the
/// overflow check behind it.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;
/// Most attributes of an offer.
pub const ATTRIBUTES_MAX: usize = limits::ATTRIBUTES_MAX;
/// Longest title, attribute key or attribute value, in characters.
pub const TEXT_CHARS_MAX: usize = limits::TEXT_CHARS_MAX;

/// Something a seller sells at a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    offer_id: OfferId,
    seller_id: SellerId,
    title: String,
    unit_price: Money,
    attributes: BTreeMap<String, String>,
}

/// What is wrong with an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOffer {
    /// The field of the offer, such as `unit_price.minor_units`.
    pub field: &'static str,
    /// What it should be.
    pub description: String,
}

impl Offer {
    /// An offer whose every part is within its bounds.
    ///
    /// # Errors
    /// Every mistake found, each with its field.
    pub fn new(
        offer_id: OfferId,
        seller_id: SellerId,
        title: String,
        unit_price: Money,
        attributes: BTreeMap<String, String>,
    ) -> Result<Self, Vec<InvalidOffer>> {
        let mut mistakes = Vec::new();
        let mut check = |holds: bool, field, description: String| {
            if !holds {
                mistakes.push(InvalidOffer { field, description });
            }
        };
        let text = format!("must be 1 to {TEXT_CHARS_MAX} characters, none of them a control character");
        check(is_text(&title), "title", text.clone());
        let price = format!("must be 1 to {PRICE_MINOR_MAX}, is {}", unit_price.minor_units());
        check((1..=PRICE_MINOR_MAX).contains(&unit_price.minor_units()), "unit_price.minor_units", price);
        let count = format!("must be at most {ATTRIBUTES_MAX}, are {}", attributes.len());
        check(attributes.len() <= ATTRIBUTES_MAX, "attributes", count);
        // An attribute may be there without a value; its key says what it is.
        let texts = attributes.iter().all(|(key, value)| is_text(key) && (value.is_empty() || is_text(value)));
        check(texts, "attributes", format!("a key {text}; so must a value, or be empty"));
        if mistakes.is_empty() {
            Ok(Self { offer_id, seller_id, title, unit_price, attributes })
        } else {
            Err(mistakes)
        }
    }

    /// Its id.
    pub const fn offer_id(&self) -> &OfferId {
        &self.offer_id
    }

    /// Who sells it.
    pub const fn seller_id(&self) -> &SellerId {
        &self.seller_id
    }

    /// What the shopper reads.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What one unit costs: 1 to [`PRICE_MINOR_MAX`] minor units.
    pub const fn unit_price(&self) -> Money {
        self.unit_price
    }

    /// Free attributes.
    pub const fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }
}

/// Control characters are refused: Postgres cannot store NUL, and the others only serve to garble somebody's terminal.
fn is_text(text: &str) -> bool {
    (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(title: &str, minor_units: i64, attributes: BTreeMap<String, String>) -> Vec<&'static str> {
        let price = Money::new(minor_units, "GBP".parse().unwrap());
        let offer = Offer::new("a".parse().unwrap(), "s".parse().unwrap(), title.to_owned(), price, attributes);
        offer.map_or_else(|mistakes| mistakes.into_iter().map(|mistake| mistake.field).collect(), |_| Vec::new())
    }

    #[test]
    fn bounds_are_inclusive_and_characters_are_counted_not_bytes() {
        assert_eq!(mistakes(&"é".repeat(TEXT_CHARS_MAX), PRICE_MINOR_MAX, BTreeMap::new()), [""; 0]);
        assert_eq!(mistakes(&"é".repeat(TEXT_CHARS_MAX + 1), 1, BTreeMap::new()), ["title"]);
        assert_eq!(mistakes("", PRICE_MINOR_MAX + 1, BTreeMap::new()), ["title", "unit_price.minor_units"]);
    }

    #[test]
    fn absurd_prices_control_characters_and_too_many_attributes_are_refused() {
        for price in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(mistakes("mug", price, BTreeMap::new()), ["unit_price.minor_units"], "{price}");
        }
        assert_eq!(mistakes("nul\0", 1, BTreeMap::new()), ["title"]);
        let many = (0..=ATTRIBUTES_MAX).map(|index| (index.to_string(), String::new())).collect();
        assert_eq!(mistakes("mug", 1, many), ["attributes"]);
        assert_eq!(mistakes("mug", 1, BTreeMap::from([(String::new(), "x".to_owned())])), ["attributes"]);
    }
}
