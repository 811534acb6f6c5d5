//! The drills of "exactly one effect" pass, and fail with a guard taken away. What lacks a guard is broken for good, so each of those
//! gets a system of its own.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;

use crate::Scenarios;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("services_restart_under_load_and_no_request_fails", async |deployment| {
            passes(&deployment, "rolling-restart --duration 25s --clients 8").await
        }),
        scenarios.trial("orders_have_one_effect_whoever_dies_where", async |deployment| {
            passes(&deployment, "crash-storm --duration 1m --rate 8 --seed 4").await
        }),
        scenarios.trial("orders_have_one_effect_whatever_the_provider_does", async |deployment| {
            passes(&deployment, "psp-hell --duration 30s").await
        }),
        scenarios.trial("orders_have_one_effect_though_a_broker_is_lost", broker_loss),
        scenarios.trial("without_draining_a_rolling_restart_fails_requests", async |_| {
            fails(1, "rolling-restart --duration 15s --clients 8 --without drain", &["NO REQUEST FAILS"]).await
        }),
        scenarios.trial("without_the_fencing_check_a_storm_does_damage", async |_| {
            fails(1, "crash-storm --duration 25s --rate 8 --seed 4 --without fencing-check", &[]).await
        }),
        scenarios.trial("publishing_before_the_commit_a_storm_does_damage", async |_| {
            fails(1, "crash-storm --duration 15s --rate 8 --seed 4 --without publish-after-commit", &[]).await
        }),
        scenarios.trial("without_the_providers_key_hell_charges_twice", async |_| {
            fails(1, "psp-hell --duration 20s --without provider-key", &["CHARGED ONCE"]).await
        }),
        scenarios.trial("without_the_inbox_check_a_lost_broker_repeats_effects", async |_| {
            fails(3, "broker-loss --duration 24s --rate 8 --without inbox-check", &["APPLIED ONCE"]).await
        }),
    ]
}

/// The drill's exit status.
async fn drill(deployment: &Deployment, flags: &str) -> Result<Option<i32>> {
    let arguments: Vec<String> = format!("drill {flags}").split(' ').map(str::to_owned).collect();
    Ok(deployment.backbone(&arguments).await?.code())
}

async fn passes(deployment: &Deployment, flags: &str) -> Result<()> {
    let status = drill(deployment, flags).await?;
    ensure!(status == Some(0), "the drill did not pass: status {status:?}");
    Ok(())
}

/// Three brokers a region need a system of their own.
async fn broker_loss(_: Arc<Deployment>) -> Result<()> {
    let apart = Deployment::bring_up_apart(3).await?;
    let passed = passes(&apart, "broker-loss --duration 30s --rate 8").await;
    apart.tear_down(passed.is_err()).await?;
    passed
}

/// Runs a drill with a guard taken away on a system of its own: it must fail, by these verdicts among others.
async fn fails(brokers: u8, flags: &str, verdicts: &[&str]) -> Result<()> {
    let apart = Deployment::bring_up_apart(brokers).await?;
    let failed = fails_on(&apart, flags, verdicts).await;
    apart.tear_down(failed.is_err()).await?;
    failed
}

async fn fails_on(deployment: &Deployment, flags: &str, verdicts: &[&str]) -> Result<()> {
    let status = drill(deployment, flags).await?;
    ensure!(status == Some(1), "the drill did not fail: status {status:?}");
    let (name, guard) = (flags.split(' ').next().unwrap_or_default(), flags.rsplit(' ').next().unwrap_or_default());
    let file = deployment.layout.run_dir.join("reports").join(format!("drill-{name}-without-{guard}.json"));
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let report: serde_json::Value = serde_json::from_slice(&text)?;
    let found = report["verdicts"].as_array().context("no verdicts")?;
    for expected in verdicts {
        let verdict = found.iter().find(|verdict| verdict["check"] == *expected).context("no such verdict")?;
        ensure!(verdict["verdict"] == "failed", "{expected} should have failed: {verdict}");
    }
    Ok(())
}
