//! The platform's own promises: up twice is harmless, and what was acknowledged is there after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use backbone::platform::{self, Options, PartStatus};
use ids::Region;
use libtest_mimic::Trial;

use crate::Scenarios;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("up_twice_leaves_everything_running_as_it_was", up_twice),
        scenarios.trial("what_was_acknowledged_is_there_after_down_and_up", down_and_up),
    ]
}

fn pids(parts: Vec<PartStatus>) -> BTreeMap<String, Option<i32>> {
    parts.into_iter().map(|part| (part.name.to_string(), part.pid)).collect()
}

async fn up_twice(deployment: Arc<Deployment>) -> Result<()> {
    let before = pids(platform::status(&deployment.layout).await?);
    let after = pids(platform::up(&deployment.layout, &Options::default(), &|_| {}).await?);
    ensure!(before == after, "processes changed: {before:?} {after:?}");
    Ok(())
}

async fn down_and_up(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(640, 5, 5).await?;
    let shopper = deployment.shopper(Region::West).await?;
    let order_id = shopper.placed_order(&[(&offer, 2)]).await?;
    platform::down(&deployment.layout.run_dir, false, &|_| {}).await?;
    platform::up(&deployment.layout, &Options::default(), &|_| {}).await?;
    // Fulfilment and capture had hardly begun: they go on where they were.
    shopper.captured(&order_id).await?;
    deployment.stock_until(Region::West, &offer, |level| level.sold == 2).await?;
    Ok(())
}
