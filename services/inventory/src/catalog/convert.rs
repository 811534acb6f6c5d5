//! Offers on the wire.

use std::collections::{BTreeMap, HashSet};

use contracts::catalog::v1 as wire;
use contracts::money::v1::Money as WireMoney;
use ids::OfferId;
use money::Money;

use super::offer::Offer;
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

/// Checks the ids of a batch read: 1 to 1,500; the same id twice is harmless.
pub fn offer_ids(ids: &[String]) -> Result<Vec<OfferId>, Vec<Violation>> {
    check_count("offer_ids", ids.len())?;
    let mut violations = Vec::new();
    let mut parsed = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        match id.parse() {
            Ok(id) => parsed.push(id),
            Err(error) => violations.push((format!("offer_ids[{index}]"), format!("{error}"))),
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
    let price = offer.unit_price.unwrap_or_default();
    let offer_id = offer.offer_id.parse().map_err(|error| violation("offer_id", format!("{error}")));
    let seller_id = offer.seller_id.parse().map_err(|error| violation("seller_id", format!("{error}")));
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
