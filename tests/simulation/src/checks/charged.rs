//! As the audit's `charged once`: the provider's own ledger, over all accounts, against our payments. It has no unique key on our ids, so a
//! second charge for one order would stand there, whatever our own books say. And what was charged is what was shown.

use std::collections::BTreeSet;

use cart::domain::ViewLine;
use ids::{OfferId, OrderId};
use money::Money;
use order::domain::Order;
use payment::domain::State;
use psp::intent::IntentStatus;

use super::{Fault, require};
use crate::Verdict;
use crate::world::{RegionId, World};

pub fn check(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let payment = world.regions[region].payments.rows.get(&id);
    let reference = id.to_string();
    let theirs: Vec<_> =
        world.provider.intents.iter().enumerate().filter(|(_, intent)| *intent.reference == *reference).collect();
    let charged = |holds, what: &dyn Fn() -> String| require(holds, Verdict::Charged, what);
    charged(theirs.len() <= 1, &|| {
        let accounts: Vec<RegionId> = theirs.iter().map(|(nth, _)| world.provider.accounts[*nth]).collect();
        format!("the provider authorised it {} times, through the accounts of {accounts:?}", theirs.len())
    })?;
    let Some(payment) = payment else {
        return charged(theirs.is_empty(), &|| "the provider has a payment that its home does not know".to_owned());
    };
    shown(world, region, id, payment.amount)?;
    let captured: Vec<i64> = world
        .provider
        .captures
        .iter()
        .filter(|(nth, _)| theirs.iter().any(|(our, _)| our == nth))
        .map(|(_, amount)| *amount)
        .collect();
    let amount: Vec<i64> = payment.amount.iter().map(|amount| amount.minor_units()).collect();
    let is_captured_right = match payment.state {
        State::Captured { .. } => captured == amount,
        State::Capturing { .. } => captured.is_empty() || captured == amount,
        _ => captured.is_empty(),
    };
    charged(is_captured_right, &|| {
        format!("its payment is {:?}, the provider captured {captured:?} of {amount:?}", payment.state)
    })?;
    let held = theirs.iter().filter(|(_, intent)| intent.status != IntentStatus::Canceled).count();
    let is_held_right = match payment.state {
        State::Authorised { .. } | State::Capturing { .. } | State::Captured { .. } => held == 1,
        State::Authorising | State::Abandoning | State::Voiding { .. } => held <= 1,
        State::Declined { .. } | State::Uncollected | State::Voided => held == 0,
    };
    charged(is_held_right, &|| format!("its payment is {:?}, the provider holds {held} for it", payment.state))?;
    for (_, intent) in &theirs {
        charged(Some(&intent.amount) == amount.first(), &|| {
            format!("the provider holds {} of {amount:?}", intent.amount)
        })?;
        let ours = payment.state.intent();
        let is_ours = ours.is_none_or(|ours| ours.as_str() == intent.id.to_string());
        charged(is_ours, &|| format!("the provider's {} is not its intent {ours:?}", intent.id))?;
    }
    Ok(())
}

/// What an order charges is the total that its shopper was shown.
fn shown(world: &World, region: RegionId, id: OrderId, amount: Option<Money>) -> Result<(), Fault> {
    let Some(row) = world.regions[region].orders.rows.get(&id) else { return Ok(()) };
    require(amount.is_none_or(|amount| Some(amount) == row.costs), Verdict::Shown, || {
        format!("its payment is of {amount:?}, what was shown costs {:?}", row.costs)
    })
}

/// An order has the lines that its shopper was shown, unit by unit and price by price: when it is stored, for they never change.
pub fn lines(order: &Order, shown: &[ViewLine]) -> Result<(), Fault> {
    let units = |(offer, price, units): (&OfferId, i64, i64)| (offer.clone(), price, units);
    let of_view = shown.iter().flat_map(|line| {
        let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        line.prices.iter().map(move |(price, quantity)| (&line.offer_id, price.minor_units(), units(*quantity)))
    });
    let of_order = order
        .lines
        .iter()
        .flat_map(|line| line.prices.iter().map(|units| (&line.offer, units.unit_price_minor, units.quantity)));
    let (seen, ordered): (BTreeSet<_>, BTreeSet<_>) = (of_view.map(units).collect(), of_order.map(units).collect());
    require(seen == ordered, Verdict::Shown, || format!("ordered {ordered:?}, shown was {seen:?}"))
}
