//! A service whose clock is hours off goes on: times that are compared are those of its database.

use std::ffi::OsString;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use backbone::platform::Part;
use ids::Region;
use libtest_mimic::Trial;
use tokio::process::Command;

use crate::Scenarios;
use crate::deployment::{Deployment, report};

const SERVICES: [&str; 5] = ["bff", "cart", "inventory", "payment", "order"];
/// Its clock at the start, and what it jumps to while it serves.
const CLOCKS: [&str; 3] = ["+2h", "-2h", "+2h"];

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    // Where it is absent the scenario is listed as ignored, never as passed.
    let absent = shim().is_none();
    if absent {
        report("NOT RUN: services with another clock; libfaketime is absent (Debian: apt-get install libfaketime)");
    }
    vec![scenarios.trial("a_service_whose_clock_is_hours_off_goes_on", hours_off).with_ignored_flag(absent)]
}

/// The library that gives a process another clock.
fn shim() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let places = folders.iter().map(|folder| PathBuf::from(folder).join("faketime/libfaketimeMT.so.1"));
    places.into_iter().find(|place| place.exists())
}

async fn hours_off(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(2_100, 100, 0).await?;
    for service in SERVICES {
        let part = format!("east/{service}");
        deployment.stop(&part).await?;
        let served = with_another_clock(&deployment, &part, &offer).await;
        deployment.stop(&part).await?;
        deployment.start(&part).await?;
        served.with_context(|| format!("{part} does not live with another clock"))?;
    }
    // What was written by those clocks holds up nothing that is done by the right one.
    one_order(&deployment, &offer).await
}

async fn with_another_clock(deployment: &Deployment, part: &str, offer: &str) -> Result<()> {
    let folder = &deployment.layout.run_dir;
    let preload =
        format!("{} {}", c11_waits(folder).await?.display(), shim().context("libfaketime is gone")?.display());
    let clock = folder.join("another-clock");
    for (nth, off_by) in CLOCKS.into_iter().enumerate() {
        std::fs::write(&clock, off_by)?;
        if nth == 0 {
            deployment.start_changed(part, |part| put_under(part, &preload, &clock)).await?;
        }
        one_order(deployment, offer).await.with_context(|| format!("at {off_by}, clock {nth} of {CLOCKS:?}"))?;
    }
    Ok(())
}

/// What libfaketime lacks, see there.
async fn c11_waits(folder: &Path) -> Result<PathBuf> {
    let (source, library) = (folder.join("c11_waits.c"), folder.join("c11_waits.so"));
    std::fs::write(&source, include_str!("c11_waits.c"))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
    let compiled = compiler.status().await.context("cc(1) did not start")?;
    ensure!(compiled.success(), "c11_waits.c does not compile");
    Ok(library)
}

/// Has the part begin under libfaketime, whose clock is what the file says at each look.
///
/// By env(1) and not in the part's environment: the shim of what starts the process, of another account, would leave a semaphore under the
/// process's id that the process itself may not open.
fn put_under(part: &mut Part, preload: &str, clock: &Path) {
    let clock = clock.display();
    let variables = [
        format!("LD_PRELOAD={preload}"),
        format!("FAKETIME_TIMESTAMP_FILE={clock}"),
        "FAKETIME_NO_CACHE=1".to_owned(),
        // Only the time of day: waits are by a clock that nobody can set.
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let program = mem::replace(&mut part.program, PathBuf::from("/usr/bin/env"));
    part.arguments.splice(..0, variables.into_iter().map(OsString::from).chain([program.into_os_string()]));
}

/// From cart to money.
async fn one_order(deployment: &Deployment, offer: &str) -> Result<()> {
    let shopper = deployment.shopper(Region::East).await?;
    let order_id = shopper.placed_order(&[(offer, 1)]).await?;
    shopper.captured(&order_id).await?;
    Ok(())
}
