//! Who has the order.

use anyhow::bail;
use ids::{OrderId, Region};
use uuid::Uuid;

use super::databases::{cart, order};
use super::gather::Lost;
use super::wanted::Wanted;
use crate::audit::sources::database::snapshot;
use crate::platform::Layout;

/// Orders named when an id is cut too short.
const NAMED_MAX: usize = 10;

/// An order, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: Uuid,
    /// Whose rows are told.
    pub home: Region,
    /// Another region that has an order under this id. None may.
    pub also_in: Option<Region>,
}

/// The one order that begins as asked.
///
/// # Errors
/// There is none, there are several, or none is found and a region's orders cannot be read.
pub async fn find(layout: &Layout, wanted: &Wanted) -> anyhow::Result<Found> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for region in Region::ALL {
        let read = snapshot(layout, region, "order", async |conn| {
            order::find(conn, wanted.first, wanted.last, NAMED_MAX as i64 + 1).await
        });
        let ids = Lost(&mut unread).unless(read.await);
        found.extend(ids.into_iter().map(|id| (region, id)));
    }
    match found.as_slice() {
        [(home, id)] => Ok(Found { id: *id, home: *home, also_in: None }),
        [(one, id), (other, same)] if id == same => Ok(in_both(*id, *one, *other)),
        [] if unread.is_empty() => bail!("there is no order {wanted} in either region; {}", hint(layout, wanted).await),
        [] => bail!("no order {wanted} was found, but not everything could be read: {}", unread.join("; ")),
        several => {
            let shown = several.iter().take(NAMED_MAX).map(|(region, id)| format!("\n  {id} ({region})"));
            let more = if several.len() > NAMED_MAX { "\n  …" } else { "" };
            bail!("{wanted} begins several orders; write more of the id:{}{more}", shown.collect::<String>())
        }
    }
}

/// An order that both regions have. An id of before ids named a home is told as the first region has it.
fn in_both(id: Uuid, one: Region, other: Region) -> Found {
    let is_home = |region: Region| OrderId::from_uuid(id).home() == Some(region);
    let (home, also_in) = if is_home(other) { (other, one) } else { (one, other) };
    Found { id, home, also_in: Some(also_in) }
}

/// What to do about an order that is not there.
async fn hint(layout: &Layout, wanted: &Wanted) -> String {
    for region in Region::ALL {
        let checkout = snapshot(layout, region, "cart", async |conn| cart::read(conn, wanted.first).await).await;
        if let Ok(Some(checkout)) = checkout {
            return format!(
                "the {region} cart has a checkout for it, which is {}: its request died before the order was stored, and the \
                 cart puts the lines back after some minutes",
                checkout.state
            );
        }
    }
    "an order's id is in the answer to POST /v1/orders, in GET /v1/orders, and in log lines about it (backbone logs order)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_in_both_regions_is_told_by_its_home() {
        for home in Region::ALL {
            let id = OrderId::generate_in(home).as_uuid();
            let found = in_both(id, Region::East, Region::West);
            assert_eq!((found.home, found.also_in), (home, Some(home.peer())));
        }
    }
}
