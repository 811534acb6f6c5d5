//! Three things to try once the system is up.

use ids::Region;

use crate::platform::Layout;

/// The lines, ready to paste into a shell.
pub fn first_steps(layout: &Layout) -> String {
    let (east, west) = (layout.bff(Region::East), layout.bff(Region::West));
    format!(
        r#"
try:
  curl -s 'http://{east}/v1/offers?page_size=3'
  TOKEN=$(curl -s -X POST http://{west}/v1/sessions | sed 's/.*"token":"\([^"]*\)".*/\1/'); echo "$TOKEN"
  curl -s -X POST http://{west}/v1/carts -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: my-first-cart"
"#
    )
}
