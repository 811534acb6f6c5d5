//! What an authorisation asks for.

use std::fmt;

use ids::OrderId;
use money::{Currency, Money};
use sha2::{Digest, Sha256};

use super::share::Shares;

/// Longest card token, in bytes.
const CARD_TOKEN_BYTES_MAX: usize = 128;
/// A card number has 12 to 19 digits (ISO/IEC 7812).
const CARD_NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// The provider's token of a card. Prints as dots: it must not reach a log, a span or an event.
#[derive(Clone, PartialEq, Eq)]
pub struct CardToken(Box<str>);

impl CardToken {
    /// Checks a token's shape, as it may be stored; what comes in now has to pass [`text::card_token::check`] too.
    ///
    /// # Errors
    /// [`InvalidTerms::CardToken`] when it has no 1 to 128 characters of `A-Z a-z 0-9 _ -`, or is a bare card number, which
    /// must never come here.
    pub fn new(text: &str) -> Result<Self, InvalidTerms> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let shaped = (1..=CARD_TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let card_number = CARD_NUMBER_DIGITS.contains(&digits) && !text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if shaped && !card_number { Ok(Self(text.into())) } else { Err(InvalidTerms::CardToken) }
    }

    /// The token, for the provider alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardToken(…)")
    }
}

/// SHA-256 of what a request asks for: equal for a repeat, different for a reused key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsDigest(pub [u8; 32]);

impl TermsDigest {
    /// The digest of a refund request.
    pub fn of_refund(order: OrderId, shares: &Shares) -> Self {
        let mut hash = Sha256::new();
        hash.update(order.as_uuid().as_bytes());
        hash_shares(&mut hash, shares);
        Self(hash.finalize().into())
    }
}

/// What an authorisation asks for. The shares add up to the amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    currency: Currency,
    card: CardToken,
    shares: Shares,
}

/// Why a request is not [`Terms`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerms {
    /// Not the shape of a token.
    #[error(
        "must be a provider's token of 1 to {CARD_TOKEN_BYTES_MAX} characters of A-Z a-z 0-9 _ -, never a card number"
    )]
    CardToken,
    /// The parts do not make the whole.
    #[error("the shares add up to {shares_minor}, not to the amount of {amount_minor}")]
    SharesDoNotSumToAmount {
        /// The amount, in minor units.
        amount_minor: i64,
        /// The sum of the shares, in minor units.
        shares_minor: i64,
    },
}

impl Terms {
    /// Checks that the parts belong together.
    ///
    /// # Errors
    /// [`InvalidTerms::SharesDoNotSumToAmount`].
    pub fn new(amount: Money, card: CardToken, shares: Shares) -> Result<Self, InvalidTerms> {
        if shares.total_minor() != amount.minor_units() {
            return Err(InvalidTerms::SharesDoNotSumToAmount {
                amount_minor: amount.minor_units(),
                shares_minor: shares.total_minor(),
            });
        }
        Ok(Self { currency: amount.currency(), card, shares })
    }

    /// The whole amount; positive.
    pub fn amount(&self) -> Money {
        Money::new(self.shares.total_minor(), self.currency)
    }

    /// The card.
    pub const fn card(&self) -> &CardToken {
        &self.card
    }

    /// Who earns it.
    pub const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Equal for a repeat of the request, different for other terms under the same order.
    pub fn digest(&self) -> TermsDigest {
        let mut hash = Sha256::new();
        hash.update(self.currency.code());
        hash_text(&mut hash, self.card.expose());
        hash_shares(&mut hash, &self.shares);
        TermsDigest(hash.finalize().into())
    }
}

/// Length first, so that no two lists of texts hash alike.
fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

fn hash_shares(hash: &mut Sha256, shares: &Shares) {
    for share in shares.iter() {
        hash_text(hash, share.seller.as_str());
        hash.update(share.amount_minor.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::share::Share;
    use super::*;

    fn terms(currency: &str, card: &str, shares: &[(&str, i64)]) -> Terms {
        let shares: Vec<_> = shares
            .iter()
            .map(|(seller, amount_minor)| Share { seller: seller.parse().unwrap(), amount_minor: *amount_minor })
            .collect();
        let shares = Shares::new(shares).unwrap();
        let amount = Money::new(shares.total_minor(), currency.parse().unwrap());
        Terms::new(amount, CardToken::new(card).unwrap(), shares).unwrap()
    }

    #[test]
    fn the_digest_tells_a_repeat_from_other_terms() {
        let first = terms("GBP", "tok_visa", &[("a", 1), ("b", 2)]).digest();
        assert_eq!(terms("GBP", "tok_visa", &[("b", 2), ("a", 1)]).digest(), first, "order of shares means nothing");
        for other in [
            terms("EUR", "tok_visa", &[("a", 1), ("b", 2)]),
            terms("GBP", "tok_other", &[("a", 1), ("b", 2)]),
            terms("GBP", "tok_visa", &[("a", 2), ("b", 1)]),
            terms("GBP", "tok_visa", &[("a", 3)]),
        ] {
            assert_ne!(other.digest(), first, "{other:?}");
        }
    }

    #[test]
    fn a_card_number_is_no_token_and_a_token_is_never_printed() {
        for refused in ["", "4242424242424242", "4242-4242-4242-4242", "tok visa", "tok_é", &"x".repeat(129)] {
            assert_eq!(CardToken::new(refused), Err(InvalidTerms::CardToken), "{refused:?}");
        }
        let printed = format!("{:?}", terms("GBP", "tok_visa", &[("a", 1)]));
        assert!(!printed.contains("tok_visa"), "{printed}");
    }

    #[test]
    fn shares_must_make_the_amount() {
        let shares = terms("GBP", "tok_visa", &[("a", 2)]).shares().clone();
        let refused = Terms::new(Money::new(3, "GBP".parse().unwrap()), CardToken::new("tok_visa").unwrap(), shares);
        assert_eq!(refused, Err(InvalidTerms::SharesDoNotSumToAmount { amount_minor: 3, shares_minor: 2 }));
    }
}
