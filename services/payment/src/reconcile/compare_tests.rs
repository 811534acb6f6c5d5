//! Books that tell one story do not differ; whatever is changed in one of them does.
use proptest::prelude::*;

use super::*;
use crate::psp::{Intent, Receipt};

const INTENT: &str = "pi_1";

fn order() -> OrderId {
    OrderId::from_uuid(uuid::Uuid::from_u128(7))
}

fn gbp(minor_units: i64) -> Money {
    Money::new(minor_units, "GBP".parse().unwrap())
}

/// A payment as both books have it, at one of the places where they agree: held, taken (in part), being taken, let go.
fn agreed() -> impl Strategy<Value = (OurPayment, StatedIntent)> {
    (2_i64..1_000_000, 0_i64..1_000, 0..5_usize).prop_map(|(amount, thousandths, place)| {
        let id = || IntentId::new(INTENT);
        let short_minor = if place == 2 { amount * thousandths / 1_001 } else { 0 };
        let taken = amount - short_minor;
        let (state, status, captured) = match place {
            0 => (State::Authorised { intent: id() }, IntentStatus::RequiresCapture, 0),
            1 => (State::Capturing { intent: id() }, IntentStatus::RequiresCapture, 0),
            2 => (State::Captured { intent: id() }, IntentStatus::Succeeded, taken),
            3 => (State::Voiding { intent: id() }, IntentStatus::RequiresCapture, 0),
            _ => (State::Voided, IntentStatus::Canceled, 0),
        };
        let ours = OurPayment {
            order: order(),
            state,
            intent: Some(id()),
            amount: Some(gbp(amount)),
            short_minor,
            booked_minor: (captured > 0).then_some(captured),
        };
        (ours, stated(INTENT, status, amount, captured))
    })
}

fn stated(id: &str, status: IntentStatus, amount: i64, captured_minor: i64) -> StatedIntent {
    StatedIntent {
        reference: order().to_string().into(),
        intent: Intent { id: IntentId::new(id), status, amount: gbp(amount), captured_minor },
        refunded_minor: 0,
    }
}

fn kinds(ours: Option<&OurPayment>, theirs: &[StatedIntent]) -> Vec<Kind> {
    of_order(ours, theirs).iter().map(|difference| difference.kind).collect()
}

proptest! {
    #[test]
    fn prop_books_that_agree_differ_in_nothing_but_a_short_capture((ours, theirs) in agreed()) {
        let expected = if ours.short_minor > 0 { vec![Kind::ShortCapture] } else { vec![] };
        prop_assert_eq!(kinds(Some(&ours), &[theirs]), expected);
    }

    #[test]
    fn prop_another_amount_on_either_side_is_a_difference((ours, theirs) in agreed(), off in 1_i64..1_000) {
        let mut more = theirs.clone();
        more.intent.amount = gbp(theirs.intent.amount.minor_units() + off);
        prop_assert_eq!(kinds(Some(&ours), &[more]), [Kind::Amount]);
        if let State::Captured { .. } = ours.state {
            let mut more = theirs.clone();
            more.intent.captured_minor += off;
            prop_assert_eq!(kinds(Some(&ours), &[more]), [Kind::Amount]);
            let booked = OurPayment { booked_minor: ours.booked_minor.map(|booked| booked + off), ..ours.clone() };
            prop_assert_eq!(kinds(Some(&booked), std::slice::from_ref(&theirs)), [Kind::Amount]);
            let unbooked = OurPayment { booked_minor: None, ..ours };
            prop_assert_eq!(kinds(Some(&unbooked), &[theirs]), [Kind::Amount]);
        }
    }

    #[test]
    fn prop_a_second_authorisation_is_double_until_its_money_is_gone((ours, theirs) in agreed(), amount in 1_i64..1_000) {
        let mut second = stated("pi_2", IntentStatus::RequiresCapture, amount, 0);
        let with = |second: &StatedIntent| {
            let mut kinds = kinds(Some(&ours), &[theirs.clone(), second.clone()]);
            kinds.retain(|kind| *kind != Kind::ShortCapture);
            kinds
        };
        prop_assert_eq!(with(&second), [Kind::Double]);
        second = stated("pi_2", IntentStatus::Succeeded, amount, amount);
        prop_assert_eq!(with(&second), [Kind::Double]);
        second.refunded_minor = amount;
        prop_assert_eq!(with(&second), []);
        second = stated("pi_2", IntentStatus::Canceled, amount, 0);
        prop_assert_eq!(with(&second), []);
    }

    #[test]
    fn prop_what_one_side_lacks_is_missing_there_or_here_if_money_is_at_stake((ours, theirs) in agreed()) {
        let is_counted_on = ours.state.intent().is_some();
        prop_assert_eq!(kinds(Some(&ours), &[]), if is_counted_on { vec![Kind::MissingThere] } else { vec![] });
        let is_at_stake = theirs.intent.status != IntentStatus::Canceled;
        prop_assert_eq!(kinds(None, &[theirs]), if is_at_stake { vec![Kind::MissingHere] } else { vec![] });
    }

    #[test]
    fn prop_refunds_agree_only_in_receipt_amount_charge_and_booking(amount in 1_i64..1_000, off in 1_i64..100) {
        let refund = RefundId::from_uuid(uuid::Uuid::from_u128(9));
        let ours = OurRefund {
            refund,
            intent: Some(IntentId::new(INTENT)),
            receipt: Some("re_1".into()),
            amount_minor: amount,
            booked_minor: Some(amount),
        };
        let theirs = StatedRefund {
            reference: refund.to_string().into(),
            intent: IntentId::new(INTENT),
            receipt: Receipt { id: "re_1".into(), amount_minor: amount },
        };
        let kinds = |ours: Option<&OurRefund>, theirs: &[StatedRefund]| {
            of_refunds(ours, theirs).iter().map(|difference| difference.kind).collect::<Vec<_>>()
        };
        prop_assert_eq!(kinds(Some(&ours), std::slice::from_ref(&theirs)), []);
        let mut second = theirs.clone();
        second.receipt.id = "re_2".into();
        prop_assert_eq!(kinds(Some(&ours), &[theirs.clone(), second]), [Kind::Double]);
        let mut more = theirs.clone();
        more.receipt.amount_minor += off;
        prop_assert_eq!(kinds(Some(&ours), &[more]), [Kind::Amount]);
        let mut elsewhere = theirs.clone();
        elsewhere.intent = IntentId::new("pi_2");
        prop_assert_eq!(kinds(Some(&ours), &[elsewhere]), [Kind::State]);
        let pending = OurRefund { receipt: None, booked_minor: None, ..ours.clone() };
        prop_assert_eq!(kinds(Some(&pending), std::slice::from_ref(&theirs)), [Kind::State]);
        prop_assert_eq!(kinds(Some(&pending), &[]), []);
        let unbooked = OurRefund { booked_minor: None, ..ours.clone() };
        prop_assert_eq!(kinds(Some(&unbooked), std::slice::from_ref(&theirs)), [Kind::Amount]);
        prop_assert_eq!(kinds(Some(&ours), &[]), [Kind::MissingThere]);
        prop_assert_eq!(kinds(None, &[theirs]), [Kind::MissingHere]);
    }
}

/// States that do not go together, each pair.
#[test]
fn states_of_two_stories_are_a_difference() {
    let id = || IntentId::new(INTENT);
    for (state, booked, status, captured) in [
        (State::Authorised { intent: id() }, None, IntentStatus::Succeeded, 5),
        (State::Authorised { intent: id() }, None, IntentStatus::Canceled, 0),
        (State::Capturing { intent: id() }, None, IntentStatus::Succeeded, 5),
        (State::Captured { intent: id() }, Some(5), IntentStatus::RequiresCapture, 0),
        (State::Captured { intent: id() }, Some(5), IntentStatus::Canceled, 0),
        (State::Voided, None, IntentStatus::RequiresCapture, 0),
        (State::Voided, None, IntentStatus::Succeeded, 5),
    ] {
        let ours = OurPayment {
            order: order(),
            state: state.clone(),
            intent: Some(id()),
            amount: Some(gbp(5)),
            short_minor: 0,
            booked_minor: booked,
        };
        assert_eq!(kinds(Some(&ours), &[stated(INTENT, status, 5, captured)]), [Kind::State], "{state:?} {status:?}");
    }
    // Declined here, held there.
    let declined = OurPayment {
        order: order(),
        state: State::Declined { code: "x".into() },
        intent: None,
        amount: Some(gbp(5)),
        short_minor: 0,
        booked_minor: None,
    };
    assert_eq!(kinds(Some(&declined), &[stated(INTENT, IntentStatus::RequiresCapture, 5, 0)]), [Kind::State]);
    assert_eq!(kinds(Some(&declined), &[stated(INTENT, IntentStatus::Canceled, 5, 0)]), []);
}

#[test]
fn names_are_found_again() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
    }
    assert_eq!(About::from_name("refund"), Some(About::Refund));
    assert_eq!(Kind::from_name("luck"), None);
}
