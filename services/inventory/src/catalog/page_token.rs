//! Where the next page of offers begins.
//!
//! Opaque to clients and checked when it comes back. It names the last offer of the page before, not a count of offers, so
//! that offers added or removed meanwhile neither repeat nor hide a row.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ids::OfferId;

/// Names the list and the version of the token, so that a token of another list is refused.
const PREFIX: &str = "offers.1:";

/// The token is not one that this list gave out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_page_token of a page of offers")]
pub struct InvalidPageToken;

/// The token of the page that follows `last`.
pub fn encode(last: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{PREFIX}{last}"))
}

/// The last offer of the page before; `None` for the first page.
pub fn decode(token: &str) -> Result<Option<OfferId>, InvalidPageToken> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidPageToken)?;
    let text = String::from_utf8(bytes).map_err(|_| InvalidPageToken)?;
    let last = text.strip_prefix(PREFIX).ok_or(InvalidPageToken)?;
    last.parse().map(Some).map_err(|_| InvalidPageToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_rubbish_is_refused() {
        let last: OfferId = "85123A-255".parse().unwrap();
        assert_eq!(decode(&encode(&last)), Ok(Some(last)));
        assert_eq!(decode(""), Ok(None));
        for rubbish in
            ["x", "85123A-255", "é", &URL_SAFE_NO_PAD.encode("orders.1:a"), &URL_SAFE_NO_PAD.encode("offers.1:")]
        {
            assert_eq!(decode(rubbish), Err(InvalidPageToken), "{rubbish:?}");
        }
    }
}
