//! Prices from decimal text to whole pence. No float touches them.

/// What a price's text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// Whole pence, more than zero.
    Pence(i64),
    /// Zero or less.
    NotPositive,
    /// More than nothing, less than a penny.
    BelowOnePenny,
    /// More than a penny, with a part of one left over.
    NotWholePence,
}

/// The text is not a decimal number, or does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a price: {0:?}")]
pub struct NotAPrice(String);

/// Reads pounds such as `2.55`, `18`, `0.001` or `-11062.06`.
///
/// # Errors
/// [`NotAPrice`] for any other text.
pub fn parse(text: &str) -> Result<Price, NotAPrice> {
    let refused = || NotAPrice(text.to_owned());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (pounds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if pounds.is_empty() || !all_digits(pounds) || !all_digits(fraction) {
        return Err(refused());
    }
    // A byte index is safe: everything is ASCII by now.
    let (two_digits, beyond) = fraction.split_at(fraction.len().min(2));
    let beyond_a_penny = beyond.bytes().any(|digit| digit != b'0');
    let pence: i64 = format!("{pounds}{two_digits:0<2}").parse().map_err(|_| refused())?;
    Ok(match (negative || (pence == 0 && !beyond_a_penny), beyond_a_penny) {
        (true, _) => Price::NotPositive,
        (false, false) => Price::Pence(pence),
        (false, true) if pence == 0 => Price::BelowOnePenny,
        (false, true) => Price::NotWholePence,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_price_is_told_apart() {
        for (text, price) in [
            ("2.55", Price::Pence(255)),
            ("2.5", Price::Pence(250)),
            ("18", Price::Pence(1_800)),
            ("0.01", Price::Pence(1)),
            ("1.100", Price::Pence(110)),
            ("13541.33", Price::Pence(1_354_133)),
            ("0.0", Price::NotPositive),
            ("0", Price::NotPositive),
            ("-11062.06", Price::NotPositive),
            ("-0.001", Price::NotPositive),
            ("0.001", Price::BelowOnePenny),
            ("1.005", Price::NotWholePence),
        ] {
            assert_eq!(parse(text), Ok(price), "{text}");
        }
    }

    #[test]
    fn rubbish_is_not_a_price() {
        for text in ["", "-", ".5", "1,5", "1.2.3", "1e3", "£1", " 1", "99999999999999999999", "é"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn prop_pence_survive_the_way_through_text(pence in 1..=i64::MAX / 2) {
            prop_assert_eq!(parse(&format!("{}.{:02}", pence / 100, pence % 100)), Ok(Price::Pence(pence)));
        }

        #[test]
        fn prop_no_text_panics(text in ".{0,30}") {
            let _ = parse(&text);
        }
    }
}
