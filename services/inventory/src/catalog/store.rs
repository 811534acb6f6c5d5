//! The catalogue's table.

use std::collections::BTreeMap;

use ids::{IdempotencyKey, OfferId};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use sqlx::types::Json;

use super::offer::Offer;
use crate::store::StoreError;

/// A row before it is known to hold a valid offer.
struct Row {
    offer_id: String,
    seller_id: String,
    title: String,
    price_minor: i64,
    currency_code: String,
    attributes: Json<BTreeMap<String, String>>,
}

impl TryFrom<Row> for Offer {
    type Error = StoreError;

    /// Checks what was checked before it was written: the pair of the check at the edge.
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unknown = |column, value: &str| StoreError::UnknownValue { column, value: value.to_owned() };
        let currency = row.currency_code.parse().map_err(|_| unknown("offer.currency_code", &row.currency_code))?;
        let offer_id = row.offer_id.parse().map_err(|_| unknown("offer.offer_id", &row.offer_id))?;
        let seller_id = row.seller_id.parse().map_err(|_| unknown("offer.seller_id", &row.seller_id))?;
        let unit_price = money::Money::new(row.price_minor, currency);
        Self::new(offer_id, seller_id, row.title, unit_price, row.attributes.0)
            .map_err(|mistakes| unknown("offer", &format!("{mistakes:?}")))
    }
}

/// An offer and how many units of it are available in this region.
///
/// # Errors
/// [`StoreError`].
pub async fn get(pool: &PgPool, offer_id: &OfferId) -> Result<Option<(Offer, i64)>, StoreError> {
    let row = sqlx::query!(
        r#"
        select
            offer.offer_id, offer.seller_id, offer.title, offer.price_minor, offer.currency_code,
            offer.attributes as "attributes: Json<BTreeMap<String, String>>",
            coalesce(stock.available, 0) as "available!"
        from offer left join stock on stock.offer_id = offer.offer_id
        where offer.offer_id = $1
        "#,
        offer_id.as_str(),
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let available = row.available;
    let offer = Row {
        offer_id: row.offer_id,
        seller_id: row.seller_id,
        title: row.title,
        price_minor: row.price_minor,
        currency_code: row.currency_code,
        attributes: row.attributes,
    };
    Ok(Some((offer.try_into()?, available)))
}

/// The offers named that exist, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn find(pool: &PgPool, offer_ids: &[OfferId]) -> Result<BTreeMap<OfferId, Offer>, StoreError> {
    let offer_ids: Vec<&str> = offer_ids.iter().map(OfferId::as_str).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select offer_id, seller_id, title, price_minor, currency_code,
            attributes as "attributes: Json<BTreeMap<String, String>>"
        from offer
        where offer_id = any($1)
        "#,
        &offer_ids as &[&str],
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Offer::try_from(row).map(|offer| (offer.offer_id().clone(), offer))).collect()
}

/// Up to `limit` offers after `after`, by id.
///
/// # Errors
/// [`StoreError`].
pub async fn list(pool: &PgPool, after: Option<&OfferId>, limit: i64) -> Result<Vec<Offer>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select offer_id, seller_id, title, price_minor, currency_code,
            attributes as "attributes: Json<BTreeMap<String, String>>"
        from offer
        where offer_id > $1
        order by offer_id
        limit $2
        "#,
        // The empty text comes before every id.
        after.map_or("", OfferId::as_str),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Offer::try_from).collect()
}

/// What became of a change of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upserted {
    /// So many offers were written.
    Written(i32),
    /// They were written before, under the same key; nothing changed now.
    Before(i32),
    /// The key came with other offers before; nothing changed.
    KeyReused,
}

/// Creates or replaces the offers (distinct ids), all or none and once per key, in one statement. Forgets some keys that are older than a
/// week, after which nobody repeats a request.
///
/// # Errors
/// [`StoreError`]; nothing was written.
pub async fn upsert(pool: &PgPool, offers: &[Offer], key: Option<&IdempotencyKey>) -> Result<Upserted, StoreError> {
    let texts = |text: for<'a> fn(&'a Offer) -> &'a str| -> Vec<&str> { offers.iter().map(text).collect() };
    let prices: Vec<i64> = offers.iter().map(|offer| offer.unit_price().minor_units()).collect();
    let currencies: Vec<String> = offers.iter().map(|offer| offer.unit_price().currency().to_string()).collect();
    let attributes: Vec<Json<&BTreeMap<String, String>>> =
        offers.iter().map(|offer| Json(offer.attributes())).collect();
    let digest = digest(offers);
    // no crash point: all or nothing, and a load without a key is repeated whole.
    // Sorted, so that two requests with common offers do not wait for each other in a circle.
    let written = sqlx::query_scalar!(
        r#"
        with forgotten as (
            delete from catalog_request
            where idempotency_key in (
                select idempotency_key from catalog_request
                where requested_at < now() - interval '7 days' and idempotency_key is distinct from $7
                limit 100
            )
        ), claim as (
            insert into catalog_request (idempotency_key, request_digest, offers_written)
            select $7, $8, cardinality($1::text[]) where $7::text is not null
            on conflict (idempotency_key) do nothing
            returning idempotency_key
        ), written as (
            insert into offer (offer_id, seller_id, title, price_minor, currency_code, attributes)
            select *
            from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::jsonb[])
                as new (offer_id, seller_id, title, price_minor, currency_code, attributes)
            where $7::text is null or exists (select from claim)
            order by new.offer_id collate "C"
            on conflict (offer_id) do update
            set seller_id = excluded.seller_id,
                title = excluded.title,
                price_minor = excluded.price_minor,
                currency_code = excluded.currency_code,
                attributes = excluded.attributes,
                updated_at = now()
            returning offer_id
        )
        select count(*) as "written!" from written
        "#,
        &texts(|offer| offer.offer_id().as_str()) as &[&str],
        &texts(|offer| offer.seller_id().as_str()) as &[&str],
        &texts(|offer| offer.title()) as &[&str],
        &prices,
        &currencies,
        &attributes as &[Json<&BTreeMap<String, String>>],
        key.map(IdempotencyKey::as_str),
        &digest[..],
    )
    .fetch_one(pool)
    .await?;
    if written > 0 {
        // At most 1,500.
        return Ok(Upserted::Written(i32::try_from(written).unwrap_or(i32::MAX)));
    }
    let stored = sqlx::query!(
        "select request_digest, offers_written from catalog_request where idempotency_key = $1",
        key.map(IdempotencyKey::as_str),
    )
    .fetch_optional(pool)
    .await?;
    match stored {
        Some(stored) if stored.request_digest == digest => Ok(Upserted::Before(stored.offers_written)),
        Some(_) => Ok(Upserted::KeyReused),
        None => Err(StoreError::Conflict(None)),
    }
}

/// Tells a repeat from another request under the same key. Each text is preceded by its length, so that no two lists read alike.
fn digest(offers: &[Offer]) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    };
    for offer in offers {
        let price = offer.unit_price();
        let (minor, currency) = (price.minor_units().to_string(), price.currency().to_string());
        let count = offer.attributes().len().to_string();
        [offer.offer_id().as_str(), offer.seller_id().as_str(), offer.title(), &minor, &currency, &count]
            .into_iter()
            .for_each(&mut add);
        for (name, value) in offer.attributes() {
            add(name);
            add(value);
        }
    }
    hash.finalize().to_vec()
}
