//! The payment provider's name for a card: good for a charge, worth nothing elsewhere.

use super::card_number;

const PREFIX: &str = "tok_";
/// Longest token, in bytes.
pub const BYTES_MAX: usize = 128;

/// The text is not a token. It says what would be one, and nothing of the text: that may be a card number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the payment provider's token of the card: {PREFIX} and then A-Z a-z 0-9 _ -, at most {BYTES_MAX} characters; never a card number"
)]
pub struct NotAToken;

/// Whether `text` has the form of a token.
///
/// # Errors
/// [`NotAToken`].
pub fn check(text: &str) -> Result<(), NotAToken> {
    let fits = text.len() <= BYTES_MAX
        && text.strip_prefix(PREFIX).is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        })
        && !card_number::is_in(text);
    if fits { Ok(()) } else { Err(NotAToken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_providers_form_and_hides_no_card_number() {
        for token in ["tok_visa", "tok_chargeDeclined", "tok_1Nk-X_9"] {
            assert_eq!(check(token), Ok(()), "{token}");
        }
        let long = format!("tok_{}", "x".repeat(125));
        for refused in [
            "",
            "tok_",
            "visa",
            "4242424242424242",
            "4242 4242 4242 4242",
            "tok_4242424242424242",
            "tok é",
            "tok_a b",
            &long,
        ] {
            assert_eq!(check(refused), Err(NotAToken), "{refused}");
        }
        assert!(!NotAToken.to_string().chars().any(|c| c.is_ascii_digit() && c == '4'));
    }
}
