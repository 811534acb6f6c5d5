//! Plain reads, and the words that states are stored under.

use std::collections::BTreeMap;

use ids::{OfferId, OrderId};
use sqlx::PgExecutor;

use super::StoreError;
use crate::domain::{Lines, ReleaseCause, State, Stored};

/// Stock of one offer in this region, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Can be reserved at once.
    pub available: i64,
    /// Held for orders not placed for good.
    pub reserved: i64,
    /// Sold.
    pub sold: i64,
}

/// The words of `reservation.state` and `reservation.release_cause`. Stored: they never change.
pub(super) const fn state_words(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Reserved => ("reserved", None),
        State::Committed => ("committed", None),
        State::Released(ReleaseCause::Requested) => ("released", Some("requested")),
        State::Released(ReleaseCause::Expired) => ("released", Some("expired")),
        State::Released(ReleaseCause::Cancelled) => ("released", Some("cancelled")),
    }
}

/// Reads what [`state_words`] wrote.
pub(super) fn parse_state(state: &str, release_cause: Option<&str>) -> Result<State, StoreError> {
    match (state, release_cause) {
        ("reserved", None) => Ok(State::Reserved),
        ("committed", None) => Ok(State::Committed),
        ("released", Some("requested")) => Ok(State::Released(ReleaseCause::Requested)),
        ("released", Some("expired")) => Ok(State::Released(ReleaseCause::Expired)),
        ("released", Some("cancelled")) => Ok(State::Released(ReleaseCause::Cancelled)),
        (state, cause) => Err(StoreError::UnknownValue {
            column: "reservation.state, release_cause",
            value: format!("{state}, {}", cause.unwrap_or("null")),
        }),
    }
}

/// The reservation or tombstone of an order.
///
/// # Errors
/// [`StoreError`].
pub async fn find_reservation(database: impl PgExecutor<'_>, order_id: OrderId) -> Result<Option<Stored>, StoreError> {
    let row = sqlx::query!(
        "select state, release_cause, request_digest, expires_at from reservation where order_id = $1",
        order_id.as_uuid(),
    )
    .fetch_optional(database)
    .await?;
    row.map(|row| {
        Ok(Stored {
            state: parse_state(&row.state, row.release_cause.as_deref())?,
            request_digest: row.request_digest,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// Units of each line's offer that are available here. Offers without a row are absent.
///
/// # Errors
/// [`StoreError`].
pub async fn available(database: impl PgExecutor<'_>, lines: &Lines) -> Result<BTreeMap<OfferId, i64>, StoreError> {
    let rows =
        sqlx::query!("select offer_id, available from stock where offer_id = any($1)", &lines.offer_ids() as &[&str],)
            .fetch_all(database)
            .await?;
    rows.into_iter().map(|row| Ok((parse_offer_id(&row.offer_id)?, row.available))).collect()
}

/// Stock of the offers, one level each, in the order asked; zeros for an offer without a row.
///
/// # Errors
/// [`StoreError`].
pub async fn levels(database: impl PgExecutor<'_>, offer_ids: &[OfferId]) -> Result<Vec<Level>, StoreError> {
    let offer_ids: Vec<&str> = offer_ids.iter().map(OfferId::as_str).collect();
    let levels = sqlx::query_as!(
        Level,
        r#"
        select
            coalesce(stock.available, 0) as "available!",
            coalesce(stock.reserved, 0) as "reserved!",
            coalesce(stock.sold, 0) as "sold!"
        from unnest($1::text[]) with ordinality as asked (offer_id, position)
        left join stock on stock.offer_id = asked.offer_id
        order by asked.position
        "#,
        &offer_ids as &[&str],
    )
    .fetch_all(database)
    .await?;
    Ok(levels)
}

/// An offer id read from a row; written from an [`OfferId`], so anything else is corruption.
pub(super) fn parse_offer_id(text: &str) -> Result<OfferId, StoreError> {
    text.parse().map_err(|_| StoreError::UnknownValue { column: "offer_id", value: text.to_owned() })
}
