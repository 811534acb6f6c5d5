//! Events that nobody can apply are closed by a person, and events that a broker lost come back. Both leave the audit holding.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use ids::Region;
use libtest_mimic::Trial;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::process::Command;

use crate::Scenarios;
use crate::deployment::Deployment;

/// The topic that loses records, and its partitions.
const LOSSY_TOPIC: &str = "order.shipped.v1";
const PARTITIONS: u8 = 4;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![scenarios.trial("what_nobody_can_apply_is_settled_and_what_a_broker_lost_is_published_again", spine)]
}

/// What is planted here stays, so it has a system of its own.
async fn spine(_: Arc<Deployment>) -> Result<()> {
    let apart = Deployment::bring_up_apart(1).await?;
    let both = async {
        settled_by_hand(&apart).await?;
        lost_by_a_broker(&apart).await
    };
    let done = both.await;
    apart.tear_down(done.is_err()).await?;
    done
}

/// A record of a foreign producer: no event of ours, so there is nothing to publish again.
async fn settled_by_hand(deployment: &Deployment) -> Result<()> {
    let brokers = deployment.layout.kafka_bootstrap(Region::East);
    let foreign: FutureProducer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let record = FutureRecord::to("order.shipped.v1").key("foreign").payload("no event");
    foreign.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error)?;

    let refused = |said: &str| said.lines().any(|line| line.contains("order.shipped.v1/") && line.contains("no event"));
    let listed = says_until(deployment, &["dlq", "list"], refused).await?;
    let line = listed.lines().find(|line| line.contains("no event")).unwrap_or_default();
    let position = line.split_whitespace().next().unwrap_or_default();
    let (code, said) = says(deployment, &["dlq", "replay", position]).await?;
    ensure!(code == Some(1), "it was replayed: {said}");
    let (code, said) = says(deployment, &["audit", "--settle", "1"]).await?;
    ensure!(
        code == Some(1) && said.contains("event unknown refused by payment"),
        "an open letter is no fault of the audit: {said}"
    );

    let settle = ["dlq", "settle", position, "--by", "ann", "--reason", "planted: no order is missing"];
    let (code, said) = says(deployment, &settle).await?;
    ensure!(code == Some(0) && said.contains("settled by ann"), "{said}");
    let (code, said) = says(deployment, &settle).await?;
    ensure!(code == Some(0) && said.contains("was settled by ann"), "settled twice: {said}");
    let (_, listed) = says(deployment, &["dlq", "list"]).await?;
    ensure!(
        listed.contains("settled by hand") && listed.contains("ann") && listed.contains("no open dead letters"),
        "{listed}"
    );
    audit_holds(deployment).await
}

/// A broker loses its power, and with it the last record of a topic, which nobody had consumed.
async fn lost_by_a_broker(deployment: &Deployment) -> Result<()> {
    let offer = deployment.offer(2_100, 10, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let before = shopper.placed_order(&[(&offer, 1)]).await?;
    shopper.captured(&before).await?;

    let log = deployment.layout.data(&"east/kafka".parse()?).join("log");
    let kept = log.with_extension("kept");
    deployment.stop("east/kafka").await?;
    copy_topic(&log, &kept).await?;
    deployment.start("east/kafka").await?;
    // Payment authorises it and is away when it ships, two seconds later: what is lost was not applied.
    let order = shopper.placed_order(&[(&offer, 1)]).await?;
    deployment.stop("east/payment").await?;
    shopper.order_until(&order, "shipped", |order| order["state"] == "shipped").await?;
    empty(deployment, "order").await?;
    deployment.stop("east/kafka").await?;
    copy_topic(&kept, &log).await?;
    deployment.start("east/kafka").await?;
    deployment.start("east/payment").await?;

    let (code, said) = says(deployment, &["events", "replay", "--since", "1h", "--dry-run"]).await?;
    ensure!(code == Some(1) && said.contains("east order.shipped.v1: would publish"), "nothing is missing: {said}");
    let is_captured = shopper.get(&format!("/v1/orders/{order}")).await?.expect(200)?["captured"] == true;
    ensure!(!is_captured, "it was captured, so its event was not lost");
    let (code, said) = says(deployment, &["events", "replay", "--since", "1h"]).await?;
    ensure!(code == Some(0) && said.contains("nothing is missing"), "{said}");
    shopper.captured(&order).await?;
    let (code, said) = says(deployment, &["events", "replay", "--since", "1h"]).await?;
    ensure!(code == Some(0) && !said.contains("publishing"), "published twice: {said}");
    audit_holds(deployment).await
}

/// Waits until a service has published all, to both regions. Bounded: a minute.
async fn empty(deployment: &Deployment, service: &str) -> Result<()> {
    let mut database = deployment.database(Region::East, service).await?;
    for _ in 0..300 {
        let waiting = "select (select count(*) from outbox) + (select count(*) from outbox_peer)";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut database).await?;
        if waiting == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("{service} has not published all after a minute")
}

/// The partitions of the topic, as they are in the folder `from`, replace those in `to`.
async fn copy_topic(from: &Path, to: &Path) -> Result<()> {
    tokio::fs::create_dir_all(to).await?;
    for partition in 0..PARTITIONS {
        let [from, to] = [from, to].map(|folder| folder.join(format!("{LOSSY_TOPIC}-{partition}")));
        if tokio::fs::try_exists(&to).await? {
            tokio::fs::remove_dir_all(&to).await?;
        }
        let copied = Command::new("cp").arg("--archive").args([&from, &to]).status().await?;
        ensure!(copied.success(), "cannot copy {}", from.display());
    }
    Ok(())
}

async fn audit_holds(deployment: &Deployment) -> Result<()> {
    let (code, said) = says(deployment, &["audit"]).await?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}

async fn says(deployment: &Deployment, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let (status, said) = deployment.backbone_says(arguments).await?;
    Ok((status.code(), said))
}

/// Asks until it says so. Bounded: half a minute.
async fn says_until(deployment: &Deployment, arguments: &[&str], is_it: impl Fn(&str) -> bool) -> Result<String> {
    let mut said = String::new();
    for _ in 0..60 {
        said = says(deployment, arguments).await?.1;
        if is_it(&said) {
            return Ok(said);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("{arguments:?} still says\n{said}")
}
