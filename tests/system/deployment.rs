//! The system under test.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use backbone::platform::{self, Layout, Options, Part, PartName, Prefix, Settings, secrets};
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::{Offer, UpsertOffersRequest};
use contracts::inventory::v1::inventory_service_client::InventoryServiceClient;
use contracts::inventory::v1::{BatchGetStockRequest, ReceiveStockRequest, StockLevel, StockLine};
use contracts::money::v1::Money;
use ids::Region;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::client::Shopper;

/// Two regions, up and seeded.
pub struct Deployment {
    pub layout: Layout,
}

impl Deployment {
    /// Wipes what an earlier run left and brings the system up.
    pub async fn bring_up() -> Result<Self> {
        let settings = Settings {
            east: Prefix::new(101, 0),
            west: Prefix::new(102, 0),
            outside: Prefix::new(103, 0),
            ..Settings::default()
        };
        Self::bring_up_in(&run_dir(), settings).await
    }

    /// Brings up another system beside the one that all scenarios share, to be broken for good: the caller takes it down.
    pub async fn bring_up_apart(brokers: u8) -> Result<Self> {
        let (east, west, outside) = (Prefix::new(106, 0), Prefix::new(107, 0), Prefix::new(108, 0));
        let settings = Settings { east, west, outside, brokers, ..Settings::default() };
        Self::bring_up_in(&run_dir().with_extension("apart"), settings).await
    }

    async fn bring_up_in(run_dir: &Path, settings: Settings) -> Result<Self> {
        platform::down(run_dir, true, &|_| {}).await?;
        let layout = Layout::new(run_dir, settings)?;
        platform::up(&layout, &Options::default(), &report).await?;
        Ok(Self { layout })
    }

    /// Takes it down; its data and logs stay only when a scenario failed.
    pub async fn tear_down(&self, failed: bool) -> Result<()> {
        if failed {
            report(&format!("logs are kept in {}", self.layout.run_dir.join("log").display()));
        }
        platform::down(&self.layout.run_dir, !failed, &|_| {}).await?;
        Ok(())
    }

    /// A new shopper at a region's front door.
    pub async fn shopper(&self, region: Region) -> Result<Shopper> {
        Shopper::at(&self.front_door(region)).await
    }

    /// Where a region's shoppers come in.
    pub fn front_door(&self, region: Region) -> String {
        format!("http://{}", self.layout.bff(region))
    }

    /// A service's gRPC address: cart is host 11, inventory 12, payment 13, order 14.
    pub fn grpc(&self, region: Region, host: u8) -> String {
        format!("http://{}", self.layout.address(region, host, 50_051))
    }

    /// An offer of our own at `price` pence, with this many units in each region. Returns its id.
    pub async fn offer(&self, price: i64, east: i64, west: i64) -> Result<String> {
        let offer_id = format!("test-{}", Uuid::now_v7().simple());
        for (region, units) in [(Region::East, east), (Region::West, west)] {
            let inventory = self.grpc(region, 12);
            let offer = Offer {
                offer_id: offer_id.clone(),
                seller_id: "test-seller".to_owned(),
                title: "Test offer".to_owned(),
                unit_price: Some(Money { minor_units: price, currency_code: "GBP".to_owned() }),
                attributes: Default::default(),
            };
            let upsert = UpsertOffersRequest { offers: vec![offer], ..Default::default() };
            CatalogServiceClient::connect(inventory.clone()).await?.upsert_offers(upsert).await?;
            if units > 0 {
                let lines = vec![StockLine { offer_id: offer_id.clone(), units }];
                let receipt = ReceiveStockRequest { receipt_id: Uuid::now_v7().to_string(), lines };
                InventoryServiceClient::connect(inventory).await?.receive_stock(receipt).await?;
            }
        }
        Ok(offer_id)
    }

    /// What a region holds of an offer.
    pub async fn stock(&self, region: Region, offer_id: &str) -> Result<StockLevel> {
        let request = BatchGetStockRequest { offer_ids: vec![offer_id.to_owned()] };
        let mut inventory = InventoryServiceClient::connect(self.grpc(region, 12)).await?;
        let levels = inventory.batch_get_stock(request).await?.into_inner().levels;
        levels.into_iter().next().context("no level")
    }

    /// Waits until an offer's stock in a region is as `done` says. Bounded: half a minute.
    pub async fn stock_until(
        &self,
        region: Region,
        offer_id: &str,
        done: impl Fn(&StockLevel) -> bool,
    ) -> Result<StockLevel> {
        for _ in 0..150 {
            let level = self.stock(region, offer_id).await?;
            if done(&level) {
                return Ok(level);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("stock of {offer_id} in {region} stays {:?}", self.stock(region, offer_id).await?)
    }

    /// A superuser's connection to a service's database: for tests that tamper.
    pub async fn database(&self, region: Region, service: &str) -> Result<PgConnection> {
        let url = secrets::superuser_url(&self.layout, region, service)?;
        Ok(PgConnection::connect(&url).await?)
    }

    pub async fn stop(&self, part: &str) -> Result<()> {
        Ok(platform::stop(&self.layout, &part_name(part)?, &|_| {}).await?)
    }

    pub async fn kill(&self, part: &str) -> Result<()> {
        Ok(platform::kill(&self.layout, &part_name(part)?, &|_| {}).await?)
    }

    /// Starts a part changed, for as long as its process lives.
    pub async fn start_changed(&self, part: &str, change: impl FnOnce(&mut Part)) -> Result<()> {
        Ok(platform::start_changed(&self.layout, &part_name(part)?, &|_| {}, change).await?)
    }

    pub async fn start(&self, part: &str) -> Result<()> {
        Ok(platform::start(&self.layout, &part_name(part)?, &|_| {}).await?)
    }

    /// Runs the command line as a user does, on this system. Its output goes to ours.
    pub async fn backbone(&self, arguments: &[String]) -> Result<std::process::ExitStatus> {
        let mut command = tokio::process::Command::new(self.layout.bin_dir.join("backbone"));
        command.arg("--run-dir").arg(&self.layout.run_dir).args(arguments);
        command.status().await.context("cannot run backbone")
    }

    /// Runs the command line and returns what it printed.
    pub async fn backbone_says(&self, arguments: &[&str]) -> Result<(std::process::ExitStatus, String)> {
        let mut command = tokio::process::Command::new(self.layout.bin_dir.join("backbone"));
        command.arg("--run-dir").arg(&self.layout.run_dir).args(arguments).stderr(std::process::Stdio::inherit());
        let output = command.output().await.context("cannot run backbone")?;
        Ok((output.status, String::from_utf8(output.stdout).context("backbone printed no text")?))
    }

    /// Sets the provider's fault panel; an empty object ends all faults.
    pub async fn provider_faults(&self, faults: serde_json::Value) -> Result<()> {
        let request = reqwest::Client::new().put(format!("http://{}/faults", self.layout.psp())).json(&faults);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

fn part_name(part: &str) -> Result<PartName> {
    PartName::from_str(part).with_context(|| format!("part {part}"))
}

/// Under the checkout's own folder for what tests leave, unless the environment says where.
fn run_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("BACKBONE_TEST_RUN_DIR").map_or_else(|| root.join(".run-test/system"), PathBuf::from)
}

#[allow(clippy::print_stdout, reason = "progress of a long test")]
pub fn report(line: &str) {
    println!("{line}");
}
