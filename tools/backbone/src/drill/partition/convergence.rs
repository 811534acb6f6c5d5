//! How long the regions take to become one again, watched in their stores.

use std::collections::BTreeSet;
use std::time::Duration;

use ids::{CartId, Region};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::audit::both::Both;
use crate::shared_cart::{LOOK_EVERY, Stored, StoredCarts, Stores, differing};

/// What was seen, in seconds, no finer than [`LOOK_EVERY`]; absent when it did not come within the time it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Convergence {
    /// From the heal until each region had seen every operation that the other had at the end of the cut.
    pub backlog_crossed_s: Option<f64>,
    /// From the heal until each cart had been seen identical in both regions, with the writers at work.
    pub each_cart_identical_s: Option<f64>,
    /// From the last acknowledged write until all carts were identical at once.
    pub all_identical_after_writers_s: Option<f64>,
}

/// Watches from the heal on, until everything of the cut has crossed and each cart has been identical once, or until `deadline`.
/// `frontier`: what each region held at the end of the cut. Returns when either was first seen, from the heal.
///
/// # Errors
/// A database does not answer.
pub async fn after_heal(
    stores: &mut Stores,
    ids: &[CartId],
    frontier: &Both<StoredCarts>,
    healed: Instant,
    deadline: Instant,
) -> anyhow::Result<(Option<Duration>, Option<Duration>)> {
    let (mut crossed, mut identical) = (None, None);
    let mut left: BTreeSet<CartId> = ids.iter().copied().collect();
    while (crossed.is_none() || identical.is_none()) && Instant::now() < deadline {
        let carts = stores.read().await?;
        let now = healed.elapsed();
        if crossed.is_none()
            && Region::ALL.into_iter().all(|region| has_seen(carts.of(region), frontier.of(region.peer())))
        {
            crossed = Some(now);
        }
        let unlike: BTreeSet<&CartId> = differing(ids, &carts).into_iter().collect();
        left.retain(|id| unlike.contains(id));
        if identical.is_none() && left.is_empty() {
            identical = Some(now);
        }
        sleep(LOOK_EVERY).await;
    }
    Ok((crossed, identical))
}

/// Whether a region has seen every operation that the other's carts had.
fn has_seen(ours: &StoredCarts, theirs: &StoredCarts) -> bool {
    theirs.iter().all(|(id, cart)| {
        let own = ours.get(id).and_then(Stored::past).unwrap_or_default();
        cart.past().is_some_and(|past| own.covers(&past))
    })
}
