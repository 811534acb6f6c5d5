//! The ledger's laws: whatever is captured and paid back in whatever pieces, no penny is left over or made up.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::refund::{ShareBalance, reserve};
use super::super::{IntentId, Shares, State};
use super::*;

fn gbp() -> Currency {
    "GBP".parse().unwrap()
}

fn seller(n: usize) -> SellerId {
    format!("seller-{n}").parse().unwrap()
}

fn post(balances: &mut BTreeMap<Account, i64>, entry: &Entry) {
    assert_eq!(entry.postings().iter().map(|posting| posting.amount_minor).sum::<i64>(), 0);
    for posting in entry.postings() {
        assert_ne!(posting.amount_minor, 0);
        *balances.entry(posting.account.clone()).or_default() += posting.amount_minor;
    }
}

/// A share per seller, and refunds as (which seller, how many thousandths of what is left).
fn sales() -> impl Strategy<Value = (Vec<i64>, u16, Vec<(usize, i64)>)> {
    (
        prop::collection::vec(1_i64..5_000_000, 1..12),
        0_u16..=10_000,
        prop::collection::vec((any::<usize>(), 0_i64..=1_000), 0..40),
    )
}

proptest! {
    #[test]
    fn prop_partial_refunds_then_the_rest_bring_every_account_back_to_zero((amounts, rate, pieces) in sales()) {
        let mut left: Vec<_> = amounts
            .iter()
            .enumerate()
            .map(|(n, &amount_minor)| ShareBalance {
                seller: seller(n),
                amount_minor,
                refunded_minor: 0,
                short_minor: 0,
                unpaid_minor: 0,
            })
            .collect();
        let shares: Vec<_> =
            left.iter().map(|share| Share { seller: share.seller.clone(), amount_minor: share.amount_minor }).collect();
        let total: i64 = amounts.iter().sum();
        let captured = State::Captured { intent: IntentId::new("pi_1") };
        let mut balances = BTreeMap::new();
        post(&mut balances, &capture(Money::new(total, gbp()), &shares, rate).unwrap());

        let rest = (0..left.len()).map(|n| (n, 1_000));
        for (n, thousandths) in pieces.into_iter().chain(rest) {
            let n = n % left.len();
            let amount_minor = (left[n].amount_minor - left[n].refunded_minor) * thousandths / 1_000;
            if amount_minor == 0 {
                continue;
            }
            let asked = Shares::new(vec![Share { seller: seller(n), amount_minor }]).unwrap();
            let lines = reserve(&captured, &left, rate, &asked).unwrap();
            post(&mut balances, &refund(gbp(), &lines).unwrap());
            left[n].refunded_minor += amount_minor;

            // At every moment a seller is owed what its share has left, less the commission on exactly that.
            for share in &left {
                let commission = |of: i64| i64::try_from(money::commission(of.unsigned_abs(), rate)).unwrap();
                let owed = share.amount_minor - commission(share.amount_minor)
                    - (share.refunded_minor - commission(share.refunded_minor));
                let account = Account::SellerPayable(share.seller.clone());
                prop_assert_eq!(-balances.get(&account).copied().unwrap_or_default(), owed);
            }
            let receivable: i64 = left.iter().map(|share| share.amount_minor - share.refunded_minor).sum();
            prop_assert_eq!(balances[&Account::PspReceivable], receivable);
        }
        prop_assert!(balances.values().all(|balance| *balance == 0), "{:?}", balances);
    }

    #[test]
    fn prop_a_capture_owes_each_seller_its_share_less_the_commission((amounts, rate, _) in sales()) {
        let shares: Vec<_> =
            amounts.iter().enumerate().map(|(n, &amount_minor)| Share { seller: seller(n), amount_minor }).collect();
        let total: i64 = amounts.iter().sum();
        let entry = capture(Money::new(total, gbp()), &shares, rate).unwrap();
        let mut balances = BTreeMap::new();
        post(&mut balances, &entry);
        prop_assert_eq!(balances[&Account::PspReceivable], total);
        for share in shares {
            let commission = i64::try_from(money::commission(share.amount_minor.unsigned_abs(), rate)).unwrap();
            let payable = balances.get(&Account::SellerPayable(share.seller)).copied().unwrap_or_default();
            prop_assert_eq!(payable, commission - share.amount_minor);
        }
    }
}

#[test]
fn shares_that_do_not_make_the_amount_are_not_booked() {
    let shares = [Share { seller: seller(1), amount_minor: 99 }];
    assert_eq!(capture(Money::new(100, gbp()), &shares, 1_000), Err(Unbalanced { sum_minor: 1 }));
}
