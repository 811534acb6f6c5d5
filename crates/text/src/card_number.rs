//! Numbers of payment cards, wherever people type them.
//!
//! Background: who stores a card number, be it in a log, a row or an error message, is under the card industry's rules for all that
//! touches it. The system takes tokens only, so a card number is always a mistake, and the only right place for it is none.
//!
//! A card number is 13 to 19 digits that begin as issuers' numbers do (ISO/IEC 7812-1). People group the digits with spaces, dashes,
//! dots or whatever is no letter, and write something before and after. Nearly all cards have 15 or 16 digits, and little else has: such a number counts whether
//! or not it satisfies Luhn's check, since one that is mistyped tells nearly as much, and since a client whose numbers are refused finds
//! out at the first one and not at the tenth. Of other lengths are barcodes and parcels too: there the check must be satisfied. What
//! keeps identifiers out is that a UUID, and a word of hexadecimal digits, is none, and that no issuer begins with the digits of a date
//! or a time of this century.

use std::ops::RangeInclusive;

const DIGITS: RangeInclusive<usize> = 13..=19;
/// As many as nearly every card has.
const USUAL: RangeInclusive<usize> = 15..=16;
/// Digits that one span may have at most: what is longer cannot be a card number, and a search stays linear.
const DIGITS_MAX: usize = 19;
/// Characters between two groups of digits: "4242 - 4242".
const BETWEEN_MAX: usize = 3;
/// A word of hexadecimal digits that is so long is a digest or an identifier.
const HEX_WORD_MIN: usize = 16;
/// Characters of a UUID with its dashes.
const UUID_CHARS: usize = 36;
/// What stands for a card number that was taken out.
const REDACTED: &str = "[card number]";

/// Whether a card number stands anywhere in `text`.
pub fn is_in(text: &str) -> bool {
    // Nearly every text ends here.
    text.chars().filter(|c| digit(*c).is_some()).nth(DIGITS.start() - 1).is_some() && first(text).is_some()
}

/// `text` without the card numbers in it: for what is said about a text that was refused.
pub fn redacted(text: &str) -> String {
    let mut rest = text;
    let mut told = String::with_capacity(text.len());
    while let Some((begin, end)) = first(rest) {
        told.push_str(&rest[..begin]);
        told.push_str(REDACTED);
        rest = &rest[end..];
    }
    told.push_str(rest);
    told
}

/// A character and where it stands.
type Placed = (usize, char);

/// Where the first card number begins and ends, in bytes.
fn first(text: &str) -> Option<(usize, usize)> {
    let chars: Vec<Placed> = text.char_indices().collect();
    let skipped = identifiers(&chars);
    let mut at = 0;
    while at < chars.len() {
        let begins_group =
            digit_at(&chars, &skipped, at).is_some() && (at == 0 || digit_at(&chars, &skipped, at - 1).is_none());
        if begins_group && let Some(end) = number_from(&chars, &skipped, at) {
            return Some((chars[at].0, chars.get(end).map_or(text.len(), |(byte, _)| *byte)));
        }
        at += 1;
    }
    None
}

/// Where the card number ends that begins with the group of digits at `begin`: it is whole groups.
fn number_from(chars: &[Placed], skipped: &[bool], begin: usize) -> Option<usize> {
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    let mut between = 0;
    let mut at = begin;
    loop {
        match digit_at(chars, skipped, at) {
            Some(digit) => {
                between = 0;
                digits.push(digit);
                if digits.len() > DIGITS_MAX {
                    return None;
                }
                if digit_at(chars, skipped, at + 1).is_none() && is_card_number(&digits) {
                    return Some(at + 1);
                }
            }
            None => {
                between += 1;
                let separates = chars.get(at).is_some_and(|(_, c)| is_separator(*c)) && !skipped[at];
                if !separates || between > BETWEEN_MAX {
                    return None;
                }
            }
        }
        at += 1;
    }
}

fn digit_at(chars: &[Placed], skipped: &[bool], at: usize) -> Option<u8> {
    let (_, c) = chars.get(at)?;
    if skipped[at] { None } else { digit(*c) }
}

/// The decimal digit that a keyboard of any of these scripts types.
fn digit(c: char) -> Option<u8> {
    const ZEROS: [char; 5] = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    let digit = ZEROS.iter().find_map(|zero| (c as u32).checked_sub(*zero as u32).filter(|digit| *digit < 10))?;
    u8::try_from(digit).ok()
}

/// What people, and programs that format for them, put between groups of digits: anything but letters and digits.
fn is_separator(c: char) -> bool {
    !c.is_alphanumeric() || super::legible::is_invisible(c)
}

/// Which characters belong to a UUID or to a word of hexadecimal digits.
fn identifiers(chars: &[Placed]) -> Vec<bool> {
    let mut skipped = vec![false; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        if at > 0 && chars[at - 1].1.is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let word = chars[at..].iter().take_while(|(_, c)| c.is_ascii_alphanumeric()).count();
        let length = if is_uuid(&chars[at..]) {
            UUID_CHARS
        } else if word >= HEX_WORD_MIN && is_hex_word(&chars[at..at + word]) {
            word
        } else {
            0
        };
        skipped[at..at + length].fill(true);
        at += length.max(1);
    }
    skipped
}

fn is_uuid(chars: &[Placed]) -> bool {
    let has_form = |(index, (_, c)): (usize, &Placed)| match index {
        8 | 13 | 18 | 23 => *c == '-',
        _ => c.is_ascii_hexdigit(),
    };
    chars.len() >= UUID_CHARS
        && chars.iter().take(UUID_CHARS).enumerate().all(has_form)
        && chars.get(UUID_CHARS).is_none_or(|(_, c)| !c.is_ascii_alphanumeric())
}

/// Of hexadecimal digits, at least one of them a letter.
fn is_hex_word(word: &[Placed]) -> bool {
    word.iter().all(|(_, c)| c.is_ascii_hexdigit()) && word.iter().any(|(_, c)| c.is_ascii_alphabetic())
}

fn is_card_number(digits: &[u8]) -> bool {
    DIGITS.contains(&digits.len()) && is_issued(digits) && (USUAL.contains(&digits.len()) || satisfies_luhn(digits))
}

/// Whether issuers' numbers begin like this. 0, 1 and most of 2, 7, 8 and 9 are nobody's that sells to people; dates and times begin so.
fn is_issued(digits: &[u8]) -> bool {
    let [tens, ones, ..] = digits else { return false };
    matches!(tens * 10 + ones, 22..=27 | 30..=69 | 81 | 86 | 97 | 98)
}

fn satisfies_luhn(digits: &[u8]) -> bool {
    let weighted = digits.iter().rev().enumerate().map(|(index, digit)| match (index % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, doubled @ 0..=9) => u32::from(doubled),
        (_, doubled) => u32::from(doubled - 9),
    });
    weighted.sum::<u32>() % 10 == 0
}

#[cfg(test)]
#[path = "card_number_tests.rs"]
mod tests;
