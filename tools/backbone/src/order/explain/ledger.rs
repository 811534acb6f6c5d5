//! The order's lines in the payment provider's own ledger: what it did, in its words, and under which idempotency key it was asked.
//!
//! Lines are in the order of their time, so the order's first one is found by halving and the ledger before it is not read.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::Request;
use hyper::header::AUTHORIZATION;
use ids::Region;
use serde::Deserialize;

use crate::audit::sources::{Read, Unreadable};
use crate::client::http::Pool;
use crate::platform::{Layout, secrets};

/// Lines per page: about 2 MB.
const PAGE_LINES: u64 = 4_000;
/// Pages read from the order's beginning on: two million lines. What is beyond is not looked at.
const PAGES_MAX: usize = 500;
/// For one page.
const DEADLINE: Duration = Duration::from_secs(20);

/// A line.
#[derive(Clone, Debug, Deserialize)]
pub struct LedgerLine {
    /// Its number, from 1 without gaps.
    pub n: u64,
    pub at: DateTime<Utc>,
    /// Whose it is: a region's name.
    pub account: String,
    /// The idempotency key of the request.
    pub key: String,
    /// The webhook about it; none for a decline.
    pub event: Option<String>,
    /// `payment_intent.captured` and the like.
    #[serde(rename = "type")]
    pub what: String,
    pub intent: Option<Intent>,
    pub refund: Option<RefundBody>,
    /// Of a decline: our name for what was to be paid.
    pub reference: Option<String>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub decline_code: Option<String>,
}

/// An authorisation after the line.
#[derive(Clone, Debug, Deserialize)]
pub struct Intent {
    pub id: String,
    pub amount: i64,
    pub amount_captured: i64,
    pub currency: String,
    /// Our name for it: the order.
    pub reference: String,
}

/// A refund.
#[derive(Clone, Debug, Deserialize)]
pub struct RefundBody {
    pub id: String,
    pub amount: i64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<LedgerLine>,
}

impl LedgerLine {
    /// Whether it is about the order of that id.
    fn is_about(&self, order: &str) -> bool {
        let reference = self.intent.as_ref().map(|intent| &intent.reference).or(self.reference.as_ref());
        reference.is_some_and(|reference| reference == order)
    }
}

/// Reads the lines about `order` since it began.
///
/// # Errors
/// [`Unreadable`]: no answer, or one that means nothing here.
pub async fn read(layout: &Layout, order: &str, since: DateTime<Utc>) -> Read<Vec<LedgerLine>> {
    let ledger = Ledger::of(layout)?;
    let mut after = ledger.lines_before(since).await?;
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = ledger.page(after, PAGE_LINES).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.n;
        found.extend(page.into_iter().filter(|line| line.is_about(order)));
    }
    Err(unreadable(format!("it has more than {} lines since the order began", PAGES_MAX as u64 * PAGE_LINES)))
}

fn unreadable(why: impl ToString) -> Unreadable {
    Unreadable::new("the provider's ledger", why)
}

struct Ledger {
    pool: Pool,
    key: String,
}

impl Ledger {
    fn of(layout: &Layout) -> Read<Self> {
        let key = secrets::read(layout, &secrets::psp_api_key(Region::East)).map_err(unreadable)?;
        Ok(Self { pool: Pool::new(SocketAddr::V4(layout.psp()), 1), key })
    }

    /// How many lines at least are older than `since`.
    async fn lines_before(&self, since: DateTime<Utc>) -> Read<u64> {
        let is_before = async |n: u64| {
            let line = self.page(n - 1, 1).await?;
            Ok::<_, Unreadable>(line.first().is_some_and(|line| line.at < since))
        };
        // Up in doubling steps to a line that is not before it, or not there; then halving.
        let mut beyond = 1;
        while is_before(beyond).await? {
            beyond *= 2;
        }
        let mut before = beyond / 2;
        while before + 1 < beyond {
            let middle = before + (beyond - before) / 2;
            if is_before(middle).await? {
                before = middle;
            } else {
                beyond = middle;
            }
        }
        Ok(before)
    }

    /// Up to `limit` lines after line `after`.
    async fn page(&self, after: u64, limit: u64) -> Read<Vec<LedgerLine>> {
        let request = Request::get(format!("/v1/ledger?after={after}&limit={limit}"))
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .body(Full::<Bytes>::default())
            .map_err(unreadable)?;
        let answer = self.pool.call(request, DEADLINE).await.map_err(unreadable)?;
        if !answer.status.is_success() {
            return Err(unreadable(format!("it answered {}", answer.status)));
        }
        let page: Page = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        Ok(page.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind_say_whose_order_they_are_about() {
        let page: Page = serde_json::from_str(
            r#"{"data":[
            {"n":2,"at":"2026-01-01T00:00:00Z","account":"east","key":"capture:o","request":"00","event":"evt_2","type":"payment_intent.captured",
             "intent":{"id":"pi_1","status":"succeeded","amount":1300,"amount_captured":1300,"amount_refunded":0,"currency":"GBP","reference":"o"}},
            {"n":3,"at":"2026-01-01T00:00:00Z","account":"east","key":"refund:r","request":"00","event":"evt_3","type":"refund.succeeded",
             "refund":{"id":"re_1","status":"succeeded","payment_intent":"pi_1","amount":300,"reference":"r"},
             "intent":{"id":"pi_1","status":"succeeded","amount":1300,"amount_captured":1300,"amount_refunded":300,"currency":"GBP","reference":"o"}},
            {"n":4,"at":"2026-01-01T00:00:00Z","account":"west","key":"authorise:p","request":"00","event":null,"type":"payment_intent.declined",
             "reference":"p","amount":5,"currency":"GBP","decline_code":"expired_card"}],"next_after":4}"#,
        )
        .unwrap();
        let about = |order| page.data.iter().filter(|line| line.is_about(order)).map(|line| line.n).collect::<Vec<_>>();
        assert_eq!((about("o"), about("p"), about("r")), (vec![2, 3], vec![4], vec![]));
    }
}
