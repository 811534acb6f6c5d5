//! How money is booked: double entry, debits positive, credits negative, every entry sums to zero.
//!
//! A capture makes the provider owe us the amount, and us owe each seller its share less the commission. A refund books the
//! same the other way round, with the commission that was fixed when it was reserved.

use std::fmt;

use ids::SellerId;
use money::{Currency, Money};

use super::refund::RefundLine;
use super::share::Share;

/// An account of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What the provider owes us (an asset).
    PspReceivable,
    /// What we earned (revenue).
    CommissionRevenue,
    /// What we owe a seller (a liability).
    SellerPayable(SellerId),
}

impl fmt::Display for Account {
    /// The name in the store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PspReceivable => f.write_str("psp_receivable"),
            Self::CommissionRevenue => f.write_str("commission_revenue"),
            Self::SellerPayable(seller) => write!(f, "seller_payable:{seller}"),
        }
    }
}

/// One side of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: Account,
    /// Minor units: a debit is positive, a credit negative; never zero.
    pub amount_minor: i64,
}

/// A balanced entry in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    currency: Currency,
    postings: Vec<Posting>,
}

/// The postings do not sum to zero: the payment's shares do not make its amount. The store checks it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("postings sum to {sum_minor} minor units, not to zero")]
pub struct Unbalanced {
    /// The sum.
    pub sum_minor: i128,
}

impl Entry {
    fn new(currency: Currency, postings: impl IntoIterator<Item = Posting>) -> Result<Self, Unbalanced> {
        let postings: Vec<_> = postings.into_iter().filter(|posting| posting.amount_minor != 0).collect();
        let sum_minor = postings.iter().map(|posting| i128::from(posting.amount_minor)).sum();
        if sum_minor == 0 { Ok(Self { currency, postings }) } else { Err(Unbalanced { sum_minor }) }
    }

    /// The currency of every posting.
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// The sides, each account once, none of zero.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

/// The entry of a capture of `amount`, shared out as `shares` less the commission at `rate_basis_points`.
///
/// # Errors
/// [`Unbalanced`] when the shares do not make the amount.
pub fn capture(amount: Money, shares: &[Share], rate_basis_points: u16) -> Result<Entry, Unbalanced> {
    let mut commission_minor = 0;
    let mut postings = Vec::with_capacity(shares.len() + 2);
    postings.push(Posting { account: Account::PspReceivable, amount_minor: amount.minor_units() });
    for share in shares {
        let commission = money::commission(share.amount_minor.unsigned_abs(), rate_basis_points);
        // At most the share, which is an i64.
        let commission = i64::try_from(commission).unwrap_or(share.amount_minor);
        commission_minor += commission;
        let account = Account::SellerPayable(share.seller.clone());
        postings.push(Posting { account, amount_minor: commission - share.amount_minor });
    }
    postings.push(Posting { account: Account::CommissionRevenue, amount_minor: -commission_minor });
    Entry::new(amount.currency(), postings)
}

/// The entry of a refund: each seller and the commission give back their part, the provider owes us that much less.
///
/// # Errors
/// [`Unbalanced`] never, for the amounts are derived from the lines; checked all the same.
pub fn refund(currency: Currency, lines: &[RefundLine]) -> Result<Entry, Unbalanced> {
    let amount_minor: i64 = lines.iter().map(|line| line.amount_minor).sum();
    let commission_minor: i64 = lines.iter().map(|line| line.commission_minor).sum();
    let sellers = lines.iter().map(|line| Posting {
        account: Account::SellerPayable(line.seller.clone()),
        amount_minor: line.amount_minor - line.commission_minor,
    });
    let ours = [
        Posting { account: Account::CommissionRevenue, amount_minor: commission_minor },
        Posting { account: Account::PspReceivable, amount_minor: -amount_minor },
    ];
    Entry::new(currency, sellers.chain(ours))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
