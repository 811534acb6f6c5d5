//! The books: every entry sums to zero, so does the whole, and what the provider owes us is what came in less what went back.

use std::collections::BTreeMap;

use ids::Region;

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::payments::{Entry, PaymentState, Payments};

/// Checks both regions' books, each by itself.
pub fn check(payments: Both<&Payments>) -> Examined {
    let mut examined = Examined::default();
    for (region, payments) in payments.each() {
        entries(&mut examined, region, payments);
        bookings(&mut examined, region, payments);
        sums(&mut examined, region, payments);
    }
    examined
}

/// Every entry has two sides or more, in its own currency, and sums to zero.
fn entries(examined: &mut Examined, region: Region, payments: &Payments) {
    examined.count(payments.entries.len(), "journal entries");
    for (id, entry) in &payments.entries {
        examined.count(entry.postings.len(), "postings");
        let sum: i128 = entry.postings.iter().map(|posting| i128::from(posting.amount_minor)).sum();
        examined.require(sum == 0, || format!("{region} journal entry {id} sums to {sum}"));
        let sides = entry.postings.len();
        examined.require(sides >= 2, || format!("{region} journal entry {id} has {sides} postings"));
        let foreign = entry.postings.iter().find(|posting| posting.currency != entry.currency);
        examined.require(foreign.is_none(), || format!("{region} journal entry {id} mixes currencies"));
    }
}

/// Every capture and every refund has exactly one entry, of its amount; and no entry is of anything else.
fn bookings(examined: &mut Examined, region: Region, payments: &Payments) {
    let mut captures = BTreeMap::new();
    let mut refunds = BTreeMap::new();
    for (id, entry) in &payments.entries {
        let booked_before = match entry.refund {
            None => captures.insert(entry.order, entry).is_some(),
            Some(refund) => refunds.insert(refund, entry).is_some(),
        };
        examined.require(!booked_before, || format!("{region} journal entry {id} books order {} again", entry.order));
    }
    for (order, payment) in &payments.payments {
        let due = payment.captured_minor().filter(|_| payment.state == PaymentState::Captured);
        let booked = captures.remove(order).map(receivable);
        examined.require(booked == due.map(i128::from), || {
            format!("{region} payment {order} captured {}, booked {}", shown(due), shown(booked))
        });
        let shares = payment.shares_minor;
        examined.require(payment.amount_minor.is_none_or(|amount| amount == shares), || {
            format!("{region} payment {order} of {} has shares of {shares}", shown(payment.amount_minor))
        });
    }
    for (id, refund) in &payments.refunds {
        let due = refund.paid_minor().map(|paid| -i128::from(paid));
        let booked = refunds.remove(id).map(receivable);
        examined
            .require(booked == due, || format!("{region} refund {id} paid {}, booked {}", shown(due), shown(booked)));
    }
    for order in captures.keys() {
        examined.require(false, || format!("{region} journal books a capture of {order}, which has no payment"));
    }
    for refund in refunds.keys() {
        examined.require(false, || format!("{region} journal books refund {refund}, which is not there"));
    }
}

/// Per currency: all postings sum to zero, and psp_receivable is captured less refunded.
fn sums(examined: &mut Examined, region: Region, payments: &Payments) {
    #[derive(Default)]
    struct Sums {
        postings: i128,
        receivable: i128,
        captured_less_refunded: i128,
    }
    let mut by_currency = BTreeMap::<&str, Sums>::new();
    for entry in payments.entries.values() {
        let sums = by_currency.entry(&entry.currency).or_default();
        sums.postings += entry.postings.iter().map(|posting| i128::from(posting.amount_minor)).sum::<i128>();
        sums.receivable += receivable(entry);
    }
    let currency_of =
        |order| payments.payments.get(order).and_then(|payment| payment.currency.as_deref()).unwrap_or("?");
    for (order, payment) in &payments.payments {
        if payment.state == PaymentState::Captured {
            let sums = by_currency.entry(currency_of(order)).or_default();
            sums.captured_less_refunded += payment.captured_minor().map_or(0, i128::from);
        }
    }
    for refund in payments.refunds.values().filter(|refund| refund.paid_minor().is_some()) {
        by_currency.entry(currency_of(&refund.order)).or_default().captured_less_refunded -=
            i128::from(refund.amount_minor);
    }
    for (currency, sums) in by_currency {
        let Sums { postings, receivable, captured_less_refunded } = sums;
        examined.require(postings == 0, || format!("{region} ledger in {currency} sums to {postings}"));
        examined.require(receivable == captured_less_refunded, || {
            format!("{region} psp_receivable in {currency} is {receivable}, captured less refunded is {captured_less_refunded}")
        });
    }
}

fn receivable(entry: &Entry) -> i128 {
    let ours = entry.postings.iter().filter(|posting| posting.is_psp_receivable);
    ours.map(|posting| i128::from(posting.amount_minor)).sum()
}

fn shown(amount: Option<impl ToString>) -> String {
    amount.map_or_else(|| "nothing".to_owned(), |amount| amount.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.payments.as_ref()), named);
    }

    fn first_entry(world: &mut World, is_refund: bool) -> &mut Entry {
        let entries = &mut world.payments.east.entries;
        entries.values_mut().find(|entry| entry.refund.is_some() == is_refund).unwrap()
    }

    #[test]
    fn an_entry_that_does_not_sum_to_zero_is_named() {
        fails(|world| first_entry(world, false).postings[1].amount_minor += 1, &["east journal entry", "sums to 1"]);
        fails(|world| first_entry(world, false).postings[1].amount_minor += 1, &["ledger in GBP sums to 1"]);
    }

    #[test]
    fn an_entry_of_one_side_or_of_two_currencies_is_named() {
        fails(|world| first_entry(world, false).postings.truncate(1), &["has 1 postings"]);
        fails(|world| first_entry(world, true).postings[0].currency = "EUR".to_owned(), &["mixes currencies"]);
    }

    #[test]
    fn a_capture_without_an_entry_or_booked_twice_is_named() {
        let shipped = sound().shipped.to_string();
        fails(|world| world.payments.east.entries.clear(), &[&shipped, "captured 1300, booked nothing"]);
        fails(
            |world| world.payments.east.entries.clear(),
            &["psp_receivable in GBP is 0, captured less refunded is 1000"],
        );
        let twice = |world: &mut World| {
            let again = first_entry(world, false).clone();
            world.payments.east.entries.insert(uuid::Uuid::from_u128(99), again);
        };
        fails(twice, &[&shipped, "again"]);
        fails(twice, &["psp_receivable in GBP is 2300, captured less refunded is 1000"]);
    }

    #[test]
    fn a_refund_booked_for_another_amount_is_named() {
        let refund = sound().refund.to_string();
        fails(|world| world.payments.east.refunds.values_mut().for_each(|refund| refund.amount_minor += 1), &[&refund]);
    }

    #[test]
    fn shares_that_are_not_the_amount_are_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| world.payments.east.payments.get_mut(&placed).unwrap().shares_minor = 299;
        fails(doctor, &[&placed.to_string(), "of 300 has shares of 299"]);
    }
}
