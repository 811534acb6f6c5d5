//! The partition drill passes on the real cart, fails on one that is wrong on purpose, and cleans up when it is interrupted.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::process::Command;

use crate::Scenarios;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("carts_written_in_both_regions_survive_a_partition", both_ways),
        scenarios.trial("carts_written_in_both_regions_survive_a_partition_of_one_direction", one_way),
        scenarios.trial("a_cart_where_the_last_writer_wins_converges_and_loses_adds", last_writer_wins),
        scenarios.trial("an_interrupted_drill_heals_the_link", interrupted),
    ]
}

/// A drill's exit status.
async fn drill(deployment: &Deployment, flags: &str) -> Result<Option<i32>> {
    let arguments: Vec<String> = format!("drill partition {flags}").split(' ').map(str::to_owned).collect();
    Ok(deployment.backbone(&arguments).await?.code())
}

async fn both_ways(deployment: Arc<Deployment>) -> Result<()> {
    ensure!(drill(&deployment, "--duration 20s").await? == Some(0), "the drill did not pass");
    let report = report(&deployment, "drill-partition")?;
    ensure!(report["convergence"]["each_cart_identical_s"].is_f64(), "no time of convergence in {report}");
    Ok(())
}

async fn one_way(deployment: Arc<Deployment>) -> Result<()> {
    for way in ["east-west", "west-east"] {
        let flags = format!("--duration 10s --one-way {way}");
        ensure!(drill(&deployment, &flags).await? == Some(0), "the drill did not pass {way}");
    }
    Ok(())
}

/// If a lost add did not make it fail, passing it would be worth nothing. What is lost stays lost, so it has a system of its own.
async fn last_writer_wins(_: Arc<Deployment>) -> Result<()> {
    let apart = Deployment::bring_up_apart(1).await?;
    let loses = loses_adds(&apart).await;
    apart.tear_down(loses.is_err()).await?;
    loses
}

async fn loses_adds(deployment: &Deployment) -> Result<()> {
    ensure!(drill(deployment, "--duration 20s --cart last-writer-wins").await? == Some(1), "the drill did not fail");
    let report = report(deployment, "drill-partition-last-writer-wins")?;
    for (promise, expected) in [("fault bit", "ok"), ("CONVERGED", "ok"), ("LOSSLESS", "failed")] {
        let verdicts = report["verdicts"].as_array().context("no verdicts")?;
        let found = verdicts.iter().find(|verdict| verdict["check"] == promise).context("no such verdict")?;
        ensure!(found["verdict"] == expected, "{promise} should be {expected}: {found}");
    }
    let (status, said) = deployment.backbone_says(&["audit"]).await?;
    ensure!(status.code() == Some(1) && said.contains("vanished"), "the audit misses no unit: {said}");
    // The real cart is back.
    ensure!(drill(deployment, "--duration 5s").await? == Some(0), "the drill does not pass any more");
    Ok(())
}

fn report(deployment: &Deployment, name: &str) -> Result<Value> {
    let file = deployment.layout.run_dir.join("reports").join(format!("{name}.json"));
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

async fn interrupted(deployment: Arc<Deployment>) -> Result<()> {
    let mut command = Command::new(deployment.layout.bin_dir.join("backbone"));
    command.arg("--run-dir").arg(&deployment.layout.run_dir).args(["drill", "partition", "--duration", "1m"]);
    let mut drill = command.stdout(Stdio::null()).kill_on_drop(true).spawn()?;
    link_until(&deployment, "CUT both ways").await?;
    let pid = drill.id().context("the drill has ended")?.to_string();
    ensure!(Command::new("kill").args(["-INT", &pid]).status().await?.success(), "cannot interrupt the drill");
    ensure!(drill.wait().await?.code() == Some(2), "an interrupted drill has come to a verdict");
    link_until(&deployment, "both ways open").await
}

/// Waits until the link is like this. Bounded: a minute.
async fn link_until(deployment: &Deployment, wanted: &str) -> Result<()> {
    let mut last = String::new();
    for _ in 0..300 {
        let mut command = Command::new(deployment.layout.bin_dir.join("backbone"));
        command.arg("--run-dir").arg(&deployment.layout.run_dir).args(["wan", "show"]);
        last = String::from_utf8_lossy(&command.output().await?.stdout).into_owned();
        if last.contains(wanted) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("the link is not {wanted} after a minute: {last}")
}
