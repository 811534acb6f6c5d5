//! Who says so and why, as a person types it beside a command: it is kept for good.
//!
//! The rules are those of the edges. Where a service keeps it, that service asks them again, and its bounds may be narrower.

use anyhow::{Context as _, Result};

/// Longest reason and name, in characters: what the databases keep.
const REASON_CHARS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 100;

/// The name that was given as `--{flag}`, without the blanks around it.
///
/// # Errors
/// It is not one that people can read, or it is a card's number; says what would be right and nothing of what was typed.
pub(crate) fn name<'a>(flag: &str, typed: &'a str) -> Result<&'a str> {
    checked(typed, NAME_CHARS_MAX, || format!("--{flag} says who decides; nothing was done"))
}

/// The reason that was given as `--reason`, without the blanks around it.
///
/// # Errors
/// As [`name`].
pub(crate) fn reason(typed: &str) -> Result<&str> {
    checked(typed, REASON_CHARS_MAX, || "--reason says why, and is kept for good; nothing was done".to_owned())
}

fn checked(typed: &str, chars_max: usize, what: impl FnOnce() -> String) -> Result<&str> {
    let typed = typed.trim();
    text::check(typed, 1, chars_max).map_err(|illegible| anyhow::anyhow!("it {illegible}")).with_context(what)?;
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_says_is_taken_without_the_blanks_around_it() {
        assert_eq!(reason(" seen to by hand, ticket 4711 ").unwrap(), "seen to by hand, ticket 4711");
        assert_eq!(name("by", "Zoë").unwrap(), "Zoë");
        reason(&"é".repeat(REASON_CHARS_MAX)).unwrap();
    }

    #[test]
    fn what_nobody_can_read_or_nobody_may_keep_is_refused_and_not_repeated() {
        for (typed, right) in [
            ("", "must be 1 to 1000 characters"),
            ("  ", "must be 1 to 1000 characters"),
            ("\u{200b}\u{feff}", "a character that can be seen"),
            ("paid \u{202e}ton", "turns the direction of writing"),
            ("two\nlines", "none of them a control character"),
            (&"x".repeat(REASON_CHARS_MAX + 1), "must be 1 to 1000 characters"),
            ("card 4242 4242 4242 4242 was charged", "must not have a card number in it"),
        ] {
            let refused = format!("{:#}", reason(typed).unwrap_err());
            assert!(refused.starts_with("--reason says why") && refused.contains(right), "{typed:?}: {refused}");
            assert!(!refused.contains("4242"), "{refused}");
        }
        for typed in ["", "\u{2060}", "4242424242424242", &"x".repeat(NAME_CHARS_MAX + 1)] {
            let refused = format!("{:#}", name("operator", typed).unwrap_err());
            assert!(refused.starts_with("--operator says who"), "{typed:?}: {refused}");
        }
    }
}
