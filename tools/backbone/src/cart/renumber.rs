//! Giving a restored database of carts a number that was never used.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ids::Region;
use sqlx::PgConnection;

use super::connect;
use crate::platform::{self, Layout, PartName, Zone};

/// What carts are encoded as has room for replica numbers below this.
const NUMBERS_END: u8 = 16;
/// Marking a day of operations with the old number.
const RENUMBER_WITHIN: Duration = Duration::from_secs(600);

/// Renumbers the database of `region`, and restarts the service on it.
pub(super) async fn run(
    layout: &Layout,
    region: Region,
    to: Option<u8>,
    print: &(dyn Fn(&str) + Send + Sync),
) -> Result<()> {
    let mut here = connect(layout, region).await?;
    let ours =
        known(&mut here, region).await.with_context(|| format!("{region}'s database does not tell its number"))?;
    let theirs = match connect(layout, region.peer()).await {
        Ok(mut there) => Some(known(&mut there, region).await?),
        Err(error) if to.is_none() => {
            bail!(
                "{} cannot be asked which numbers it has seen of {region} ({error:#}): name one that was never used with --to",
                region.peer()
            )
        }
        Err(_) => None,
    };
    let number = choose(region, ours, theirs, to)?;
    let renumber = sqlx::query("select cart_renumber($1)").bind(i32::from(number)).execute(&mut here);
    tokio::time::timeout(RENUMBER_WITHIN, renumber)
        .await
        .context("the database did not renumber in time")?
        .context("the database refused")?;
    print(&format!(
        "{region}'s carts go on as replica {number}; what the database had forgotten comes from {}",
        region.peer()
    ));
    let part = PartName::new(Zone::Region(region), "cart");
    let runs = platform::status(layout).await?.iter().any(|status| status.name == part && status.pid.is_some());
    if runs {
        // It ends by itself as well, when it notices; nobody need wait for that.
        platform::restart(layout, &part, false, print, |_| {}).await?;
    }
    Ok(())
}

/// The highest number of `region` that a database has seen: as its own, as the author of a log, or of a checkout.
async fn known(connection: &mut PgConnection, region: Region) -> Result<i32> {
    let highest: i32 = sqlx::query_scalar(
        "select greatest($1,
             (select coalesce(max(greatest(replica, (select max(former_one) from unnest(former) former_one))), 0)
              from cart_log where replica % 2 = $1 % 2),
             (select coalesce(max(replica), 0) from cart_replica where replica % 2 = $1 % 2),
             (select coalesce(max(origin), 0) from cart_checkout where origin % 2 = $1 % 2))::integer",
    )
    .bind(i32::from(region.replica()))
    .fetch_one(connection)
    .await?;
    Ok(highest)
}

/// The number to go on under: of the region's parity, and above every one that is known.
fn choose(region: Region, ours: i32, theirs: Option<i32>, to: Option<u8>) -> Result<u8> {
    let highest = ours.max(theirs.unwrap_or_default());
    let number = to.map_or(highest + 2, i32::from);
    if number <= highest || number % 2 != i32::from(region.replica()) % 2 {
        let parity = if region.replica() % 2 == 1 { "odd" } else { "even" };
        bail!("{region} needs an {parity} number above {highest}");
    }
    let number = u8::try_from(number).ok().filter(|number| *number < NUMBERS_END);
    number.with_context(|| format!("{region} has used up its numbers: {highest} was the last"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_is_of_the_regions_own_and_was_seen_by_nobody() {
        assert_eq!(choose(Region::East, 1, Some(1), None).unwrap(), 3);
        // Restored from a backup that is older than the last renumbering: the other region knows.
        assert_eq!(choose(Region::East, 1, Some(3), None).unwrap(), 5);
        assert_eq!(choose(Region::West, 2, None, Some(8)).unwrap(), 8);
        for (region, ours, theirs, to) in [
            (Region::East, 1, Some(3), Some(3)),
            (Region::East, 1, Some(1), Some(4)),
            (Region::West, 2, Some(2), Some(2)),
            (Region::East, 15, None, None),
            (Region::West, 14, Some(14), None),
        ] {
            assert!(choose(region, ours, theirs, to).is_err(), "{region} {ours} {theirs:?} {to:?}");
        }
    }
}
