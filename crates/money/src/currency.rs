//! ISO 4217 currencies that the marketplace trades in.

use std::fmt;
use std::str::FromStr;

/// A known ISO 4217 currency.
///
/// The list is what the marketplace supports, not all of ISO 4217: an offer in a currency that the payment provider was
/// never set up for must fail when it enters the catalogue, not when a shopper pays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    decimals: u8,
}

/// Alphabetic code and number of decimals, from ISO 4217 list one; sorted by code.
const CURRENCIES: [(&[u8; 3], u8); 14] = [
    (b"AUD", 2),
    (b"BHD", 3),
    (b"CAD", 2),
    (b"CHF", 2),
    (b"CZK", 2),
    (b"DKK", 2),
    (b"EUR", 2),
    (b"GBP", 2),
    (b"JPY", 0),
    (b"NOK", 2),
    (b"NZD", 2),
    (b"PLN", 2),
    (b"SEK", 2),
    (b"USD", 2),
];

/// The code is not one the marketplace trades in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown currency; use an upper-case ISO 4217 code that the marketplace trades in, such as GBP")]
pub struct UnknownCurrency;

impl Currency {
    /// The three-letter code.
    pub fn code(&self) -> &str {
        // The table holds ASCII only.
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Decimals of the major unit: 2 for GBP, 0 for JPY.
    pub const fn decimals(self) -> u32 {
        self.decimals as u32
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        CURRENCIES
            .iter()
            .find(|(known, _)| known.as_slice() == code.as_bytes())
            .map(|(known, decimals)| Self { code: **known, decimals: *decimals })
            .ok_or(UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_codes_parse() {
        assert_eq!("GBP".parse::<Currency>().unwrap().to_string(), "GBP");
        for unknown in ["", "gbp", "GBPP", "XXX", "£££"] {
            assert_eq!(unknown.parse::<Currency>(), Err(UnknownCurrency), "{unknown:?}");
        }
    }
}
