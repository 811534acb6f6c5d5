//! The feed's tests read what a real server sends; these are the shapes that are hard to get it to send, and rubbish.
use proptest::prelude::*;

use super::*;

const RELATION: u32 = 7;

fn relation(columns: &[&str]) -> Vec<u8> {
    let mut message = vec![b'R'];
    message.extend(RELATION.to_be_bytes());
    message.extend(b"public\0cart_line\0d");
    message.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
    for column in columns {
        message.push(1);
        message.extend(column.as_bytes());
        message.extend([0; 9]);
    }
    message
}

fn row(kind: u8, tuples: &[(u8, &[Option<&str>])]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(RELATION.to_be_bytes());
    for (tag, values) in tuples {
        message.push(*tag);
        message.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in *values {
            match value {
                None => message.push(b'n'),
                Some(text) => {
                    message.push(b't');
                    message.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    message.extend(text.as_bytes());
                }
            }
        }
    }
    message
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.read(&relation(&["offer_id", "cart_id"])), Ok(Touched::Nothing));
    decoder
}

#[test]
fn a_row_names_its_cart_wherever_the_column_stands() {
    let (one, other) = (CartId::generate(), CartId::generate());
    let (one_text, other_text) = (one.to_string(), other.to_string());
    let (new, old) = ([Some("o"), Some(one_text.as_str())], [Some("o"), Some(other_text.as_str())]);
    let read = |message: &[u8]| decoder().read(message);
    assert_eq!(read(&row(b'I', &[(b'N', &new)])), Ok(Touched::Cart(one)));
    assert_eq!(read(&row(b'U', &[(b'K', &new), (b'N', &new)])), Ok(Touched::Cart(one)));
    assert_eq!(read(&row(b'U', &[(b'O', &old), (b'N', &new)])), Ok(Touched::Both(other, one)));
    assert_eq!(read(&row(b'D', &[(b'K', &old)])), Ok(Touched::Cart(other)));
}

#[test]
fn what_does_not_name_its_cart_may_be_any() {
    assert_eq!(decoder().read(&row(b'D', &[(b'K', &[Some("order"), None])])), Ok(Touched::Any));
    assert_eq!(decoder().read(&[b'T', 0, 0, 0, 1, 0, 0, 0, 0, 7]), Ok(Touched::Any));
}

#[test]
fn what_is_not_understood_is_said() {
    assert_eq!(Decoder::default().read(&row(b'I', &[])), Err(Malformed::UnknownRelation(RELATION)));
    assert_eq!(Decoder::default().read(&relation(&["order_id"])), Err(Malformed::NoColumn));
    assert_eq!(decoder().read(&row(b'I', &[(b'N', &[Some("o"), Some("no id")])])), Err(Malformed::NotAnId));
    assert_eq!(decoder().read(b"?"), Err(Malformed::UnknownTag(b'?')));
    assert_eq!(decoder().read(b""), Err(Malformed::Short));
    assert_eq!(decoder().read(&row(b'I', &[])), Err(Malformed::Short));
}

proptest! {
    #[test]
    fn prop_rubbish_and_cut_messages_never_panic(kind in prop::sample::select(b"RIUDTOYx".to_vec()), rest: Vec<u8>, cut in 0_usize..60) {
        let mut message = vec![kind];
        message.extend(rest);
        let _ = decoder().read(&message);
        let id = CartId::generate().to_string();
        let whole = row(b'U', &[(b'K', &[Some("o"), Some(&id)]), (b'N', &[Some("o"), Some(&id)])]);
        let _ = decoder().read(&whole[..cut.min(whole.len())]);
    }
}
