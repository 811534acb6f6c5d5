//! The shelves: stocked before the orders, bare after them, and one more unit refused.

use std::time::{Duration, Instant};

use ids::Region;

use super::names;
use super::ordering::CARD_TOKEN;
use super::run::Run;
use crate::client::api::{DeliveryRequest, LineRequest, OrderRequest};
use crate::client::{CallError, Goods, SessionKey};

/// Offers of which one unit more is ordered in each region.
const PROBES_PER_REGION: usize = 8;
/// Sales follow orders by an event; they are waited for this long.
const SOLD_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Puts the month's offers on sale in both regions and its units onto both shelves, half each.
///
/// # Errors
/// A region refuses or stays unavailable.
pub async fn load(run: &Run) -> anyhow::Result<()> {
    let goods: Vec<Goods> = run
        .month
        .offers
        .iter()
        .zip(&run.offer_ids)
        .map(|(offer, id)| {
            let seller = names::seller_id(&offer.key.stock_code);
            Goods::split(id.clone(), seller, offer.title.clone(), offer.key.pence, offer.units)
        })
        .collect();
    for region in Region::ALL {
        run.shelf(region).upsert(&goods).await?;
    }
    for region in Region::ALL {
        run.shelf(region).receive(&goods, |batch| names::receipt_id(&run.month.name, region, batch)).await?;
    }
    Ok(())
}

/// What the shelves hold after the orders.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shelves {
    /// Offers with nothing available or reserved in either region.
    pub offers_at_zero: i64,
    /// Units sold in both regions.
    pub units_sold: i64,
}

/// Reads both regions' stock until every offer stands at zero, within bounds.
///
/// # Errors
/// A region refuses or stays unavailable.
pub async fn read(run: &Run) -> anyhow::Result<Shelves> {
    let start = Instant::now();
    loop {
        let east = run.shelf(Region::East).stock(&run.offer_ids).await?;
        let west = run.shelf(Region::West).stock(&run.offer_ids).await?;
        let mut shelves = Shelves::default();
        for (east, west) in east.iter().zip(&west) {
            let left = [east.available, east.reserved, west.available, west.reserved];
            shelves.offers_at_zero += i64::from(left == [0; 4]);
            shelves.units_sold += east.sold + west.sold;
        }
        if shelves.offers_at_zero == run.offer_ids.len() as i64 || start.elapsed() > SOLD_WITHIN {
            return Ok(shelves);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Orders one unit more of a sample of offers in each region, through the API. Returns (tried, refused as out of stock).
pub async fn probe(run: &Run, key: &SessionKey) -> (i64, i64) {
    let sample = run.offer_ids.len().min(PROBES_PER_REGION);
    let (mut tried, mut refused) = (0, 0);
    for region in Region::ALL {
        let session =
            key.mint(names::prober_id(&run.month.name, region), chrono::Utc::now() + Duration::from_secs(600));
        for number in 0..sample {
            let offer_id = &run.offer_ids[number * run.offer_ids.len() / sample];
            tried += 1;
            match one_more(run, region, &session, number, offer_id).await {
                Err(CallError::Refused { problem, .. })
                    if problem.code == "OUT_OF_STOCK"
                        && problem.lines.iter().any(|line| line.offer_id == *offer_id) =>
                {
                    refused += 1;
                }
                Err(error) => run.fail(format!("one more of {offer_id}: {:#}", anyhow::Error::new(error))),
                Ok(()) => run.fail(format!("one more of {offer_id} was sold in region {region}")),
            }
        }
    }
    (tried, refused)
}

async fn one_more(
    run: &Run,
    region: Region,
    session: &crate::client::Session,
    number: usize,
    offer_id: &str,
) -> Result<(), CallError> {
    let (api, month) = (run.api(region), &run.month.name);
    let key = |step| names::key(month, format_args!("one-more/{number}"), step);
    let (cart_key, line_key, order_key) = (key("cart"), key("line"), key("order"));
    let cart = run.retries.run(|| api.create_cart(session, &cart_key)).await?;
    let line = LineRequest { offer_id, quantity: 1 };
    let added = run.retries.run(|| api.add_line(session, cart.cart_id, &line_key, &line)).await?;
    let order = OrderRequest {
        cart_id: cart.cart_id,
        cart_version: &added.version,
        card_token: CARD_TOKEN,
        delivery: DeliveryRequest { country: "United Kingdom" },
    };
    run.retries.run(|| api.place_order(session, &order_key, &order)).await.map(drop)
}
