//! What the carts are filled with.

use ids::Region;

use crate::client::{Deployment, Goods, Shelf};

/// Offers, and so lines of a full cart.
pub const LINES: usize = 20;
const PREFIX: &str = "shared_";

/// The id of an offer.
pub fn offer_id(number: usize) -> String {
    format!("{PREFIX}{number:02}")
}

/// The number of an offer, if it is one of ours.
pub fn number(offer_id: &str) -> Option<usize> {
    offer_id.strip_prefix(PREFIX)?.parse().ok().filter(|number| *number < LINES)
}

/// Puts them into both regions' catalogues. Nothing is ordered, so they need no stock.
///
/// # Errors
/// A catalogue refuses or stays unavailable.
pub async fn put_on_sale(deployment: &Deployment) -> anyhow::Result<()> {
    let goods = |number| {
        let (title, pence) = (format!("Shared {number}"), 100 + i64::from(u8::try_from(number).unwrap_or_default()));
        Goods::split(offer_id(number), "shared".to_owned(), title, pence, 0)
    };
    let goods: Vec<Goods> = (0..LINES).map(goods).collect();
    for region in Region::ALL {
        Shelf::of(deployment, region)?.upsert(&goods).await?;
    }
    Ok(())
}
