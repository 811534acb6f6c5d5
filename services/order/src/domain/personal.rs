//! What must not leave the order's own rows: it prints as a placeholder, so no log line or span can carry it by accident.

use std::fmt;

/// The provider's token of a card. Not a card number, but good for a charge.
#[derive(Clone, PartialEq, Eq)]
pub struct CardToken(String);

impl CardToken {
    /// Wraps a token whose length the edge has checked, or that the store gave back.
    pub const fn new(token: String) -> Self {
        Self(token)
    }

    /// The token, for the payment service and the store only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardToken(redacted)")
    }
}

/// Where the goods go. Every part but the country may be empty.
#[derive(Clone, PartialEq, Eq)]
pub struct DeliveryAddress {
    /// Who receives it.
    pub recipient: String,
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// Country, as the shopper wrote it.
    pub country: String,
}

impl fmt::Debug for DeliveryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryAddress(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_prints_what_it_holds() {
        let token = CardToken::new("tok_visa".to_owned());
        let address = DeliveryAddress {
            recipient: "Ada".to_owned(),
            street: "St James's Square 12".to_owned(),
            city: "London".to_owned(),
            postal_code: "SW1Y".to_owned(),
            country: "United Kingdom".to_owned(),
        };
        assert_eq!(format!("{token:?} {address:?}"), "CardToken(redacted) DeliveryAddress(redacted)");
    }
}
