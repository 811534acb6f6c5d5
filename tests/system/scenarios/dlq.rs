//! A dead letter is seen, looked at and replayed, and its effect comes once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ids::Region;
use libtest_mimic::Trial;
use serde_json::Value;
use uuid::Uuid;

use super::explain::{explain, explained_until};
use crate::Scenarios;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("a_dead_letter_is_shown_and_replayed_once", shown_and_replayed),
        scenarios.trial("all_dead_letters_are_replayed_and_those_still_refused_stay_open", replayed_in_vain),
    ]
}

/// What a command of `backbone dlq` says, and its exit status.
async fn dlq(deployment: &Deployment, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let (status, output) = deployment.backbone_says(&[&["dlq"], arguments].concat()).await?;
    Ok((status.code(), output))
}

/// Makes the payment of an order one that cannot be captured, or mends it.
async fn set_payment(deployment: &Deployment, order: &str, from: &str, to: &str) -> Result<()> {
    let mut database = deployment.database(Region::East, "payment").await?;
    let update = sqlx::query("update payment set state = $3 where order_id = $1 and state = $2");
    let done = update.bind(order.parse::<Uuid>()?).bind(from).bind(to).execute(&mut database).await?;
    ensure!(done.rows_affected() == 1, "the payment of {order} is not {from}");
    Ok(())
}

/// An order whose shipping payment refuses, and the position of the letter. Its payment is voided in our books behind payment's
/// back, in the two seconds before it ships; the provider holds the money.
async fn refused_order(deployment: &Deployment) -> Result<(String, String)> {
    let offer = deployment.offer(2_100, 3, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let order = shopper.placed_order(&[(&offer, 1)]).await?;
    set_payment(deployment, &order, "authorised", "voided").await?;
    for _ in 0..60 {
        let (_, listed) = dlq(deployment, &["list", "--topic", "order.shipped.v1"]).await?;
        if let Some(line) = listed.lines().find(|line| line.contains(&order)) {
            let position = line.split_whitespace().next().context("an empty line")?.to_owned();
            return Ok((order, position));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("order {order} shipped without a payment, and there is no dead letter")
}

/// What the audit says of dead letters.
async fn audited(deployment: &Deployment) -> Result<Value> {
    let file = deployment.layout.run_dir.join("dlq-audit.json");
    let arguments = ["audit", "--settle", "1", "--json", file.to_str().context("a path that is no text")?];
    deployment.backbone_says(&arguments).await?;
    let report: Value = serde_json::from_str(&tokio::fs::read_to_string(&file).await?)?;
    let findings = report["findings"].as_array().context("no findings")?;
    findings.iter().find(|finding| finding["check"] == "dead letters").cloned().context("no such check")
}

async fn shown_and_replayed(deployment: Arc<Deployment>) -> Result<()> {
    let (order, position) = refused_order(&deployment).await?;
    let (_, shown) = dlq(&deployment, &["show", &position]).await?;
    for part in [": open\n", "payment (poison)", "OrderShipped {", &order] {
        ensure!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let finding = audited(&deployment).await?;
    ensure!(finding["verdict"] == "failed" && finding["offenders"].to_string().contains(&position), "{finding}");
    let waits = explain(&deployment, &order).await?["verdict"]["waits"].to_string();
    ensure!(waits.contains(&format!("backbone dlq replay {position}")), "{waits}");

    set_payment(&deployment, &order, "voided", "authorised").await?;
    let (code, said) = dlq(&deployment, &["replay", &position, "--dry-run"]).await?;
    ensure!(code == Some(0) && said.contains("would publish"), "{said}");
    let (_, listed) = dlq(&deployment, &["list"]).await?;
    ensure!(listed.contains(&position), "a dry run published it:\n{listed}");
    let (code, said) = dlq(&deployment, &["replay", &position]).await?;
    ensure!(code == Some(0) && said.contains("applied by payment"), "{said}");

    let told = explained_until(&deployment, &order, |told| told["verdict"] == "settled").await?;
    let timeline = told["timeline"].to_string();
    ensure!(timeline.contains(", 2 times: also at"), "the repeat is not told: {told:#}");
    let (_, listed) = dlq(&deployment, &["list"]).await?;
    ensure!(!listed.contains(&position) && listed.contains("applied since"), "{listed}");
    let finding = audited(&deployment).await?;
    ensure!(finding["verdict"] == "ok", "a letter that was applied is still open: {finding}");

    // Once more: nothing is published, and nothing is captured twice.
    let (code, said) = dlq(&deployment, &["replay", &position]).await?;
    ensure!(code == Some(0) && said.contains("is settled"), "{said}");
    let told = explain(&deployment, &order).await?;
    let captures = told["timeline"].to_string().matches("captured 21.00 GBP").count();
    ensure!(captures == 1, "captured {captures} times: {told:#}");
    Ok(())
}

async fn replayed_in_vain(deployment: Arc<Deployment>) -> Result<()> {
    let (order, position) = refused_order(&deployment).await?;
    let (code, said) = dlq(&deployment, &["replay", "--all", "--topic", "order.shipped.v1"]).await?;
    ensure!(code == Some(1) && said.contains("refused again by payment"), "{said}");
    let (_, listed) = dlq(&deployment, &["list"]).await?;
    let lines: Vec<&str> = listed.lines().filter(|line| line.contains(&order)).collect();
    ensure!(lines.len() == 1 && lines[0].contains("refused 2 times") && !lines[0].contains(&position), "{listed}");

    set_payment(&deployment, &order, "voided", "authorised").await?;
    let (code, said) = dlq(&deployment, &["replay", "--all"]).await?;
    ensure!(code == Some(0) && said.contains("1 replayed, 1 applied"), "{said}");
    explained_until(&deployment, &order, |told| told["verdict"] == "settled").await?;
    Ok(())
}
