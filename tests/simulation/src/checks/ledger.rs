//! As the audit's `ledger` and `returns and refunds`: every capture and refund has one balanced entry of its amount, and no more goes
//! out than came in.

use std::collections::BTreeMap;

use ids::OrderId;
use order::domain::ReturnState;
use payment::domain::State;
use payment::domain::ledger::{Account, Entry};
use payment::store::RefundState;

use super::{Fault, require};
use crate::Verdict;
use crate::world::{RegionId, World};

pub fn check(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let payments = &world.regions[region].payments;
    let booked: Vec<_> = payments.journal.iter().filter(|booked| booked.order == id).collect();
    for booked in &booked {
        let sum: i64 = booked.entry.postings().iter().map(|posting| posting.amount_minor).sum();
        require(sum == 0, Verdict::Ledger, || format!("an entry sums to {sum}"))?;
    }
    let Some(payment) = payments.rows.get(&id) else {
        return require(booked.is_empty(), Verdict::Ledger, || "entries without a payment".to_owned());
    };
    let came_in: Vec<i64> =
        booked.iter().filter(|booked| booked.refund.is_none()).map(|booked| receivable(&booked.entry)).collect();
    let is_captured = matches!(payment.state, State::Captured { .. });
    let due: Vec<i64> = payment.amount.filter(|_| is_captured).iter().map(|amount| amount.minor_units()).collect();
    require(came_in == due, Verdict::Ledger, || format!("captured {due:?}, booked {came_in:?}"))?;
    let mut went_out = 0;
    for (refund, row) in payments.refunds.iter().filter(|(_, row)| row.order == id) {
        let amount = row.amount.minor_units();
        went_out += amount;
        let entries: Vec<i64> = booked
            .iter()
            .filter(|booked| booked.refund == Some(*refund))
            .map(|booked| receivable(&booked.entry))
            .collect();
        let due: Vec<i64> = if row.state == RefundState::Succeeded { vec![-amount] } else { Vec::new() };
        require(entries == due, Verdict::Ledger, || format!("refund {refund} paid {due:?}, booked {entries:?}"))?;
        let reference = refund.to_string();
        let theirs: Vec<i64> = world
            .provider
            .refunds
            .iter()
            .filter(|refund| *refund.reference == *reference)
            .map(|refund| refund.amount_minor)
            .collect();
        let agrees = theirs == [amount] || (row.state == RefundState::Pending && theirs.is_empty());
        require(agrees, Verdict::Charged, || {
            format!("refund {refund} is {:?} of {amount}, the provider paid {theirs:?}", row.state)
        })?;
    }
    let in_all = payment.amount.map_or(0, |amount| amount.minor_units());
    require(went_out == payment.refunded_minor && went_out <= in_all, Verdict::Refunds, || {
        format!("{went_out} of {in_all} refunded, {} counted", payment.refunded_minor)
    })?;
    require(went_out == 0 || is_captured, Verdict::Refunds, || "refunds without a capture".to_owned())?;
    paid_back(world)?;
    returned(world, region, id)
}

/// The provider never paid back more than it took.
fn paid_back(world: &World) -> Result<(), Fault> {
    let mut left = BTreeMap::<usize, i64>::new();
    world.provider.captures.iter().for_each(|(nth, amount)| *left.entry(*nth).or_default() += amount);
    world.provider.refunds.iter().for_each(|refund| *left.entry(refund.intent).or_default() -= refund.amount_minor);
    require(left.values().all(|left| *left >= 0), Verdict::Refunds, || format!("the provider has left: {left:?}"))
}

/// No more comes back than went out, and the order's sums are those of its returns.
fn returned(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let orders = &world.regions[region].orders;
    let Some(row) = orders.rows.get(&id) else { return Ok(()) };
    let returns: Vec<_> = orders.returns.values().filter(|row| row.order == id).collect();
    for line in &row.order.lines {
        let units = |offer| returns.iter().flat_map(|row| &row.lines).filter(move |line| line.offer == offer);
        let sum: i64 = units(line.offer.clone()).map(|line| line.quantity).sum();
        require(sum == line.returned_quantity && sum <= line.quantity(), Verdict::Refunds, || {
            format!("{sum} of {} {} came back, {} counted", line.quantity(), line.offer, line.returned_quantity)
        })?;
    }
    let refunded = returns.iter().filter(|row| row.state == ReturnState::Refunded);
    let refunded: i64 = refunded.map(|row| row.accepted.amount_minor).sum();
    require(refunded == row.order.refunded_minor, Verdict::Refunds, || {
        format!("returns of {refunded} are refunded, {} counted", row.order.refunded_minor)
    })
}

fn receivable(entry: &Entry) -> i64 {
    let ours = entry.postings().iter().filter(|posting| posting.account == Account::PspReceivable);
    ours.map(|posting| posting.amount_minor).sum()
}
