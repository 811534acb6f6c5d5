//! How fast what a cut held back is drained.

use std::time::Duration;

use anyhow::Context as _;
use ids::Region;
use serde::Serialize;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::ReplicationArgs;
use crate::client::Deployment;
use crate::drill::link::Link;
use crate::load::commits;
use crate::platform::{Layout, secrets};
use crate::shared_cart::{Fresh, Stores, differing, goods};

/// Between two counts in the west; the times are no finer.
const COUNT_EVERY: Duration = Duration::from_millis(20);
/// How long the backlog may take.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);
/// Carts compared at once.
const COMPARED_AT_ONCE: usize = 500;
/// Carts being made at once; more would only queue.
const MADE_AT_ONCE: usize = 16;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Backlog {
    /// Carts made under the cut.
    pub carts: u32,
    /// How long the link was cut, in seconds.
    pub cut_s: f64,
    /// From the heal to the first of them in the west; absent when none came.
    pub first_s: Option<f64>,
    /// From the heal to the last of them; absent when some never came.
    pub all_s: Option<f64>,
    /// Carts that in the end were not byte for byte the same in both regions.
    pub differing: usize,
}

/// Measures. The link is healed however it ends.
///
/// # Errors
/// The system cannot be used.
pub async fn measure(layout: &Layout, deployment: &Deployment, args: &ReplicationArgs) -> anyhow::Result<Backlog> {
    let link = Link::of(layout, None)?;
    link.require_open().await?;
    goods::put_on_sale(deployment).await?;
    let measured = tokio::select! {
        measured = drain(layout, deployment, args, &link) => measured,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into).and_then(|()| anyhow::bail!("interrupted")),
    };
    link.clean_up().await?;
    measured
}

async fn drain(
    layout: &Layout,
    deployment: &Deployment,
    args: &ReplicationArgs,
    link: &Link,
) -> anyhow::Result<Backlog> {
    let mut west = commits::connect(&secrets::superuser_url(layout, Region::West, "cart")?).await?;
    let before = count(&mut west).await?;
    let carts = i64::from(args.backlog);
    link.cut(args.cut).await?;
    let cut = Instant::now();
    let ids = make(Fresh::in_the_east(deployment), args, cut).await?;
    sleep_until(cut + args.cut).await;
    anyhow::ensure!(count(&mut west).await? == before, "carts crossed the cut, or somebody else makes some");
    let healed = Instant::now();
    link.heal().await?;
    let (mut first, mut all) = (None, None);
    while all.is_none() && healed.elapsed() < DRAINED_WITHIN {
        let there = count(&mut west).await? - before;
        let now = healed.elapsed().as_secs_f64();
        first = first.or((there > 0).then_some(now));
        all = (there >= carts).then_some(now);
        sleep(COUNT_EVERY).await;
    }
    let mut unlike = 0;
    for some in ids.chunks(COMPARED_AT_ONCE) {
        let carts = Stores::open(layout, some).await?.read().await?;
        unlike += differing(some, &carts).len();
    }
    let cut_s = (healed - cut).as_secs_f64();
    Ok(Backlog { carts: args.backlog, cut_s, first_s: first, all_s: all, differing: unlike })
}

/// Makes the carts, spread over the first nine tenths of the cut. Returns their ids.
async fn make(fresh: Fresh, args: &ReplicationArgs, cut: Instant) -> anyhow::Result<Vec<ids::CartId>> {
    let each = args.cut * 9 / 10 / args.backlog.max(1);
    let (mut making, mut ids) = (JoinSet::new(), Vec::with_capacity(args.backlog as usize));
    for number in 0..args.backlog {
        sleep_until(cut + each * number).await;
        if making.len() >= MADE_AT_ONCE
            && let Some(made) = making.join_next().await
        {
            ids.push(made.context("a maker broke down")??);
        }
        let fresh = fresh.clone();
        making.spawn(async move { fresh.make().await });
    }
    while let Some(made) = making.join_next().await {
        ids.push(made.context("a maker broke down")??);
    }
    anyhow::ensure!(
        cut.elapsed() < args.cut,
        "making {} carts took longer than the cut of {:?}; make fewer with --backlog, or cut longer with --cut",
        args.backlog,
        args.cut
    );
    Ok(ids)
}

async fn count(west: &mut PgConnection) -> anyhow::Result<i64> {
    let counted = sqlx::query_scalar("select count(*) from cart").fetch_one(west);
    Ok(tokio::time::timeout(Duration::from_secs(10), counted).await.context("west's database does not answer")??)
}
