//! What a benchmark needs, asked before the first minute is spent.

use std::path::Path;

use anyhow::Context;
use ids::Region;
use sqlx::PgConnection;

use crate::load::{ceiling, commits};
use crate::platform::{self, Layout, PartStatus};
use crate::replay::data;

/// How to get a system that nothing has happened to yet.
const FRESH: &str = "`make down WIPE=1 && make up` starts a fresh one, and deletes what is in this one";

/// Every part of the system, each ready.
///
/// # Errors
/// Some part is not; names each.
pub async fn system(layout: &Layout) -> anyhow::Result<Vec<PartStatus>> {
    let parts = platform::status(layout).await?;
    let trouble = |part: &PartStatus| part.trouble.as_ref().map(|why| format!("\n  {}: {why}", part.name));
    let troubles: String = parts.iter().filter_map(trouble).collect();
    anyhow::ensure!(troubles.is_empty(), "the system is not up; `make up` starts what is missing{troubles}");
    Ok(parts)
}

/// The processes of these parts, each ready; others may be down.
///
/// # Errors
/// One is not.
pub async fn servers<const N: usize>(layout: &Layout, names: [&str; N]) -> anyhow::Result<[i32; N]> {
    let parts = platform::status(layout).await?;
    let mut pids = [0; N];
    for (pid, name) in pids.iter_mut().zip(names) {
        let ready = parts.iter().find(|part| part.name.to_string() == name && part.trouble.is_none());
        *pid = ready.and_then(|part| part.pid).with_context(|| format!("{name} is not up; `make up` starts it"))?;
    }
    Ok(pids)
}

/// The document can be written where it should be.
///
/// # Errors
/// Its folder is not there.
pub fn document(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(folder.is_dir(), "there is no folder {} to write to; --out names another file", folder.display());
    Ok(())
}

/// What the replay needs: the month's data, and a system without orders. Orders that were replayed before would be answered from
/// memory, and what earlier loads left behind makes one run hard to compare with the next.
///
/// # Errors
/// The data is not here, or there are orders.
pub async fn replay(layout: &Layout, month: &str, folder: Option<&Path>) -> anyhow::Result<()> {
    let found = data::find(folder, month);
    found.with_context(|| format!("the orders of {month} are not here\n{}", data::WHERE_TO_GET_IT))?;
    for region in Region::ALL {
        let mut connection = order_database(layout, region).await?;
        let any: bool =
            sqlx::query_scalar("select exists (select from customer_order)").fetch_one(&mut connection).await?;
        anyhow::ensure!(!any, "region {region} has orders already, so a replay would measure something else: {FRESH}");
    }
    Ok(())
}

async fn order_database(layout: &Layout, region: Region) -> anyhow::Result<PgConnection> {
    let mut url: reqwest::Url = commits::admin_url(&layout.run_dir, region)?.parse()?;
    url.set_path("order");
    commits::connect(url.as_str()).await
}

/// What the search for the highest rate needs beside the system: pgbench, for the ceiling.
///
/// # Errors
/// It is not here.
pub fn checkout() -> anyhow::Result<()> {
    ceiling::find_pgbench().map(drop)
}
