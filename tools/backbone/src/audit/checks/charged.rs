//! Charged once: the provider's own ledger against our payments and refunds.
//!
//! The provider has no unique key on our ids. So a second charge for one order would stand there, whatever our own books say.

use std::collections::{BTreeMap, BTreeSet};

use ids::{OrderId, RefundId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::payments::{Payment, PaymentState, Payments, RefundState};
use crate::audit::sources::provider::{Intent, Provider, ProviderRefund};

/// Checks every payment and refund of both regions against the provider's ledger, and that ledger for anything else. In which region an
/// order may be charged is the check `one home`.
pub fn check(payments: Both<&Payments>, provider: &Provider) -> Examined {
    let mut examined = Examined::default();
    examined.count(usize::try_from(provider.lines).unwrap_or(usize::MAX), "lines of the provider's ledger");
    let mut intents = BTreeMap::<(Region, OrderId), Vec<(&str, &Intent)>>::new();
    for (id, intent) in &provider.intents {
        match known(&intent.account, &intent.reference, |region, order| {
            payments.of(region).payments.contains_key(order)
        }) {
            Some(key) => intents.entry(key).or_default().push((id, intent)),
            None => examined.require(false, || stranger("payment", id, &intent.account, &intent.reference)),
        }
    }
    let mut refunds = BTreeMap::<(Region, RefundId), Vec<&ProviderRefund>>::new();
    for refund in &provider.refunds {
        match known(&refund.account, &refund.reference, |region, id| payments.of(region).refunds.contains_key(id)) {
            Some(key) => refunds.entry(key).or_default().push(refund),
            None => examined.require(false, || stranger("refund", &refund.id, &refund.account, &refund.reference)),
        }
    }
    for (account, reference) in &provider.declined {
        let known = known(account, reference, |region, order| payments.of(region).payments.contains_key(order));
        examined.require(known.is_some(), || stranger("decline", "without id", account, reference));
    }
    for (region, payments) in payments.each() {
        examined.count(payments.payments.len(), "payments");
        for (order, payment) in &payments.payments {
            let theirs = intents.remove(&(region, *order)).unwrap_or_default();
            for fault in charge_faults(payment, &theirs) {
                examined.require(false, || format!("{region} payment {order} is {:?}, but {fault}", payment.state));
            }
        }
        examined.count(payments.refunds.len(), "refunds");
        for (id, refund) in &payments.refunds {
            let theirs = refunds.remove(&(region, *id)).unwrap_or_default();
            let amounts: Vec<i64> = theirs.iter().map(|refund| refund.amount_minor).collect();
            let wanted: Vec<i64> = match refund.state {
                RefundState::Pending => vec![refund.amount_minor],
                RefundState::Succeeded | RefundState::Cancelled => refund.paid_minor().into_iter().collect(),
            };
            let agrees = amounts == wanted || (refund.state == RefundState::Pending && amounts.is_empty());
            examined.require(agrees, || {
                format!("{region} refund {id} is {:?} of {wanted:?}, the provider paid back {amounts:?}", refund.state)
            });
            let intent = payments.payments.get(&refund.order).and_then(|payment| payment.intent.as_deref());
            for other in theirs {
                let is_ours = Some(other.intent.as_str()) == intent
                    && refund.receipt.as_ref().is_none_or(|receipt| *receipt == other.id);
                examined.require(is_ours, || format!("{region} refund {id} is {} of {} there", other.id, other.intent));
            }
        }
    }
    by_order(&mut examined, provider);
    overpaid(&mut examined, provider);
    examined
}

/// Over all accounts: a key holds within its account only, so an order that two regions drove is charged in each, and each region's own
/// books agree with its own account.
fn by_order(examined: &mut Examined, provider: &Provider) {
    let mut orders = BTreeMap::<&str, Vec<(&str, &Intent)>>::new();
    for (id, intent) in &provider.intents {
        orders.entry(&intent.reference).or_default().push((id, intent));
    }
    examined.count(orders.len(), "orders at the provider");
    for (order, intents) in orders {
        let accounts: BTreeSet<&str> = intents.iter().map(|(_, intent)| intent.account.as_str()).collect();
        let taken: i128 = intents.iter().flat_map(|(_, intent)| &intent.captures).copied().map(i128::from).sum();
        examined.require(accounts.len() == 1, || {
            let name = |(id, intent): &(&str, &Intent)| format!("{id} of account {}", intent.account);
            let named: Vec<String> = intents.iter().map(name).collect();
            format!("order {order} was charged through {}: {taken} were captured in all", named.join(" and "))
        });
    }
}

/// The provider never paid back more than it took.
fn overpaid(examined: &mut Examined, provider: &Provider) {
    let mut paid_back = BTreeMap::<&str, i128>::new();
    for refund in &provider.refunds {
        *paid_back.entry(&refund.intent).or_default() += i128::from(refund.amount_minor);
    }
    for (id, paid_back) in paid_back {
        let captures = provider.intents.get(id).map(|intent| intent.captures.as_slice()).unwrap_or_default();
        let captured: i128 = captures.iter().copied().map(i128::from).sum();
        examined.require(paid_back <= captured, || {
            format!("the provider took {captured} on {id} and paid back {paid_back}")
        });
    }
}

/// The region and id behind an account and a reference, if we have such a row.
fn known<Id: std::str::FromStr>(
    account: &str,
    reference: &str,
    has: impl Fn(Region, &Id) -> bool,
) -> Option<(Region, Id)> {
    let (region, id) = (account.parse().ok()?, reference.parse().ok()?);
    has(region, &id).then_some((region, id))
}

fn stranger(what: &str, id: &str, account: &str, reference: &str) -> String {
    format!("the provider has a {what} {id} of account {account} for {reference}, which we do not know")
}

/// What of the provider's intents for a payment does not go with how it stands here.
fn charge_faults(payment: &Payment, theirs: &[(&str, &Intent)]) -> Vec<String> {
    let authorised: usize = theirs.iter().map(|(_, intent)| intent.authorisations).sum();
    let cancelled: usize = theirs.iter().map(|(_, intent)| intent.cancellations).sum();
    let captured: Vec<i64> = theirs.iter().flat_map(|(_, intent)| intent.captures.iter().copied()).collect();
    let amount: Vec<i64> = payment.captured_minor().into_iter().collect();
    let mut faults = Vec::new();
    let mut require = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault)
        }
    };

    require(authorised <= 1, format!("the provider authorised it {authorised} times"));
    require(captured.len() <= 1, format!("the provider captured it {} times: {captured:?}", captured.len()));
    let captured_right = match payment.state {
        PaymentState::Captured => captured == amount,
        // In flight: the provider may have done it already.
        PaymentState::Capturing => captured.is_empty() || captured == amount,
        _ => captured.is_empty(),
    };
    require(captured_right, format!("the provider captured {captured:?} of {amount:?}"));
    let (held_from, held_to) = match payment.state {
        PaymentState::Authorised | PaymentState::Capturing | PaymentState::Captured => (1, 1),
        // In doubt, or being let go.
        PaymentState::Authorising | PaymentState::Abandoning | PaymentState::Voiding => (0, 1),
        PaymentState::Declined | PaymentState::Voided | PaymentState::Uncollected => (0, 0),
    };
    let held = authorised.saturating_sub(cancelled);
    require((held_from..=held_to).contains(&held), format!("the provider holds {held} authorisations for it"));
    for (id, intent) in theirs {
        let same_money = Some(intent.amount_minor) == payment.amount_minor
            && payment.currency.as_ref().is_some_and(|currency| currency.eq_ignore_ascii_case(&intent.currency));
        require(same_money, format!("{id} is of {} {}", intent.amount_minor, intent.currency));
        let ours = payment.intent.as_deref();
        require(ours.is_none_or(|ours| ours == *id), format!("{id} is not its intent {}", ours.unwrap_or_default()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.payments.as_ref(), &world.provider), named);
    }

    fn intent_of(world: &mut World, order: OrderId) -> &mut Intent {
        let reference = order.to_string();
        world.provider.intents.values_mut().find(|intent| intent.reference == reference).unwrap()
    }

    #[test]
    fn a_second_authorisation_under_one_reference_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| {
            let again = intent_of(world, placed).clone();
            world.provider.intents.insert("pi_again".to_owned(), again);
        };
        fails(doctor, &[&placed.to_string(), "authorised it 2 times"]);
    }

    #[test]
    fn a_second_capture_or_one_of_another_amount_is_named() {
        let shipped = sound().shipped;
        fails(|world| intent_of(world, shipped).captures.push(1300), &[&shipped.to_string(), "captured it 2 times"]);
        fails(
            |world| intent_of(world, shipped).captures = vec![1299],
            &[&shipped.to_string(), "captured [1299] of [1300]"],
        );
        fails(|world| intent_of(world, shipped).captures.clear(), &[&shipped.to_string(), "captured [] of [1300]"]);
    }

    #[test]
    fn a_short_capture_is_charged_right_when_we_know_that_it_is_short() {
        let shipped = sound().shipped;
        let mut world = sound();
        intent_of(&mut world, shipped).captures = vec![1299];
        world.payments.east.payments.get_mut(&shipped).unwrap().short_minor = 1;
        let examined = check(world.payments.as_ref(), &world.provider);
        assert!(examined.offenders().is_empty(), "{:?}", examined.offenders());
    }

    #[test]
    fn a_capture_of_what_we_did_not_capture_is_named() {
        let placed = sound().placed;
        fails(|world| intent_of(world, placed).captures.push(300), &[&placed.to_string(), "captured [300] of [300]"]);
    }

    #[test]
    fn money_held_for_a_voided_payment_is_named() {
        let cancelled = sound().cancelled;
        let doctor = |world: &mut World| intent_of(world, cancelled).cancellations = 0;
        fails(doctor, &["west payment", &cancelled.to_string(), "holds 1 authorisations"]);
    }

    #[test]
    fn what_we_do_not_know_is_named() {
        let order = OrderId::generate().to_string();
        fails(|world| intent_of(world, sound().placed).reference.clone_from(&order), &[&order, "we do not know"]);
        fails(|world| world.provider.refunds[0].account = "north".to_owned(), &["re_1", "account north"]);
        fails(|world| world.provider.declined.push(("east".to_owned(), order.clone())), &["decline", &order]);
        // The right order at the wrong account is as strange.
        fails(|world| intent_of(world, sound().placed).account = "west".to_owned(), &["account west"]);
    }

    #[test]
    fn a_refund_paid_twice_never_or_in_another_amount_is_named() {
        let refund = sound().refund.to_string();
        let twice = |world: &mut World| world.provider.refunds.push(world.provider.refunds[0].clone());
        fails(twice, &[&refund, "paid back [300, 300]"]);
        fails(|world| world.provider.refunds.clear(), &[&refund, "paid back []"]);
        fails(|world| world.provider.refunds[0].amount_minor = 1400, &[&refund, "paid back [1400]"]);
        fails(|world| world.provider.refunds[0].amount_minor = 1400, &["took 1300", "paid back 1400"]);
    }

    #[test]
    fn an_order_charged_through_two_accounts_is_named_though_each_regions_books_agree_with_its_own() {
        let placed = sound().placed;
        let mut world = sound();
        world.drive_again(placed, Region::West);
        let examined = check(world.payments.as_ref(), &world.provider);
        let named = ["charged through", "of account east", "of account west", &placed.to_string()];
        assert_named(&examined, &named);
        assert_eq!(examined.offenders().len(), 1, "{:?}", examined.offenders());
    }

    #[test]
    fn a_capture_under_way_may_or_may_not_be_done() {
        let mut world = sound();
        let shipped = world.shipped;
        world.payments.east.payments.get_mut(&shipped).unwrap().state = PaymentState::Capturing;
        assert!(check(world.payments.as_ref(), &world.provider).offenders().is_empty());
    }
}
