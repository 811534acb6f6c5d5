//! What a session token must withstand.
use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> SessionKey {
    SessionKey::from_hex(&hex::encode([byte; KEY_BYTES])).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[test]
fn what_we_minted_is_good_until_the_second_it_expires() {
    let customer = CustomerId::generate();
    let token = mint(&key(1), customer, at(1_000));
    assert_eq!(verify(&key(1), &token, at(999)), Ok(Session { customer, ends_at: at(1_000) }));
    assert_eq!(verify(&key(1), &token, at(1_000)), Err(InvalidSession::Expired));
}

#[test]
fn another_key_did_not_sign_it() {
    let token = mint(&key(1), CustomerId::generate(), at(1_000));
    assert_eq!(verify(&key(2), &token, at(0)), Err(InvalidSession::Forged));
}

#[test]
fn an_expired_forgery_is_a_forgery() {
    let token = mint(&key(1), CustomerId::generate(), at(0));
    assert_eq!(verify(&key(2), &token, at(1)), Err(InvalidSession::Forged));
}

#[test]
fn a_longer_life_is_a_forgery() {
    let customer = CustomerId::generate();
    let short = mint(&key(1), customer, at(10));
    let long = mint(&key(2), customer, at(10) + TimeDelta::days(9));
    let spliced = format!("{}.{}", long.rsplit_once('.').unwrap().0, short.rsplit_once('.').unwrap().1);
    assert_eq!(verify(&key(1), &spliced, at(0)), Err(InvalidSession::Forged));
}

#[test]
fn rubbish_is_malformed() {
    let good = mint(&key(1), CustomerId::generate(), at(1_000));
    let padded = format!("{good}=");
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned();
    let later_version = good.replacen("v1", "v2", 1);
    for token in ["", ".", "..", "v1..", "v1.é.é", &padded, &unsigned, &later_version, &good.replace('.', "")] {
        assert_eq!(verify(&key(1), token, at(0)), Err(InvalidSession::Malformed), "{token:?}");
    }
}

#[test]
fn keys_of_the_wrong_length_or_alphabet_are_refused() {
    for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
        assert!(SessionKey::from_hex(text).is_err(), "{text:?}");
    }
    assert!(SessionKey::from_hex(&format!("{}\n", "0f".repeat(32))).is_ok());
}

#[test]
fn the_key_is_not_printed() {
    assert_eq!(format!("{:?}", key(0x5a)), "SessionKey(secret)");
}

proptest! {
    #[test]
    fn prop_no_changed_character_goes_unnoticed(position in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=-]") {
        let token = mint(&key(1), CustomerId::from_uuid(Uuid::nil()), at(1_000));
        let position = position.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(position..=position, &other);
        prop_assume!(changed != token);
        prop_assert!(verify(&key(1), &changed, at(0)).is_err());
    }

    #[test]
    fn prop_arbitrary_text_never_panics(text in "\\PC{0,120}") {
        prop_assert!(verify(&key(1), &text, at(0)).is_err());
    }
}
