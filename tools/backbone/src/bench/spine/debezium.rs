//! Kafka Connect with Debezium's connector, as `deploy/debezium/` configures it, in the relay's place.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use super::ground::Ground;
use crate::platform::Layout;

const WORKER: &str = include_str!("../../../../../deploy/debezium/worker.properties");
const CONNECTOR: &str = include_str!("../../../../../deploy/debezium/outbox.properties");
const LOGGING: &str = include_str!("../../../../../deploy/debezium/log4j2.xml");
const SLOT: &str = "backbone_spine";

/// The connector's process.
pub struct Debezium(Child);

/// Where `deploy/debezium/fetch` puts the jars, if it has.
pub fn jars(layout: &Layout) -> Option<PathBuf> {
    Some(layout.kafka_dir.with_file_name("debezium")).filter(|folder| folder.join("pom.xml").is_file())
}

impl Debezium {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(layout: &Layout, jars: &Path, ground: &Ground) -> anyhow::Result<Self> {
        let folder = layout.run_dir.join("bench-debezium");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = |name: &str, text: &str| -> anyhow::Result<PathBuf> {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(file)
        };
        let offsets = folder.join("offsets");
        // Of an earlier run, whose slot is gone.
        let _ = std::fs::remove_file(&offsets);
        let (worker, connector) = (file("worker.properties", WORKER)?, file("outbox.properties", CONNECTOR)?);
        let logging = file("log4j2.xml", LOGGING)?;
        let log = std::fs::File::create(folder.join("log")).context("cannot write its log")?;
        let url: reqwest::Url = ground.url.parse()?;
        let child = Command::new("java")
            // As small as it runs well in: with half as much it spends its time collecting garbage.
            .args(["-Xmx256m", "-XX:+UseSerialGC"])
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .args(["-cp", &format!("{}/*", jars.display()), "org.apache.kafka.connect.cli.ConnectStandalone"])
            .args([worker, connector])
            .env("KAFKA_BROKERS", &ground.brokers)
            .env("CONNECT_LISTEN", "127.0.0.1:0")
            .env("CONNECT_OFFSETS", offsets)
            .env("OUTBOX_DATABASE_HOST", url.host_str().unwrap_or_default())
            .env("OUTBOX_DATABASE_PORT", url.port().unwrap_or(5432).to_string())
            .env("OUTBOX_DATABASE_NAME", url.path().trim_start_matches('/'))
            .env("OUTBOX_DATABASE_USER", url.username())
            .env("OUTBOX_DATABASE_PASSWORD", url.password().unwrap_or_default())
            .env("OUTBOX_SLOT", SLOT)
            .env("OUTBOX_SOURCE", "/regions/east/services/bench")
            .stdout(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .context("cannot start java")?;
        Ok(Self(child))
    }

    /// Its process; 0 when it has ended, which is nobody's.
    pub fn pid(&self) -> i32 {
        self.0.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default()
    }

    /// Ends it. Its slot goes with the database.
    ///
    /// # Errors
    /// The system's.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.0.kill().await?)
    }
}
