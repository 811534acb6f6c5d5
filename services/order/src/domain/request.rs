//! What a client asks for, checked at the edge, and the digest that tells a repeat from another request under the same key.

use ids::{CartId, CustomerId, IdempotencyKey, OrderId};
use money::Money;
use sha2::{Digest as _, Sha256};

use super::{CardToken, DeliveryAddress, ReturnLine};

/// A request to order a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceRequest {
    /// Who orders.
    pub customer: CustomerId,
    /// The client's key, unique per customer.
    pub idempotency_key: IdempotencyKey,
    /// The cart.
    pub cart: CartId,
    /// The version of the cart that the shopper saw; opaque here.
    pub cart_version: String,
    /// What pays.
    pub card_token: CardToken,
    /// Where it goes.
    pub delivery: DeliveryAddress,
    /// What the shopper was shown that it costs, if the client says.
    pub expected_total: Option<Money>,
}

/// A request to send units of an order back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnRequest {
    /// The order.
    pub order: OrderId,
    /// Whose order it is.
    pub customer: CustomerId,
    /// The client's key, unique per order.
    pub idempotency_key: IdempotencyKey,
    /// What comes back, each offer once.
    pub lines: Vec<ReturnLine>,
}

/// SHA-256 over the meaning of a request, without its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// The bytes, for the store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is the digest that was stored.
    pub fn is(&self, stored: &[u8]) -> bool {
        self.0 == stored
    }

    /// Each field goes in with its length, so that no two lists of fields read the same.
    fn of<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for field in fields {
            // A field is at most a message long: it fits u64 on every machine there is.
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }
}

impl PlaceRequest {
    /// The digest. The leading name carries the version of this list of fields: stored digests are compared with it.
    pub fn digest(&self) -> RequestDigest {
        let total = self.expected_total.map(|total| format!("{} {}", total.minor_units(), total.currency()));
        let cart = self.cart.as_uuid();
        let fields = [
            b"place.1".as_slice(),
            cart.as_bytes(),
            self.cart_version.as_bytes(),
            self.card_token.reveal().as_bytes(),
            self.delivery.recipient.as_bytes(),
            self.delivery.street.as_bytes(),
            self.delivery.city.as_bytes(),
            self.delivery.postal_code.as_bytes(),
            self.delivery.country.as_bytes(),
        ];
        // A request without a total keeps the digest that it had before there was one.
        RequestDigest::of(fields.into_iter().chain(total.as_ref().map(String::as_bytes)))
    }
}

impl ReturnRequest {
    /// The digest; the order of the lines does not matter.
    pub fn digest(&self) -> RequestDigest {
        let mut lines: Vec<_> =
            self.lines.iter().map(|line| (line.offer.as_str(), line.quantity.to_be_bytes())).collect();
        lines.sort_unstable();
        let fields = lines.iter().flat_map(|(offer, quantity)| [offer.as_bytes(), quantity.as_slice()]);
        RequestDigest::of(std::iter::once(b"return.1".as_slice()).chain(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_part_of_what_is_asked_and_its_absence_is_not() {
        let request = |expected_total| PlaceRequest {
            customer: CustomerId::generate(),
            idempotency_key: "key".parse().unwrap(),
            cart: CartId::from_uuid(uuid::Uuid::from_u128(1)),
            cart_version: "v".to_owned(),
            card_token: CardToken::new("tok_visa".to_owned()),
            delivery: DeliveryAddress {
                recipient: String::new(),
                street: String::new(),
                city: String::new(),
                postal_code: String::new(),
                country: "France".to_owned(),
            },
            expected_total,
        };
        let gbp = |minor| Some(Money::new(minor, "GBP".parse().unwrap()));
        let digest = |total| request(total).digest();
        assert_ne!(digest(None), digest(gbp(0)));
        assert_ne!(digest(gbp(500)), digest(gbp(501)));
        assert_eq!(digest(gbp(500)), digest(gbp(500)));
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let digest = |fields: [&[u8]; 2]| RequestDigest::of(fields);
        assert_ne!(digest([b"ab", b"c"]), digest([b"a", b"bc"]));
        assert_ne!(digest([b"", b"abc"]), digest([b"abc", b""]));
    }
}
