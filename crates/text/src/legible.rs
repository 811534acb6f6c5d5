//! Text that people will read: titles, addresses, reasons.

use std::fmt;

use super::card_number;

/// Why a text is refused. It says what would be right, and nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Illegible {
    /// Too short, too long, or with characters in it that do more than show.
    #[error("must be {min} to {max} characters, none of them a control character or one that turns the direction of writing{}", Visible(*.min))]
    OutOfBounds {
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
    },
    /// There is nothing to see in it.
    #[error("must have a character that can be seen{}", OrEmpty(*.min))]
    Invisible {
        /// Fewest characters.
        min: usize,
    },
    /// It has a card number in it.
    #[error("must not have a card number in it")]
    CardNumber,
}

/// Whether `text` has `min` to `max` characters that people can read. A text may be empty if `min` is 0; one that is not empty has
/// something to see in it.
///
/// # Errors
/// [`Illegible`].
pub fn check(text: &str, min: usize, max: usize) -> Result<(), Illegible> {
    if !(min..=max).contains(&text.chars().count()) || text.chars().any(garbles) {
        return Err(Illegible::OutOfBounds { min, max });
    }
    if !text.is_empty() && !text.chars().any(is_visible) {
        return Err(Illegible::Invisible { min });
    }
    if card_number::is_in(text) { Err(Illegible::CardNumber) } else { Ok(()) }
}

/// Whether the character changes what stands around it: a control character (Postgres cannot even store NUL), a break of the line, or an
/// embedding, override or isolate of the direction of writing (UAX 9), by which "exe.gpj" reads as "jpg.exe". The marks that Arabic
/// and Hebrew text needs (U+200E, U+200F, U+061C) are none of these.
fn garbles(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !is_invisible(c)
}

/// What Unicode calls ignorable by default, the fillers and joiners, and the blanks that are no white space. Between other characters they
/// may have a meaning (in Persian, in emoji); alone they show nothing.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Said of a text that must be there.
struct Visible(usize);

impl fmt::Display for Visible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { f.write_str(", at least one that can be seen") }
    }
}

/// Said of a text that need not be there.
struct OrEmpty(usize);

impl fmt::Display for OrEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str(", or be empty") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_nothing_but_what_is_not_seen_is_no_text() {
        for blank in [
            " ",
            "\u{a0}",
            "\u{200b}",
            "\u{feff}",
            "\u{3164}",
            "\u{2800}",
            "\u{ad}",
            "\u{200d}\u{fe0f}",
            "\u{202f}",
            "\u{e0041}",
            "\u{3000}\u{115f}",
        ] {
            assert_eq!(check(blank, 1, 64), Err(Illegible::Invisible { min: 1 }), "{blank:?}");
            assert_eq!(check(blank, 0, 64), Err(Illegible::Invisible { min: 0 }), "{blank:?}");
        }
        assert_eq!(check("", 0, 64), Ok(()));
    }

    #[test]
    fn what_garbles_the_text_around_it_is_refused() {
        let out_of_bounds = Err(Illegible::OutOfBounds { min: 1, max: 64 });
        for text in
            ["", "Fr\nance", "nul\0", "\u{202e}ecnarF", "a\u{2066}b", "a\u{2029}b", "\u{9b}31m", &"é".repeat(65)]
        {
            assert_eq!(check(text, 1, 64), out_of_bounds, "{text:?}");
        }
    }

    #[test]
    fn every_script_can_be_written() {
        let long = "é".repeat(64);
        for text in [
            "France",
            "日本",
            "ایران می\u{200c}خواهم",
            "ישראל\u{200f}",
            "🇫🇷",
            "👩\u{200d}👩\u{200d}👧",
            "한국",
            "-",
            &long,
        ] {
            assert_eq!(check(text, 1, 64), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_card_number_is_refused_and_not_repeated() {
        let refused = check("4242 4242 4242 4242", 0, 64).unwrap_err();
        assert_eq!(refused, Illegible::CardNumber);
        assert!(!refused.to_string().contains("4242"));
    }
}
