//! December 2010 against the fake marketplace: what the client itself costs. Run it by name, with `--ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake;

use std::path::Path;

use backbone::replay::expected::Expected;
use backbone::replay::run::Run;
use backbone::replay::{data, replay};

#[tokio::test]
#[ignore = "needs the data set, and half a minute of a processor"]
async fn all_of_december_is_replayed_and_reconciled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = [root.join("../shared/data/online-retail"), root.join("data/online-retail")];
    let folder = folders.iter().find(|folder| folder.join("2010-12.csv.gz").is_file()).unwrap();
    let (deployment, _) = fake::start(fake::Vices::default()).await;
    let month = data::read_month(folder, "2010-12").unwrap();
    let expected = Expected::of(&month);
    let run = Run::new(&deployment, month, 16).unwrap();
    let outcome = replay(&run, &deployment, &expected).await.unwrap();
    eprintln!("{}", serde_json::to_string_pretty(&outcome.measured).unwrap());
    assert!(outcome.is_ok(), "{:?}", run.failures());
}
