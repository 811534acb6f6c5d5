//! The audit holds after everything above, and it bites: it names what we tamper with.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ids::Region;
use libtest_mimic::Trial;

use crate::Scenarios;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("the_audit_holds_after_all_that", holds),
        scenarios.trial("the_audit_finds_a_unit_that_was_sold_twice", finds_stock),
        scenarios.trial("the_audit_finds_a_payment_that_the_provider_captured_and_we_did_not", finds_payment),
        scenarios.trial("the_audit_without_a_database_is_inconclusive", inconclusive),
        scenarios.trial("the_audit_holds_once_the_tampering_is_undone", holds),
    ]
}

/// The audit's exit status.
async fn audit(deployment: &Deployment) -> Result<Option<i32>> {
    Ok(deployment.backbone(&["audit".to_owned()]).await?.code())
}

async fn holds(deployment: Arc<Deployment>) -> Result<()> {
    ensure!(audit(&deployment).await? == Some(0), "the audit does not hold");
    Ok(())
}

async fn finds_stock(deployment: Arc<Deployment>) -> Result<()> {
    let tampered = tamper(&deployment, "inventory", "update stock set sold = sold + 1 where offer_id = $1").await?;
    let undone = tamper(&deployment, "inventory", "update stock set sold = sold - 1 where offer_id = $1");
    let found = audit(&deployment).await;
    undone.await?;
    ensure!(tampered == 1 && found? == Some(1), "a unit sold twice was not found");
    Ok(())
}

/// Runs a statement on the stock of one offer that has been sold, behind the service's back.
async fn tamper(deployment: &Deployment, service: &str, statement: &'static str) -> Result<u64> {
    let mut database = deployment.database(Region::East, service).await?;
    let sold = "select offer_id from stock where sold > 0 order by offer_id limit 1";
    let offer_id: String = sqlx::query_scalar(sold).fetch_one(&mut database).await?;
    Ok(sqlx::query(statement).bind(offer_id).execute(&mut database).await?.rows_affected())
}

async fn finds_payment(deployment: Arc<Deployment>) -> Result<()> {
    let mut database = deployment.database(Region::West, "payment").await?;
    // The provider's books say captured; ours are made to say otherwise.
    let payment = "select order_id from payment where state = 'captured' order by order_id limit 1";
    let order_id: uuid::Uuid = sqlx::query_scalar(payment).fetch_one(&mut database).await?;
    let tampered = "update payment set state = 'authorised' where order_id = $1";
    sqlx::query(tampered).bind(order_id).execute(&mut database).await?;
    let found = audit(&deployment).await;
    let undone = "update payment set state = 'captured' where order_id = $1";
    sqlx::query(undone).bind(order_id).execute(&mut database).await?;
    ensure!(found? == Some(1), "a payment whose state the provider contradicts was not found");
    Ok(())
}

async fn inconclusive(deployment: Arc<Deployment>) -> Result<()> {
    deployment.stop("west/postgres").await?;
    let status = audit(&deployment).await;
    deployment.start("west/postgres").await?;
    ensure!(status? == Some(2), "an audit that could not look everywhere has passed judgement");
    Ok(())
}
