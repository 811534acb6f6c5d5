//! A month of real orders, replayed by the same command that a user runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::Scenarios;
use crate::deployment::{Deployment, report};

const MONTH: &str = "2010-12";

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    // The data set is not part of the repository. Where it is absent the scenario is listed as ignored, never as passed.
    let absent = backbone::replay::data::find(data_folder().as_deref(), MONTH).is_none();
    if absent {
        report(&format!(
            "NOT RUN: the replay of {MONTH}; its data is absent.\n{}",
            backbone::replay::data::WHERE_TO_GET_IT
        ));
    }
    let replays = [
        scenarios.trial("a_replay_of_december_2010_reconciles_to_the_penny_and_the_unit", replayed),
        scenarios.trial("the_same_replay_again_changes_nothing", replayed),
    ];
    replays.into_iter().map(|trial| trial.with_ignored_flag(absent)).collect()
}

/// The folder as seen from the checkout's root, whatever folder the tests run in.
fn data_folder() -> Option<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = [root.join("../shared/data/online-retail"), root.join("data/online-retail")];
    folders.into_iter().find(|folder| folder.is_dir())
}

/// Exit status 0 means that every figure agrees with the data set's own totals, and that nothing failed on the way.
async fn replayed(deployment: Arc<Deployment>) -> Result<()> {
    let mut arguments = vec!["replay".to_owned(), "--month".to_owned(), MONTH.to_owned()];
    if let Some(folder) = data_folder() {
        arguments.extend(["--data".to_owned(), folder.display().to_string()]);
    }
    let status = deployment.backbone(&arguments).await?;
    ensure!(status.success(), "the replay ended with {status}");
    Ok(())
}
