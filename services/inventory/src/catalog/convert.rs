//! Offers on the wire.

use std::collections::{BTreeMap, HashSet};

use chassis::status::Fields;
use contracts::catalog::v1 as wire;
use contracts::money::v1::Money as WireMoney;
use ids::{ChosenName as _, InvalidName, OfferId, SellerId};
use money::Money;
use tonic::Status;

use super::offer::{Offer, TEXT_CHARS_MAX};
use crate::domain::LINES_MAX;

/// Field and what it should be.
type Violation = (String, String);

/// Most violations reported for one request.
const VIOLATIONS_MAX: usize = 20;

impl From<Offer> for wire::Offer {
    fn from(offer: Offer) -> Self {
        Self {
            offer_id: offer.offer_id().to_string(),
            seller_id: offer.seller_id().to_string(),
            title: offer.title().to_owned(),
            unit_price: Some(WireMoney {
                minor_units: offer.unit_price().minor_units(),
                currency_code: offer.unit_price().currency().to_string(),
            }),
            attributes: offer.attributes().clone().into_iter().collect(),
        }
    }
}

/// Checks the offers of an upsert: 1 to 1,500, each id once, each valid.
pub fn offers(offers: Vec<wire::Offer>) -> Result<Vec<Offer>, Vec<Violation>> {
    check_count("offers", offers.len())?;
    let mut seen = HashSet::with_capacity(offers.len());
    let mut parsed = Vec::with_capacity(offers.len());
    let mut violations = Vec::new();
    for (index, offer) in offers.into_iter().enumerate() {
        match parse(offer) {
            Err(mistakes) => {
                violations.extend(mistakes.into_iter().map(|(field, text)| (format!("offers[{index}].{field}"), text)));
            }
            Ok(offer) if !seen.insert(offer.offer_id().clone()) => {
                violations.push((format!("offers[{index}].offer_id"), format!("{} is there twice", offer.offer_id())));
            }
            Ok(offer) => parsed.push(offer),
        }
    }
    violations.truncate(VIOLATIONS_MAX);
    if violations.is_empty() { Ok(parsed) } else { Err(violations) }
}

/// Names an offer that is to be read. It may have been named before today's rules.
pub fn offer_id(text: &str) -> Result<OfferId, Status> {
    let mut fields = Fields::default();
    let offer_id = fields.parse("offer_id", text);
    fields.finish(offer_id)
}

/// Checks the ids of a batch read, as for one: 1 to 1,500; the same id twice is harmless.
pub fn offer_ids(ids: &[String]) -> Result<Vec<OfferId>, Vec<Violation>> {
    check_count("offer_ids", ids.len())?;
    let mut violations = Vec::new();
    let mut parsed = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        match id.parse() {
            Ok(id) => parsed.push(id),
            Err(error) => {
                let error: InvalidName = error;
                violations.push((format!("offer_ids[{index}]"), error.to_string()));
            }
        }
    }
    violations.truncate(VIOLATIONS_MAX);
    if violations.is_empty() { Ok(parsed) } else { Err(violations) }
}

fn check_count(field: &str, count: usize) -> Result<(), Vec<Violation>> {
    if (1..=LINES_MAX).contains(&count) {
        return Ok(());
    }
    Err(vec![(field.to_owned(), format!("must have 1 to {LINES_MAX} entries, has {count}"))])
}

fn parse(offer: wire::Offer) -> Result<Offer, Vec<Violation>> {
    let violation = |field: &str, text: String| (field.to_owned(), text);
    legible(&offer)?;
    let price = offer.unit_price.unwrap_or_default();
    let offer_id = OfferId::chosen(&offer.offer_id).map_err(|error| violation("offer_id", format!("{error}")));
    let seller_id = SellerId::chosen(&offer.seller_id).map_err(|error| violation("seller_id", format!("{error}")));
    let currency =
        price.currency_code.parse().map_err(|error| violation("unit_price.currency_code", format!("{error}")));
    match (offer_id, seller_id, currency) {
        (Ok(offer_id), Ok(seller_id), Ok(currency)) => {
            let price = Money::new(price.minor_units, currency);
            let attributes: BTreeMap<_, _> = offer.attributes.into_iter().collect();
            Offer::new(offer_id, seller_id, offer.title, price, attributes).map_err(|mistakes| {
                mistakes.into_iter().map(|mistake| violation(mistake.field, mistake.description)).collect()
            })
        }
        (offer_id, seller_id, currency) => {
            Err([offer_id.err(), seller_id.err(), currency.err()].into_iter().flatten().collect())
        }
    }
}

/// What people will read of an offer, as it comes in now. [`Offer`] alone bounds what is stored: a rule that came later must not make it
/// unreadable.
fn legible(offer: &wire::Offer) -> Result<(), Vec<Violation>> {
    let check = |field: &'static str, text: &str, min| {
        text::check(text, min, TEXT_CHARS_MAX).map_err(|error| (field.to_owned(), error.to_string()))
    };
    let parts = std::iter::once(check("title", &offer.title, 1)).chain(
        offer.attributes.iter().flat_map(|(key, value)| [check("attributes", key, 1), check("attributes", value, 0)]),
    );
    let mut violations: Vec<_> = parts.filter_map(Result::err).collect();
    violations.dedup();
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut wire::Offer)) -> Vec<String> {
        let mut offer = wire::Offer {
            offer_id: "mug".into(),
            seller_id: "potter".into(),
            title: "Mug".into(),
            unit_price: Some(WireMoney { minor_units: 255, currency_code: "EUR".into() }),
            attributes: [("colour".to_owned(), String::new())].into(),
        };
        change(&mut offer);
        offers(vec![offer]).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn an_offer_of_before_the_rules_is_read_by_its_name() {
        for old in ["..", "4242424242424242"] {
            assert_eq!(offer_id(old).unwrap().as_str(), old);
            assert_eq!(offer_ids(&[old.to_owned()]).unwrap()[0].as_str(), old);
        }
        for never in ["a/b", "4242 4242 4242 4242"] {
            let refused = offer_id(never).unwrap_err();
            assert!(!format!("{refused:?}").contains("4242"), "{refused:?}");
            assert!(offer_ids(&[never.to_owned()]).is_err(), "{never:?}");
        }
    }

    #[test]
    fn an_offer_can_be_read_and_addressed() {
        assert_eq!(refused(|_| {}), [""; 0]);
        for name in [".", "..", "a/b", "%2E%2E", "a b", "\u{202e}", "4242424242424242"] {
            assert_eq!(refused(|offer| offer.offer_id = name.into()), ["offers[0].offer_id"], "{name:?}");
            assert_eq!(refused(|offer| offer.seller_id = name.into()), ["offers[0].seller_id"], "{name:?}");
        }
        for text in ["\u{200b}", " ", "\u{202e}gum", "4242 4242 4242 4242"] {
            assert_eq!(refused(|offer| offer.title = text.into()), ["offers[0].title"], "{text:?}");
            let key = |offer: &mut wire::Offer| offer.attributes = [(text.to_owned(), String::new())].into();
            assert_eq!(refused(key), ["offers[0].attributes"], "{text:?}");
            let value = |offer: &mut wire::Offer| offer.attributes = [("colour".to_owned(), text.to_owned())].into();
            assert_eq!(refused(value), ["offers[0].attributes"], "{text:?}");
        }
    }
}
