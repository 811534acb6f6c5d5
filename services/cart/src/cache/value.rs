//! A visible cart as it lies in the cache.

use std::time::Duration;

use contracts::cart::v1::Cart;
use ids::{CartId, CustomerId};
use prost::Message as _;
use uuid::Uuid;

/// The layout below. Another layout, or one more field of the cart, takes another number: processes of two versions share one cache.
const LAYOUT: u8 = 2;
/// A longer cart is not kept: it would push out a hundred others. By the limits of a line that is some 1,500 of them.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// What a reader of a cart needs: what to show, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Visible {
    /// Who may see it.
    pub owner_id: CustomerId,
    /// What they see.
    pub cart: Cart,
}

/// Layout, owner (16 bytes), time the load took (microseconds, 4 bytes, big-endian), the cart as protobuf.
pub(super) fn encode(visible: &Visible, load_time: Duration) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(21 + visible.cart.encoded_len());
    bytes.push(LAYOUT);
    bytes.extend(visible.owner_id.as_uuid().as_bytes());
    bytes.extend(u32::try_from(load_time.as_micros()).unwrap_or(u32::MAX).to_be_bytes());
    // Writing to a Vec does not run out of room.
    let _ = visible.cart.encode(&mut bytes);
    bytes
}

/// The value that lies under `cart_id` and how long its load took; `None` when it is not one of ours.
pub(super) fn decode(cart_id: CartId, bytes: &[u8]) -> Option<(Visible, Duration)> {
    let (layout, rest) = bytes.split_first()?;
    let (owner_id, rest) = rest.split_first_chunk()?;
    let (load_us, cart) = rest.split_first_chunk()?;
    if *layout != LAYOUT {
        return None;
    }
    let owner_id = CustomerId::from_uuid(Uuid::from_bytes(*owner_id));
    let cart = Cart::decode(cart).ok()?;
    let load_time = Duration::from_micros(u32::from_be_bytes(*load_us).into());
    (cart.cart_id == cart_id.to_string()).then_some((Visible { owner_id, cart }, load_time))
}

#[cfg(test)]
mod tests {
    use contracts::cart::v1::CartLine;
    use proptest::prelude::*;

    use super::*;

    fn cart(cart_id: CartId, quantity: i64) -> Cart {
        let line = CartLine { offer_id: "mug".to_owned(), quantity, ..CartLine::default() };
        Cart {
            cart_id: cart_id.to_string(),
            version: "v".to_owned(),
            lines: vec![line],
            total: None,
            ordered_twice: Vec::new(),
            delivery_addresses: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn prop_what_went_in_comes_out(quantity: i64, load_us: u32) {
            let (cart_id, load_time) = (CartId::generate(), Duration::from_micros(load_us.into()));
            let visible = Visible { owner_id: CustomerId::generate(), cart: cart(cart_id, quantity) };
            let bytes = encode(&visible, load_time);
            prop_assert_eq!(decode(CartId::generate(), &bytes), None, "another cart's value");
            prop_assert_eq!(decode(cart_id, &bytes), Some((visible, load_time)));
        }

        #[test]
        fn prop_rubbish_is_refused_and_never_panics(bytes: Vec<u8>, cut in 0_usize..40) {
            prop_assert_eq!(decode(CartId::generate(), &bytes), None);
            let cart_id = CartId::generate();
            let visible = Visible { owner_id: CustomerId::generate(), cart: cart(cart_id, 1) };
            let whole = encode(&visible, Duration::ZERO);
            prop_assert_eq!(decode(cart_id, &whole[..cut.min(20)]), None);
        }
    }

    #[test]
    fn another_layout_is_refused() {
        let cart_id = CartId::generate();
        let mut bytes = encode(&Visible { owner_id: CustomerId::generate(), cart: cart(cart_id, 1) }, Duration::ZERO);
        bytes[0] = LAYOUT + 1;
        assert_eq!(decode(cart_id, &bytes), None);
    }
}
