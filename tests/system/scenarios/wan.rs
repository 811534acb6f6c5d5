//! The link between the regions is cut, slow or dead: each region goes on selling what it holds, and what has to cross waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ids::Region;
use libtest_mimic::Trial;
use sqlx::Row as _;
use uuid::Uuid;

use super::outages::retried;
use crate::Scenarios;
use crate::client::order_body;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("with_the_link_cut_both_regions_sell_and_after_the_heal_events_and_rights_flow", cut),
        scenarios.trial("with_one_direction_cut_both_regions_sell", one_way_cut),
        scenarios.trial("only_an_order_that_needs_the_other_region_waits_for_a_slow_link", slow),
        scenarios.trial("a_killed_link_comes_back_as_a_good_line_and_nothing_is_lost", killed),
    ]
}

/// What a command of `backbone` prints; it must succeed.
async fn says(deployment: &Deployment, line: &str) -> Result<String> {
    let mut command = tokio::process::Command::new(deployment.layout.bin_dir.join("backbone"));
    command.arg("--run-dir").arg(&deployment.layout.run_dir).args(line.split(' '));
    let output = command.output().await.context("cannot run backbone")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// Changes the link for the time of `work`.
pub(super) async fn during<T>(
    deployment: &Deployment,
    change: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    says(deployment, change).await?;
    let outcome = work.await;
    says(deployment, "wan reset").await?;
    outcome
}

/// Events of the order service that wait for the other region's Kafka.
async fn waiting(deployment: &Deployment, region: Region) -> Result<i64> {
    let mut database = deployment.database(region, "order").await?;
    let row = sqlx::query("select count(*) from outbox_peer").fetch_one(&mut database).await?;
    Ok(row.try_get(0)?)
}

/// Waits until none waits any more. Bounded: a minute.
async fn none_waits(deployment: &Deployment, region: Region) -> Result<()> {
    for _ in 0..300 {
        if waiting(deployment, region).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("{} events of {region} did not reach the other region", waiting(deployment, region).await?)
}

/// One order in each region, of what it holds itself.
async fn both_sell(deployment: &Deployment, offer: &str) -> Result<()> {
    for region in Region::ALL {
        let shopper = deployment.shopper(region).await?;
        let order_id = shopper.placed_order(&[(offer, 2)]).await?;
        shopper.captured(&order_id).await?;
    }
    Ok(())
}

async fn cut(deployment: Arc<Deployment>) -> Result<()> {
    let (plenty, scarce) = (deployment.offer(300, 10, 10).await?, deployment.offer(450, 2, 6).await?);
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, version) = shopper.cart_with(&[(&scarce, 7)]).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa"));
    let answer = during(&deployment, "wan cut", async {
        both_sell(&deployment, &plenty).await?;
        let status = says(&deployment, "status").await?;
        ensure!(status.contains("wan: 80 ms round trip, CUT both ways for "), "{status}");
        // The cut really bit: events wait, and an order that needs the other region's units is not placed.
        for region in Region::ALL {
            ensure!(waiting(&deployment, region).await? > 0, "no event of {region} waits");
        }
        shopper.post_with_key("/v1/orders", &key, &body).await
    });
    let answer = answer.await?;
    ensure!(matches!(answer.status.as_u16(), 202 | 503), "{} {}", answer.status, answer.body);
    let status = says(&deployment, "status").await?;
    ensure!(status.contains("wan: 80 ms round trip, both ways open"), "{status}");
    retried(&shopper, &key, &body).await?;
    let east = deployment.stock_until(Region::East, &scarce, |level| level.sold == 7).await?;
    let west = deployment.stock(Region::West, &scarce).await?;
    ensure!(east.available + west.available == 1, "{east:?} {west:?}");
    for region in Region::ALL {
        none_waits(&deployment, region).await?;
    }
    Ok(())
}

async fn one_way_cut(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(300, 10, 10).await?;
    for ways in ["east-west", "west-east"] {
        during(&deployment, &format!("wan cut {ways}"), async {
            both_sell(&deployment, &offer).await?;
            // One way their events do not arrive, the other way their acknowledgements do not.
            for region in Region::ALL {
                ensure!(waiting(&deployment, region).await? > 0, "{ways}: no event of {region} waits");
            }
            Ok(())
        })
        .await?;
    }
    for region in Region::ALL {
        none_waits(&deployment, region).await?;
    }
    Ok(())
}

async fn slow(deployment: Arc<Deployment>) -> Result<()> {
    let round_trip = Duration::from_millis(600);
    let (plenty, scarce) = (deployment.offer(300, 9, 0).await?, deployment.offer(450, 1, 9).await?);
    let shopper = deployment.shopper(Region::East).await?;
    during(&deployment, "wan delay 600ms", async {
        let begin = Instant::now();
        shopper.placed_order(&[(&scarce, 5)]).await?;
        ensure!(begin.elapsed() >= round_trip, "rights came around the link, in {:?}", begin.elapsed());
        let order_id = shopper.placed_order(&[(&plenty, 1)]).await?;
        shopper.captured(&order_id).await
    })
    .await
    .map(|_| ())
}

async fn killed(deployment: Arc<Deployment>) -> Result<()> {
    let (plenty, scarce) = (deployment.offer(300, 10, 10).await?, deployment.offer(450, 1, 6).await?);
    says(&deployment, "wan delay 300ms").await?;
    deployment.kill("outside/wan").await?;
    let sold = both_sell(&deployment, &plenty).await;
    deployment.start("outside/wan").await?;
    sold?;
    let shown = says(&deployment, "wan show").await?;
    ensure!(shown.contains("wan: 80 ms round trip, both ways open"), "{shown}");
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, version) = shopper.cart_with(&[(&scarce, 4)]).await?;
    // The circuit breaker may need a moment to try again.
    retried(&shopper, &Uuid::now_v7().to_string(), &order_body(&cart_id, &version, "tok_visa")).await?;
    for region in Region::ALL {
        none_waits(&deployment, region).await?;
    }
    Ok(())
}
