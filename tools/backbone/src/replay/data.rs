//! Finding and reading the data set, which the repository does not hold.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;

use super::expected::Expected;
use super::plan::{self, Month};
use super::rows;

/// Where it is looked for when no `--data` is given.
const FOLDERS: [&str; 2] = ["../shared/data/online-retail", "data/online-retail"];

/// What to tell someone who does not have it.
pub const WHERE_TO_GET_IT: &str = "\
It is the UCI data set 352, \"Online Retail\" by Daqing Chen, doi 10.24432/C5BW33, licence CC BY 4.0:
  https://archive.ics.uci.edu/dataset/352/online+retail
Put one gzip CSV a month, named such as 2010-12.csv.gz, into data/online-retail (or name a folder with --data).
The columns are those published, with this heading and prices as decimal text:
  InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
An expected.json beside them ({\"2010-12\": {\"orders\": …}}) is checked against when it is there.";

/// The folder that holds `month`: `--data` if given, else the first usual one that has it.
pub fn find(data: Option<&Path>, month: &str) -> Option<PathBuf> {
    let folders: Vec<&Path> = data.map_or_else(|| FOLDERS.iter().map(Path::new).collect(), |folder| vec![folder]);
    folders.into_iter().find(|folder| file(folder, month).is_file()).map(Path::to_owned)
}

fn file(folder: &Path, month: &str) -> PathBuf {
    folder.join(format!("{month}.csv.gz"))
}

/// Reads and plans a month.
///
/// # Errors
/// The file cannot be read or is not as published.
pub fn read_month(folder: &Path, month: &str) -> anyhow::Result<Month> {
    let path = file(folder, month);
    let csv = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let rows = rows::read(GzDecoder::new(csv)).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(plan::plan(month, rows)?)
}

/// Reads what the month must come to; `None` when the folder has no `expected.json`.
///
/// # Errors
/// The file is there but cannot be read, or lacks the month.
pub fn read_expected(folder: &Path, month: &str) -> anyhow::Result<Option<Expected>> {
    let path = folder.join("expected.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut months: BTreeMap<String, Expected> =
        serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))?;
    let expected = months.remove(month).with_context(|| format!("{} has no {month}", path.display()))?;
    Ok(Some(expected))
}
