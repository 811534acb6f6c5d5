//! Card numbers, and what is none.
use proptest::prelude::*;

use super::*;

/// Numbers that payment providers publish for tests, one for each length and the larger schemes.
const PUBLISHED: [&str; 9] = [
    "4222222222222",
    "30569309025904",
    "378282246310005",
    "4242424242424242",
    "5555555555554444",
    "2223003122003222",
    "3530111333300000",
    "6011111111111117",
    "6304000000000000000",
];

#[test]
fn a_card_number_is_found_however_it_is_typed() {
    let found = [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242 - 4242 - 4242 - 4242",
        "4242.4242.4242.4242",
        "4242_4242_4242_4242",
        "card:4242,4242,4242,4242",
        "4242/4242|4242/4242",
        "3782 822463 10005",
        "4242\u{a0}4242\u{2011}4242\u{200b}4242",
        "\u{ff14}\u{ff12}\u{ff14}\u{ff12}4242 4242 4242",
        "please take 4242424242424242, 12/27",
        "flat 12, 4242 4242 4242 4242 12 27",
        "12 4242 4242 4242 4242",
        "card4242424242424242",
        "tok_4242424242424242",
        "order:4242424242424242/1",
        "{\"n\":4242424242424242}",
        // Mistyped, and so nearly a card's.
        "4242424242424241",
        "4929 1234 5678 9012",
        "378282246310006",
    ];
    for text in found {
        assert!(is_in(text), "{text:?}");
    }
    for number in PUBLISHED {
        assert!(is_in(number), "{number}");
    }
}

#[test]
fn other_numbers_and_identifiers_are_none() {
    let none = [
        "",
        "424242424242",
        // A barcode, and a number of a length that few cards have, which do not satisfy the check.
        "4006381333931",
        "42424242424242421",
        "42424242424242424242",
        "0000000000000000",
        // Times in milliseconds, dates, and a parcel's number.
        "1764300000005",
        "20261128123045",
        "2026-11-28-12-30-45",
        "+44 20 7946 0958",
        // Every digit decimal, and Luhn satisfied in the middle: still a UUID, and a digest.
        "42424242-4242-4242-8242-424242424242",
        "order:42424242-4242-4242-8242-424242424242:3",
        "a4242424242424242b4242424242424",
        "85123A-255",
    ];
    for text in none {
        assert!(!is_in(text), "{text:?}");
    }
}

#[test]
fn what_is_told_about_a_text_leaves_the_number_out() {
    let told = redacted("invalid type: integer `4242424242424242`, and 4242 4242 4242 4242 too");
    assert_eq!(told, "invalid type: integer `[card number]`, and [card number] too");
    assert_eq!(redacted("quantity: must be 1 to 10,000"), "quantity: must be 1 to 10,000");
}

/// The digits with the check digit that Luhn's rule asks for.
fn with_check_digit(mut digits: Vec<u8>) -> Vec<u8> {
    digits.push(0);
    let check = (0..10).find(|check| {
        *digits.last_mut().unwrap() = *check;
        satisfies_luhn(&digits)
    });
    *digits.last_mut().unwrap() = check.unwrap();
    digits
}

proptest! {
    #[test]
    fn prop_every_number_of_an_issuer_is_found_in_groups_of_any_size(
        first in 30_u8..70,
        more in prop::collection::vec(0_u8..10, 10..17),
        group in 1_usize..8,
        separator in prop::sample::select(vec!["", " ", "-", " - "]),
        around in "[xyz]{0,4}",
    ) {
        let digits = with_check_digit([vec![first / 10, first % 10], more].concat());
        let groups: Vec<String> =
            digits.chunks(group).map(|group| group.iter().map(|digit| char::from(b'0' + digit)).collect()).collect();
        let text = format!("{around}{}{around}", groups.join(separator));
        prop_assert!(is_in(&text), "{}", text);
        prop_assert!(!is_in(&redacted(&text)), "{}", text);
    }

    #[test]
    fn prop_any_text_is_read_to_its_end(text in "\\PC{0,80}") {
        prop_assert!(!is_in(&redacted(&text)) || text.contains("[card number]"), "{}", text);
    }

    #[test]
    fn prop_no_uuid_is_a_card_number(bytes in any::<u128>()) {
        let hex = format!("{bytes:032x}");
        let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        prop_assert!(!is_in(&uuid), "{}", uuid);
    }
}
