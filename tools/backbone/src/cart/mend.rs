//! `backbone cart mend`: a cart of which a stored value does not decode.
//!
//! What it does is `cart::store::mend`: the same code that the service's tests hold against both regions. It goes into the databases as
//! superuser, since a cart that cannot be read is one that no service can change.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cart::store::mend::{Outcome, Plan, Record, StoredCart, Value, plan, read, write};
use ids::{CartId, Region};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::connect;
use crate::attribution;
use crate::audit::sources::carts::{Mend, mends};
use crate::platform::Layout;

/// For all that is asked of both databases. A cart has some thousand rows.
const MENDED_WITHIN: Duration = Duration::from_secs(30);
/// The exit status when something does not decode and was not mended.
const BROKEN_STATUS: u8 = 1;

/// Which cart, and who mends it why.
#[derive(Debug, clap::Args)]
pub(super) struct MendArgs {
    /// The cart.
    cart: CartId,
    /// The region whose rows are mended [default: each that has something to mend]
    #[arg(long)]
    region: Option<Region>,
    /// Do it. Without, it is only shown.
    #[arg(long, requires = "reason")]
    apply: bool,
    /// How the value came to be unreadable, or what else is to be known. It is kept with the mending; no names of shoppers.
    #[arg(long)]
    reason: Option<String>,
    /// Who says so.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

/// Shows, and mends if it is told to.
pub(super) async fn run(layout: &Layout, args: &MendArgs, print: &(dyn Fn(&str) + Send + Sync)) -> Result<ExitCode> {
    let record = match args.apply {
        true => {
            Some((attribution::name("by", &args.by)?, attribution::reason(args.reason.as_deref().unwrap_or_default())?))
        }
        false => None,
    };
    let regions = args.region.map_or(Region::ALL.to_vec(), |region| vec![region]);
    let mut is_known = false;
    let mut is_broken = false;
    for region in regions {
        let record = record.map(|(by, reason)| Record { mend_id: Uuid::now_v7(), by, reason });
        let look = look(layout, args.cart, region, record, print);
        let found =
            tokio::time::timeout(MENDED_WITHIN, look).await.context("the databases did not answer in time")??;
        is_known |= found != Found::Nothing;
        is_broken |= found == Found::Broken;
    }
    ensure!(is_known, "no region has cart {}", args.cart);
    if is_broken {
        print("nothing was changed; with --apply --reason … it is mended");
        return Ok(ExitCode::from(BROKEN_STATUS));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a region's rows of the cart are, when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Sound,
    Broken,
}

/// Looks at a region's rows of the cart, and mends them if `record` is given.
async fn look(
    layout: &Layout,
    id: CartId,
    region: Region,
    record: Option<Record<'_>>,
    print: &(dyn Fn(&str) + Send + Sync),
) -> Result<Found> {
    let mut here = connect(layout, region).await?;
    // Ours is under its lock until it is mended: nobody edits it in between.
    let mut transaction = here.begin().await?;
    let Some(ours) = read(&mut transaction, id).await? else {
        print(&format!("{region} does not have cart {id}"));
        return Ok(Found::Nothing);
    };
    for mend in mends(&mut transaction, Some(id)).await? {
        print(&before(region, &mend));
    }
    if ours.faults.is_empty() {
        print(&format!("{region}: everything of cart {id} decodes"));
        return Ok(Found::Sound);
    }
    let theirs = other(layout, id, region).await?;
    let plan = plan(&ours, theirs.as_ref());
    for (value, fault) in &ours.faults {
        let outcome = plan.as_ref().ok().and_then(|plan| plan.outcomes.get(value));
        print(&format!("{region}: {value} does not decode: {fault}{}", told(outcome, value, region, theirs.is_some())));
    }
    let plan = plan.context(format!("{region}'s cart {id} cannot be mended"))?;
    losses(&ours, theirs.as_ref(), &plan).iter().for_each(|line| print(line));
    let Some(record) = record else { return Ok(Found::Broken) };
    write(&mut transaction, id, &ours, &plan, record).await?;
    // no crash point: it is a person's command, and who ends it runs it again: what is mended is sound
    transaction.commit().await?;
    print(&format!("{region}: cart {id} is mended by {}: {}", record.by, record.reason));
    if plan.outcomes.contains_key(&Value::Context) {
        print(&format!(
            "{} hears of its context when carts are compared, within ten minutes; `backbone restart {region}/cart` compares \
             them now",
            region.peer()
        ));
    }
    Ok(Found::Sound)
}

/// What the other region has of the cart. One that does not answer may have what is not readable here: then nothing is done without it.
async fn other(layout: &Layout, id: CartId, region: Region) -> Result<Option<StoredCart>> {
    let there = region.peer();
    let asked = async {
        let mut connection: PgConnection = connect(layout, there).await?;
        let mut transaction = connection.begin().await?;
        Ok::<_, anyhow::Error>(read(&mut transaction, id).await?)
    };
    match asked.await {
        Ok(cart) => Ok(cart),
        Err(error) => {
            bail!("{there}, which may have what {region} cannot read, does not answer ({error:#}): try again")
        }
    }
}

fn before(region: Region, mend: &Mend) -> String {
    let Mend { value, outcome, at, by, reason, .. } = mend;
    format!("{region}: {value} was mended before, {}, by {by}: {reason} ({outcome})", at.format("%Y-%m-%d %H:%M:%S"))
}

fn told(outcome: Option<&Outcome>, value: &Value, region: Region, is_there: bool) -> String {
    match outcome {
        None => String::new(),
        Some(Outcome::Joined) if *value == Value::Context => {
            ". It is made anew from all that both regions have seen of the cart".to_owned()
        }
        Some(Outcome::Joined) if is_there => {
            format!(". It is {}'s, with what {region}'s log has of it since", region.peer())
        }
        Some(Outcome::Joined) => {
            format!(". It is what {region}'s log has of it: {} does not have the cart", region.peer())
        }
        Some(Outcome::Lost) => ". Neither region can read it: it is dropped".to_owned(),
    }
}

/// What is lost with the lines that neither region can read, as far as that can be told.
fn losses(ours: &StoredCart, theirs: Option<&StoredCart>, plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for (value, _) in plan.outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Lost) {
        match value {
            Value::Line(offer) => {
                let logged = ours.logged_units(offer).max(theirs.map_or(0, |theirs| theirs.logged_units(offer)));
                lines.push(format!(
                    "  lost: the units of {offer}; the logs tell of {logged}, and there may have been more"
                ));
                lines.extend(orders(ours, offer));
            }
            Value::Address => lines.push("  lost: the delivery address; the shopper has to give it again".to_owned()),
            Value::Cut(order) => {
                lines.push(format!("  lost: which units order {order} took; it took them, and that is not undone"));
            }
            Value::Context => {}
        }
    }
    lines
}

/// The orders that units of a lost line may be about: one that took some, or holds some until it is decided.
fn orders(ours: &StoredCart, offer: &str) -> Vec<String> {
    let about = ours.checkouts.iter().filter_map(|checkout| Some((checkout, checkout.ordered.get(offer)?)));
    about
        .map(|(checkout, units)| match checkout.state.as_str() {
            "undecided" => {
                format!("    order {} holds {units}; if it is rejected they do not come back", checkout.order_id)
            }
            "abandoned" => format!("    order {} was rejected, and {units} came back from it", checkout.order_id),
            _ => format!("    order {} took {units}, which stay ordered", checkout.order_id),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_value_is_told() {
        let line = Value::Line("mug".to_owned());
        let joined = told(Some(&Outcome::Joined), &line, Region::East, true);
        assert_eq!(joined, ". It is west's, with what east's log has of it since");
        assert!(told(Some(&Outcome::Joined), &line, Region::East, false).contains("west does not have the cart"));
        assert!(told(Some(&Outcome::Lost), &line, Region::East, true).contains("dropped"));
        assert_eq!(told(None, &line, Region::East, true), "");
    }
}
