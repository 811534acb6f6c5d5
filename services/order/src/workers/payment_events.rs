//! Notes what payment did: `payment.captured.v1` and `payment.refunded.v1`.

use contracts::money::v1::Money as WireMoney;
use contracts::payment::v1::{PaymentCaptured, PaymentRefunded};
use money::{Currency, Money};
use outbox::{HandleError, Handler, Received};
use sqlx::PgConnection;

use crate::store;

/// Consumes payment's events. Both effects are noted once, however often an event comes.
#[derive(Debug, Clone, Copy)]
pub struct PaymentEvents;

impl Handler for PaymentEvents {
    fn topics(&self) -> &'static [&'static str] {
        &["payment.captured.v1", "payment.refunded.v1"]
    }

    async fn handle(&self, conn: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let is_ours = match event.event_type.as_str() {
            "payment.captured.v1" => {
                let captured: PaymentCaptured = event.decode()?;
                let order = parse("order_id", &captured.order_id)?;
                store::mark_captured(conn, order, amount(captured.amount)?).await?
            }
            "payment.refunded.v1" => {
                let refunded: PaymentRefunded = event.decode()?;
                let refund = parse("refund_id", &refunded.refund_id)?;
                store::mark_paid_back(conn, refund, amount(refunded.amount)?).await?
            }
            other => return Err(HandleError::Poison(format!("unknown event type {other}"))),
        };
        // Money moved for something that we never asked for, or another amount: nothing a retry could mend.
        if is_ours { Ok(()) } else { Err(HandleError::Poison(format!("{} matches nothing here", event.event_type))) }
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, HandleError> {
    text.parse().map_err(|error: T::Err| HandleError::Poison(format!("{field}: {error}")))
}

fn amount(wire: Option<WireMoney>) -> Result<Money, HandleError> {
    let wire = wire.ok_or_else(|| HandleError::Poison("amount is missing".to_owned()))?;
    let currency: Currency = parse("amount.currency_code", &wire.currency_code)?;
    Ok(Money::new(wire.minor_units, currency))
}
