//! The provider's own ledger, read over its HTTP interface: the witness that knows nothing of our ids' uniqueness.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::AUTHORIZATION;
use ids::Region;
use serde::Deserialize;

use super::{Read, Unreadable};
use crate::client::http::Pool;
use crate::platform::{Layout, secrets};

/// Lines per page: about 2 MB, well below what an answer may have.
const PAGE_LINES: usize = 4_000;
/// For one page.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the provider did, as it tells it.
#[derive(Clone, Debug, Default)]
pub struct Provider {
    /// By the provider's own id.
    pub intents: BTreeMap<String, Intent>,
    pub refunds: Vec<ProviderRefund>,
    /// Account and reference of authorisations that a card declined.
    pub declined: Vec<(String, String)>,
    /// Lines of the ledger.
    pub lines: u64,
}

/// Money that was asked for.
#[derive(Clone, Debug, Default)]
pub struct Intent {
    /// Whose it is: a region's name.
    pub account: String,
    /// The caller's name for it: our order.
    pub reference: String,
    pub amount_minor: i64,
    pub currency: String,
    pub authorisations: usize,
    /// The amount of each.
    pub captures: Vec<i64>,
    pub cancellations: usize,
}

/// Money that was paid back.
#[derive(Clone, Debug)]
pub struct ProviderRefund {
    pub account: String,
    /// The provider's id of it.
    pub id: String,
    /// The caller's name for it: our refund.
    pub reference: String,
    /// Of this payment.
    pub intent: String,
    pub amount_minor: i64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    /// From 1, without gaps.
    n: u64,
    account: String,
    #[serde(flatten)]
    fact: Fact,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Fact {
    #[serde(rename = "payment_intent.authorised")]
    Authorised { intent: IntentBody },
    #[serde(rename = "payment_intent.declined")]
    Declined { reference: String },
    #[serde(rename = "payment_intent.captured")]
    Captured { intent: IntentBody },
    #[serde(rename = "payment_intent.canceled")]
    Canceled { intent: IntentBody },
    #[serde(rename = "refund.succeeded")]
    Refunded { refund: RefundBody },
}

#[derive(Deserialize)]
struct IntentBody {
    id: String,
    amount: i64,
    amount_captured: i64,
    currency: String,
    reference: String,
}

#[derive(Deserialize)]
struct RefundBody {
    id: String,
    payment_intent: String,
    amount: i64,
    reference: String,
}

impl Provider {
    /// Reads the ledger page by page.
    ///
    /// # Errors
    /// [`Unreadable`]: no answer, or a line that is missing or means nothing here.
    pub async fn read(layout: &Layout) -> Read<Self> {
        let unreadable = |why: String| Unreadable::new("the provider's ledger", why);
        let key = secrets::read(layout, &secrets::psp_api_key(Region::East))
            .map_err(|error| unreadable(error.to_string()))?;
        let pool = Pool::new(SocketAddr::V4(layout.psp()), 1);
        let mut provider = Self::default();
        loop {
            let path = format!("/v1/ledger?after={}&limit={PAGE_LINES}", provider.lines);
            let request =
                Request::get(path).header(AUTHORIZATION, format!("Bearer {key}")).body(Full::<Bytes>::default());
            let request = request.map_err(|error| unreadable(error.to_string()))?;
            let answer = pool.call(request, DEADLINE).await.map_err(|error| unreadable(error.to_string()))?;
            if !answer.status.is_success() {
                return Err(unreadable(format!("it answered {}", answer.status)));
            }
            let page: Page = serde_json::from_slice(&answer.body).map_err(|error| unreadable(error.to_string()))?;
            if page.data.is_empty() {
                return Ok(provider);
            }
            for line in page.data {
                provider.follow(line).map_err(unreadable)?;
            }
        }
    }

    fn follow(&mut self, line: Line) -> Result<(), String> {
        if line.n != self.lines + 1 {
            return Err(format!("line {} follows line {}", line.n, self.lines));
        }
        self.lines = line.n;
        match line.fact {
            Fact::Authorised { intent } => self.intent(line.account, intent).authorisations += 1,
            Fact::Declined { reference } => self.declined.push((line.account, reference)),
            Fact::Captured { intent } => {
                let amount_minor = intent.amount_captured;
                self.intent(line.account, intent).captures.push(amount_minor);
            }
            Fact::Canceled { intent } => self.intent(line.account, intent).cancellations += 1,
            Fact::Refunded { refund } => self.refunds.push(ProviderRefund {
                account: line.account,
                id: refund.id,
                reference: refund.reference,
                intent: refund.payment_intent,
                amount_minor: refund.amount,
            }),
        }
        Ok(())
    }

    fn intent(&mut self, account: String, body: IntentBody) -> &mut Intent {
        self.intents.entry(body.id).or_insert_with(|| Intent {
            account,
            reference: body.reference,
            amount_minor: body.amount,
            currency: body.currency,
            ..Intent::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"{"data":[
        {"n":1,"at":"2026-01-01T00:00:00Z","account":"east","key":"k1","request":"00","event":"evt_1","type":"payment_intent.authorised",
         "intent":{"id":"pi_1","status":"requires_capture","amount":1300,"amount_captured":0,"amount_refunded":0,"currency":"GBP","reference":"order"}},
        {"n":2,"at":"2026-01-01T00:00:00Z","account":"east","key":"k2","request":"00","event":"evt_2","type":"payment_intent.captured",
         "intent":{"id":"pi_1","status":"succeeded","amount":1300,"amount_captured":1300,"amount_refunded":0,"currency":"GBP","reference":"order"}},
        {"n":3,"at":"2026-01-01T00:00:00Z","account":"east","key":"k3","request":"00","event":"evt_3","type":"refund.succeeded",
         "refund":{"id":"re_1","status":"succeeded","payment_intent":"pi_1","amount":300,"reference":"refund"},
         "intent":{"id":"pi_1","status":"succeeded","amount":1300,"amount_captured":1300,"amount_refunded":300,"currency":"GBP","reference":"order"}},
        {"n":4,"at":"2026-01-01T00:00:00Z","account":"west","key":"k4","request":"00","event":null,"type":"payment_intent.declined",
         "reference":"other","amount":5,"currency":"GBP","decline_code":"expired_card"}],"next_after":4}"#;

    #[test]
    fn the_ledgers_lines_add_up_to_intents_and_refunds() {
        let page: Page = serde_json::from_str(LEDGER).unwrap();
        let mut provider = Provider::default();
        page.data.into_iter().for_each(|line| provider.follow(line).unwrap());
        let intent = &provider.intents["pi_1"];
        assert_eq!((intent.authorisations, intent.captures.as_slice(), intent.cancellations), (1, &[1300][..], 0));
        assert_eq!(provider.refunds[0].amount_minor, 300);
        assert_eq!(provider.declined, [("west".to_owned(), "other".to_owned())]);
    }

    #[test]
    fn a_missing_line_is_noticed() {
        let mut page: Page = serde_json::from_str(LEDGER).unwrap();
        page.data.remove(1);
        let mut provider = Provider::default();
        let followed: Result<Vec<()>, String> = page.data.into_iter().map(|line| provider.follow(line)).collect();
        assert_eq!(followed, Err("line 3 follows line 1".to_owned()));
    }
}
