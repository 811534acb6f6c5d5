//! Recording what the provider said: state, ledger and event in one commit.

use std::time::Duration;

use chassis::trace_context::span_with_parent;
use money::Money;
use sabotage::{Guard, crash_point, is_removed};
use sqlx::PgConnection;
use tracing::Instrument as _;

use super::claim::{ClaimedPayment, ClaimedRefund, Work};
use super::ledger::Source;
use super::payment::{Payment, PaymentRow};
use super::{Store, StoreError, events, interval, ledger};
use crate::domain::refund::RefundLine;
use crate::domain::{Event, IntentId, Share, State, apportion, ledger as books};

/// How a turn ended.
#[derive(Clone, Debug)]
pub enum Done {
    /// The provider said what became of a payment's step.
    Payment {
        /// The payment.
        claimed: ClaimedPayment,
        /// What happened.
        event: Event,
    },
    /// The provider paid a refund.
    Refund {
        /// The refund.
        claimed: ClaimedRefund,
        /// The provider's id of it.
        receipt: Box<str>,
    },
    /// Nothing certain. The work stays due.
    Unresolved {
        /// The work.
        work: Work,
        /// When to try again.
        retry_after: Duration,
        /// Why it needs a person, if it does.
        park: Option<String>,
    },
}

/// What recording did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The payment now stands there.
    Payment(State),
    /// The refund has succeeded.
    Refunded,
    /// The claim was given back.
    Released,
    /// The claim was given back, and from now on the work needs a person.
    Parked,
    /// The claim was no longer ours: somebody else has taken over, and finds out by asking. Nothing was stored.
    ClaimLost,
}

impl Recorded {
    /// Tells metrics and log, after the commit.
    fn tell(&self, done: &Done) {
        let (traceparent, order) = match done {
            Done::Payment { claimed, .. } | Done::Unresolved { work: Work::Payment(claimed), .. } => {
                (&claimed.traceparent, claimed.order)
            }
            Done::Refund { claimed, .. } | Done::Unresolved { work: Work::Refund(claimed), .. } => {
                (&claimed.traceparent, claimed.order)
            }
        };
        let _trace = span_with_parent("payment.recorded", traceparent.as_deref()).entered();
        match self {
            Self::Payment(state) => {
                metrics::counter!("payments_total", "state" => state.name()).increment(1);
                if let Done::Payment { claimed, event } = done
                    && short_minor(claimed, event) > 0
                {
                    metrics::counter!("psp_short_captures_total").increment(1);
                    let short_minor = short_minor(claimed, event);
                    tracing::error!(%order, short_minor, "the provider took less than it was told to; someone has to look");
                }
                tracing::debug!(%order, state = state.name(), "payment moved on");
            }
            Self::Refunded => {
                metrics::counter!("refunds_total", "state" => "succeeded").increment(1);
                tracing::debug!(%order, "refund paid");
            }
            Self::Released => {}
            Self::Parked => {
                let why = if let Done::Unresolved { park: Some(why), .. } = done { why } else { "" };
                tracing::error!(%order, why, "parked: someone has to look (`backbone payment parked`)");
                metrics::counter!("payments_parked_total").increment(1);
            }
            Self::ClaimLost => tracing::info!(%order, "another driver has taken over; nothing stored"),
        }
    }
}

/// Looks at a payment that changed under our feet this often; only a void request can change it, and only once.
const LOOKS_MAX: usize = 3;

impl Store {
    /// Records one turn: one commit.
    ///
    /// # Errors
    /// [`StoreError`]; the claim then runs out by itself and the work is found again.
    pub async fn record(&self, done: &Done) -> Result<Recorded, StoreError> {
        // Nothing is locked yet: whoever is held up here meets the check of its claim when it wakes.
        crash_point("payment.outcome.before-commit").await;
        let recorded = if Self::is_one_statement(done) {
            let mut conn = self.pool.acquire().await?;
            self.record_in(&mut conn, done).await?
        } else {
            let mut tx = chassis::database::begin(&self.pool).await?;
            let recorded = self.record_in(&mut tx, done).await?;
            crash_point("payment.record.before-commit").await;
            tx.commit().await?;
            recorded
        };
        crash_point("payment.record.after-commit").await;
        recorded.tell(done);
        Ok(recorded)
    }

    /// Records many turns in one commit, or, should one of them fail, each in its own, so that one bad row holds up nobody else.
    /// Failures are logged: their claims run out and the work is found again.
    pub async fn record_all(&self, all: &[Done]) {
        if let [one] = all {
            return self.record_or_log(one).await;
        }
        match self.record_together(all).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, turns = all.len(), "recording one by one");
                for done in all {
                    self.record_or_log(done).await;
                }
            }
        }
    }

    async fn record_together(&self, all: &[Done]) -> Result<(), StoreError> {
        crash_point("payment.outcomes.before-commit").await;
        let mut tx = chassis::database::begin(&self.pool).await?;
        let mut recorded = Vec::with_capacity(all.len());
        for done in all {
            recorded.push(self.record_in(&mut tx, done).await?);
        }
        crash_point("payment.record-together.before-commit").await;
        tx.commit().await?;
        crash_point("payment.record-together.after-commit").await;
        for (recorded, done) in recorded.iter().zip(all) {
            recorded.tell(done);
        }
        Ok(())
    }

    async fn record_or_log(&self, done: &Done) {
        if let Err(error) = self.record(done).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the outcome of a turn was not recorded");
        }
    }

    /// The authorisation's outcome is on the way of every order: it is worth sparing it `begin` and `commit`.
    fn is_one_statement(done: &Done) -> bool {
        match done {
            Done::Payment { event, .. } => !matches!(event, Event::Captured { .. }),
            Done::Refund { .. } => false,
            Done::Unresolved { .. } => true,
        }
    }

    async fn record_in(&self, conn: &mut PgConnection, done: &Done) -> Result<Recorded, StoreError> {
        match done {
            Done::Payment { claimed, event } => {
                let span = span_with_parent("payment.record", claimed.traceparent.as_deref());
                self.record_payment(conn, claimed, event).instrument(span).await
            }
            Done::Refund { claimed, receipt } => {
                let span = span_with_parent("refund.record", claimed.traceparent.as_deref());
                self.record_refund(conn, claimed, receipt).instrument(span).await
            }
            Done::Unresolved { work, retry_after, park } => release(conn, work, *retry_after, park.as_deref()).await,
        }
    }

    pub(super) async fn record_payment(
        &self,
        conn: &mut PgConnection,
        claimed: &ClaimedPayment,
        event: &Event,
    ) -> Result<Recorded, StoreError> {
        let mut state = claimed.state.clone();
        for _ in 0..LOOKS_MAX {
            let next = state.clone().after(event.clone())?;
            let short_minor =
                if next == State::Uncollected { claimed.amount.minor_units() } else { short_minor(claimed, event) };
            if compare_and_set(conn, claimed, &state, &next, short_minor).await? {
                match event {
                    Event::Captured { amount_minor } => self.post_capture(conn, claimed, *amount_minor).await?,
                    Event::GivenUp if next == State::Uncollected => all_short(conn, claimed).await?,
                    _ => {}
                }
                return Ok(Recorded::Payment(next));
            }
            match still_claimed(conn, claimed).await? {
                Some(now) => state = now,
                None => break,
            }
        }
        Ok(Recorded::ClaimLost)
    }

    /// Books what came in. When that is less than the order costs, every seller bears its part of what is short.
    async fn post_capture(
        &self,
        conn: &mut PgConnection,
        claimed: &ClaimedPayment,
        amount_minor: i64,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "select seller_id, amount_minor from payment_share where order_id = $1 order by seller_id",
            claimed.order.as_uuid(),
        )
        .fetch_all(&mut *conn)
        .await?;
        let share = |seller: &str, amount_minor| {
            let seller = seller.parse().map_err(|_| StoreError::Corrupt { what: "seller" })?;
            Ok(Share { seller, amount_minor })
        };
        let mut shares: Vec<_> =
            rows.iter().map(|row| share(&row.seller_id, row.amount_minor)).collect::<Result<_, StoreError>>()?;
        let amount = Money::new(amount_minor, claimed.amount.currency());
        if amount != claimed.amount {
            let parts = apportion(&shares, amount_minor);
            store_short(conn, claimed, &shares, &parts).await?;
            shares.iter_mut().zip(parts).for_each(|(share, part)| share.amount_minor = part);
        }
        let entry = books::capture(amount, &shares, claimed.commission_basis_points)?;
        ledger::insert(conn, Source::Capture(claimed.order), &entry).await?;
        Ok(outbox::append(conn, self.region, &[events::captured(claimed, amount)]).await?)
    }

    pub(super) async fn record_refund(
        &self,
        conn: &mut PgConnection,
        claimed: &ClaimedRefund,
        receipt: &str,
    ) -> Result<Recorded, StoreError> {
        let ours = sqlx::query!(
            "update refund set state = 'succeeded', provider_refund_id = $3, claim = null, due_at = null, parked_at = null,
                 parked_reason = null, updated_at = now()
             where refund_id = $1 and (claim = $2 or $4)",
            claimed.refund.as_uuid(),
            claimed.claim.as_uuid(),
            receipt,
            is_removed(Guard::FencingCheck),
        )
        .execute(&mut *conn)
        .await?
        .rows_affected()
            > 0;
        if !ours {
            return Ok(Recorded::ClaimLost);
        }
        let rows = sqlx::query!(
            "select seller_id, amount_minor, commission_minor from refund_share where refund_id = $1 order by seller_id",
            claimed.refund.as_uuid(),
        )
        .fetch_all(&mut *conn)
        .await?;
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let seller = row.seller_id.parse().map_err(|_| StoreError::Corrupt { what: "seller" })?;
            let (amount_minor, commission_minor) = (row.amount_minor, row.commission_minor);
            lines.push(RefundLine { seller, amount_minor, commission_minor, unpaid_minor: 0 });
        }
        let entry = books::refund(claimed.amount.currency(), &lines)?;
        ledger::insert(conn, Source::Refund(claimed.order, claimed.refund), &entry).await?;
        outbox::append(conn, self.region, &[events::refunded(claimed)]).await?;
        Ok(Recorded::Refunded)
    }
}

/// Notes what each share is short of, so that no refund gives back what never came in.
async fn store_short(
    conn: &mut PgConnection,
    claimed: &ClaimedPayment,
    shares: &[Share],
    parts: &[i64],
) -> Result<(), sqlx::Error> {
    let (sellers, short): (Vec<_>, Vec<_>) =
        shares.iter().zip(parts).map(|(share, part)| (share.seller.to_string(), share.amount_minor - part)).unzip();
    sqlx::query!(
        "update payment_share set short_minor = short.amount_minor
         from unnest($2::text[], $3::bigint[]) as short (seller_id, amount_minor)
         where order_id = $1 and payment_share.seller_id = short.seller_id",
        claimed.order.as_uuid(),
        &sellers,
        &short,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that nothing of any share came in.
async fn all_short(conn: &mut PgConnection, claimed: &ClaimedPayment) -> Result<(), sqlx::Error> {
    sqlx::query!("update payment_share set short_minor = amount_minor where order_id = $1", claimed.order.as_uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a payment from one state to the next if the claim is still ours and the state still that; without the fencing check, from
/// whatever state it is in by now. The card token goes: no outcome of the provider leaves a payment in doubt.
async fn compare_and_set(
    conn: &mut PgConnection,
    claimed: &ClaimedPayment,
    from: &State,
    to: &State,
    short_minor: i64,
) -> Result<bool, sqlx::Error> {
    let decline_code = if let State::Declined { code } = to { Some(&**code) } else { None };
    let updated = sqlx::query!(
        "update payment set state = $4, intent_id = coalesce($5, intent_id), decline_code = coalesce($6, decline_code),
             card_token = null, claim = null, attempts = 0, due_at = case when $7 then now() end, short_minor = $9,
             parked_at = null, parked_reason = null, updated_at = now()
         where order_id = $1 and (claim = $2 and state = $3 or $8)",
        claimed.order.as_uuid(),
        claimed.claim.as_uuid(),
        from.name(),
        to.name(),
        to.intent().map(IntentId::as_str),
        decline_code,
        to.step().is_some(),
        is_removed(Guard::FencingCheck),
        short_minor,
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() > 0)
}

/// Of what was to be taken, what the provider did not take.
fn short_minor(claimed: &ClaimedPayment, event: &Event) -> i64 {
    match event {
        Event::Captured { amount_minor } => claimed.amount.minor_units() - amount_minor,
        _ => 0,
    }
}

async fn still_claimed(conn: &mut PgConnection, claimed: &ClaimedPayment) -> Result<Option<State>, StoreError> {
    let row = sqlx::query_as!(
        PaymentRow,
        "select order_id, state, amount_minor, currency, terms_digest, intent_id, decline_code, refunded_minor
         from payment where order_id = $1 and claim = $2",
        claimed.order.as_uuid(),
        claimed.claim.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Payment::try_from).transpose()?.map(|payment| payment.state))
}

/// Gives the claim back. What is parked stays so, with its first reason's time and the latest reason, until it has an outcome.
async fn release(
    conn: &mut PgConnection,
    work: &Work,
    retry_after: Duration,
    park: Option<&str>,
) -> Result<Recorded, StoreError> {
    let retry_after = interval(retry_after)?;
    let was_parked = match work {
        Work::Payment(claimed) => {
            sqlx::query_scalar!(
                r#"with before as (select order_id, parked_at from payment where order_id = $1)
                 update payment set claim = null, due_at = now() + $3,
                     parked_at = case when $4::text is null then payment.parked_at else coalesce(payment.parked_at, now()) end,
                     parked_reason = coalesce($4, parked_reason)
                 from before where payment.order_id = before.order_id and claim = $2
                 returning before.parked_at is not null as "was_parked!""#,
                claimed.order.as_uuid(),
                claimed.claim.as_uuid(),
                retry_after,
                park,
            )
            .fetch_optional(conn)
            .await?
        }
        Work::Refund(claimed) => {
            sqlx::query_scalar!(
                r#"with before as (select refund_id, parked_at from refund where refund_id = $1)
                 update refund set claim = null, due_at = now() + $3,
                     parked_at = case when $4::text is null then refund.parked_at else coalesce(refund.parked_at, now()) end,
                     parked_reason = coalesce($4, parked_reason)
                 from before where refund.refund_id = before.refund_id and claim = $2
                 returning before.parked_at is not null as "was_parked!""#,
                claimed.refund.as_uuid(),
                claimed.claim.as_uuid(),
                retry_after,
                park,
            )
            .fetch_optional(conn)
            .await?
        }
    };
    Ok(match was_parked {
        Some(false) if park.is_some() => Recorded::Parked,
        Some(_) => Recorded::Released,
        None => Recorded::ClaimLost,
    })
}
