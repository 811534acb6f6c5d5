//! What the consumers count: events delivered, applied, skipped, given up. Deliveries beyond the distinct events are redeliveries;
//! applications beyond them are effects that happened twice.
//!
//! The counters live in the processes and die with them, so they are read often and added up over a service's processes. Two of them may
//! answer at one address: a zombie and its successor. What a killed process counted since the last look is lost: sums are then too
//! small, never too large.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ids::Region;
use sqlx::{Connection as _, PgConnection};
use tokio_util::task::AbortOnDropHandle;

use crate::platform::{Layout, Service, secrets};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For one look at one process; a dead one refuses at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Before anything is broken everybody should answer; a busy machine may need more than one try.
const FIRST_LOOKS_MAX: u32 = 10;

/// A consumer group of a region.
pub type Consumer = (Region, String);

/// What a consumer counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events whose effect committed.
    pub handled: u64,
    /// Events that were recognised and skipped.
    pub duplicates: u64,
    /// Events that went to the dead letters.
    pub dead: u64,
}

/// The metrics that are read.
const HANDLED: &str = "inbox_handled_total";
const DUPLICATES: &str = "inbox_duplicates_total";
const DEAD: &str = "inbox_dead_letters_total";
/// When the process that answers started: its name, so to speak.
const STARTED: &str = "process_start_time_seconds";

/// Region, the process's name, metric, consumer.
type Series = (Region, String, &'static str, String);

#[derive(Default)]
struct Sums {
    last: BTreeMap<Series, u64>,
    sums: BTreeMap<Consumer, Counts>,
}

impl Sums {
    /// Adds what a process has counted since the last look at it. The first look at one that was there `before` the drill counts for
    /// nothing.
    fn add(&mut self, region: Region, Page { process, series }: Page<'_>, before: bool) {
        for (metric, consumer, value) in series {
            let key = (region, process.to_owned(), metric, consumer.to_owned());
            let last = self.last.insert(key, value).unwrap_or(if before { value } else { 0 });
            self.grow(region, metric, consumer, value.saturating_sub(last));
        }
    }

    fn grow(&mut self, region: Region, metric: &str, consumer: &str, grown: u64) {
        let counts = self.sums.entry((region, consumer.to_owned())).or_default();
        match metric {
            HANDLED => counts.handled += grown,
            DUPLICATES => counts.duplicates += grown,
            _ => counts.dead += grown,
        }
    }
}

/// Reads the counters of every consumer, again and again, until it is dropped.
pub struct Counters {
    layout: Layout,
    http: reqwest::Client,
    sums: Arc<Mutex<Sums>>,
    _looking: AbortOnDropHandle<()>,
}

impl Counters {
    /// Begins to count.
    ///
    /// # Errors
    /// A process does not say what it has counted so far; without that, nobody can tell what it counts from here on.
    pub async fn start(layout: &Layout) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).pool_max_idle_per_host(0).build()?;
        let sums = Arc::default();
        let mut tries = 0;
        while let Some(silent) = look(layout, &http, &sums, true).await {
            tokio::time::sleep(LOOK_EVERY).await;
            tries += 1;
            ensure!(tries < FIRST_LOOKS_MAX, "{silent} does not answer at its admin port");
        }
        let task = {
            let (layout, http, sums) = (layout.clone(), http.clone(), Arc::clone(&sums));
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LOOK_EVERY).await;
                    look(&layout, &http, &sums, false).await;
                }
            })
        };
        Ok(Self { layout: layout.clone(), http, sums, _looking: AbortOnDropHandle::new(task) })
    }

    /// Looks now, so that what dies next takes little with it.
    pub async fn look(&self) {
        look(&self.layout, &self.http, &self.sums, false).await;
    }

    /// What was counted so far.
    pub fn sums(&self) -> BTreeMap<Consumer, Counts> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).sums.clone()
    }
}

/// Reads every process that answers, and names one that does not: during a drill it is dead, or about to be born.
async fn look(layout: &Layout, http: &reqwest::Client, sums: &Mutex<Sums>, before: bool) -> Option<String> {
    let asked = Region::ALL.into_iter().flat_map(|region| {
        Service::ALL.into_iter().filter(|service| service.has_database()).map(move |service| (region, service))
    });
    let read = futures::future::join_all(asked.map(|(region, service)| async move {
        let url = format!("http://{}/metrics", service.admin(layout, region));
        let text = async { http.get(url).send().await?.text().await }.await;
        (region, service, text.unwrap_or_default())
    }));
    let mut silent = None;
    for (region, service, text) in read.await {
        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
        match Page::parse(&text) {
            Some(page) => sums.add(region, page, before),
            None => silent = Some(format!("{region}/{}", service.name())),
        }
    }
    silent
}

/// What one process says.
struct Page<'a> {
    process: &'a str,
    series: Vec<(&'static str, &'a str, u64)>,
}

impl<'a> Page<'a> {
    /// The series of interest in Prometheus' text: `inbox_handled_total{consumer="order"} 12`.
    fn parse(text: &'a str) -> Option<Self> {
        let series = text.lines().filter_map(|line| {
            let (name, rest) = line.split_once('{')?;
            let metric = [HANDLED, DUPLICATES, DEAD].into_iter().find(|metric| *metric == name)?;
            let (labels, value) = rest.split_once("} ")?;
            let consumer = labels.split_once("consumer=\"")?.1.split('"').next()?;
            Some((metric, consumer, value.trim().parse().ok()?))
        });
        let started = text.lines().find(|line| line.starts_with(STARTED))?;
        Some(Self { process: started.rsplit(' ').next()?, series: series.collect() })
    }
}

/// How many events each consumer remembers: the distinct events that it has acted on.
///
/// # Errors
/// A database cannot be read.
pub async fn remembered(layout: &Layout) -> Result<BTreeMap<Consumer, u64>> {
    let mut remembered = BTreeMap::new();
    for region in Region::ALL {
        for service in Service::ALL.into_iter().filter(|service| service.has_database()) {
            let url = secrets::superuser_url(layout, region, service.name())?;
            let unreadable = || format!("cannot read the {region} {} database", service.name());
            let mut conn = PgConnection::connect(&url).await.with_context(unreadable)?;
            let rows: Vec<(String, i64)> = sqlx::query_as("select consumer, count(*) from inbox group by consumer")
                .fetch_all(&mut conn)
                .await
                .with_context(unreadable)?;
            remembered.extend(rows.into_iter().map(|(name, count)| ((region, name), count.unsigned_abs())));
        }
    }
    Ok(remembered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(process: &str, series: impl Into<Vec<(&'static str, &'static str, u64)>>) -> Page<'_> {
        Page { process, series: series.into() }
    }

    #[test]
    fn counts_add_up_over_a_process_and_its_successors() {
        let mut sums = Sums::default();
        for (process, value, before) in [("1", 100, true), ("1", 110, false), ("2", 4, false), ("2", 9, false)] {
            sums.add(Region::East, page(process, [(HANDLED, "order", value)]), before);
        }
        sums.add(Region::East, page("2", [(DUPLICATES, "order", 3)]), false);
        let order = sums.sums[&(Region::East, "order".to_owned())];
        assert_eq!(order, Counts { handled: 10 + 9, duplicates: 3, dead: 0 });
    }

    #[test]
    fn a_zombie_and_its_successor_that_answer_in_turn_are_told_apart() {
        let mut sums = Sums::default();
        for (process, value) in [("1", 130), ("2", 0), ("1", 130), ("2", 2), ("1", 131), ("2", 5)] {
            sums.add(Region::West, page(process, [(HANDLED, "cart", value)]), false);
        }
        assert_eq!(sums.sums[&(Region::West, "cart".to_owned())].handled, 131 + 5);
    }

    #[test]
    fn only_the_series_of_interest_are_read() {
        let text = "# TYPE inbox_handled_total counter\ninbox_handled_total{consumer=\"order\"} 12\n\
            inbox_retries_total{consumer=\"order\"} 1\ninbox_dead_letters_total{class=\"poison\",consumer=\"cart\"} 2\n\
            # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds{service=\"cart\"} 1763956800.25\n";
        let read = Page::parse(text).map(|page| (page.process, page.series));
        assert_eq!(read, Some(("1763956800.25", vec![(HANDLED, "order", 12), (DEAD, "cart", 2)])));
        assert!(Page::parse("").is_none());
    }
}
