//! A payment as it is stored, and its beginning.

use chassis::trace_context::current_traceparent;
use ids::OrderId;
use money::Money;
use sabotage::crash_point;
use uuid::Uuid;

use super::claim::{Claim, ClaimedPayment};
use super::{Store, StoreError};
use crate::domain::ledger::Account;
use crate::domain::{State, Terms, TermsDigest};

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The order it pays.
    pub order: OrderId,
    /// Where it stands.
    pub state: State,
    /// The whole amount; none in the tombstone of a void that came first.
    pub amount: Option<Money>,
    /// Tells a repeat of the authorisation from a reused key; none in a tombstone.
    pub terms: Option<TermsDigest>,
    /// Refunds succeeded or accepted to be, in minor units.
    pub refunded_minor: i64,
}

/// What became of the wish to authorise.
#[derive(Debug)]
pub enum Begun {
    /// The intent is durable and ours to drive.
    Started(ClaimedPayment),
    /// There was one already, with whatever terms.
    Exists(Payment),
}

/// The columns of a payment, as every query of them reads.
pub(super) struct PaymentRow {
    pub order_id: Uuid,
    pub state: String,
    pub amount_minor: Option<i64>,
    pub currency: Option<String>,
    pub terms_digest: Option<Vec<u8>>,
    pub intent_id: Option<String>,
    pub decline_code: Option<String>,
    pub refunded_minor: i64,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        let state = State::from_parts(&row.state, row.intent_id.as_deref(), row.decline_code.as_deref());
        let amount = match (row.amount_minor, &row.currency) {
            (Some(amount_minor), Some(currency)) => Some(money(amount_minor, currency)?),
            _ => None,
        };
        let digest = row.terms_digest.map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).map(TermsDigest));
        Ok(Self {
            order: OrderId::from_uuid(row.order_id),
            state: state.ok_or(StoreError::Corrupt { what: "payment state" })?,
            amount,
            terms: digest.transpose().map_err(|_| StoreError::Corrupt { what: "terms digest" })?,
            refunded_minor: row.refunded_minor,
        })
    }
}

/// An amount from its columns.
pub(super) fn money(amount_minor: i64, currency: &str) -> Result<Money, StoreError> {
    let currency = currency.parse().map_err(|_| StoreError::Corrupt { what: "currency" })?;
    Ok(Money::new(amount_minor, currency))
}

impl Store {
    /// Makes the intent to authorise durable, and claims it. Must be committed before the provider is called: a crash after
    /// the call must leave a row that says that there is something to ask about.
    ///
    /// One statement, so that it is one round trip and one commit. The sellers' accounts are opened with it, in the order of
    /// their ids, so that no two transactions can wait for each other's new accounts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin(
        &self,
        order: OrderId,
        terms: &Terms,
        commission_basis_points: u16,
    ) -> Result<Begun, StoreError> {
        let claim = Claim::generate();
        let (amount, currency) = (terms.amount(), terms.amount().currency());
        let (sellers, amounts) = terms.shares().columns();
        let accounts: Vec<_> =
            terms.shares().iter().map(|share| Account::SellerPayable(share.seller.clone()).to_string()).collect();
        let traceparent = current_traceparent();
        crash_point("payment.begin.before-commit").await;
        let started = sqlx::query!(
            "with begun as (
                 insert into payment (order_id, state, amount_minor, currency, commission_basis_points, terms_digest,
                     card_token, claim, attempts, due_at, traceparent)
                 values ($1, 'authorising', $2, $3, $4, $5, $6, $7, 1, now() + $8, $9)
                 on conflict (order_id) do nothing
                 returning order_id
             ), opened as (
                 insert into account (account_id, kind, seller_id)
                 select account_id, 'seller_payable', seller_id
                 from begun, unnest($10::text[], $11::text[]) as seller (account_id, seller_id)
                 on conflict (account_id) do nothing
             )
             insert into payment_share (order_id, seller_id, amount_minor)
             select order_id, seller_id, amount_minor
             from begun, unnest($11::text[], $12::bigint[]) as share (seller_id, amount_minor)",
            order.as_uuid(),
            amount.minor_units(),
            currency.code(),
            i16::try_from(commission_basis_points).map_err(|_| StoreError::Corrupt { what: "commission" })?,
            &terms.digest().0[..],
            terms.card().expose(),
            claim.as_uuid(),
            self.lease_interval()?,
            traceparent,
            &accounts,
            &sellers,
            &amounts,
        )
        .execute(&self.pool)
        .await?
        .rows_affected()
            > 0;
        crash_point("payment.begin.after-commit").await;
        if started {
            return Ok(Begun::Started(ClaimedPayment {
                order,
                claim,
                state: State::Authorising,
                amount,
                card: Some(terms.card().clone()),
                commission_basis_points,
                attempts: 1,
                traceparent,
            }));
        }
        // Rows are never deleted, so what was in the way is still there.
        Ok(Begun::Exists(self.payment(order).await?.ok_or(StoreError::NotFound)?))
    }

    /// Reads a payment.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn payment(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        sqlx::query_as!(
            PaymentRow,
            "select order_id, state, amount_minor, currency, terms_digest, intent_id, decline_code, refunded_minor
             from payment where order_id = $1",
            order.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Payment::try_from)
        .transpose()
    }
}
