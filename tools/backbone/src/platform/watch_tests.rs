use std::sync::Mutex;

use super::super::layout::{Prefix, Settings};
use super::super::{control, down, secrets};
use super::*;

const REDIS: &str = "east/redis";

#[test]
fn restarts_come_ever_more_slowly_and_end() {
    let delays: Vec<u64> = (0..=TRIES_MAX).map_while(delay).map(|delay| delay.as_secs()).collect();
    assert_eq!(delays[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(delays.len(), 16);
    assert!(delay(u32::MAX).is_none());
}

#[test]
fn status_tells_who_watches_and_what_was_given_up() {
    let identity = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let last_at = DateTime::from_timestamp(0, 0);
    let given_up = Restarts { all: 16, tries: 16, last_at, given_up: true };
    let restarts = BTreeMap::from([
        ("east/kafka".parse().unwrap(), Restarts { all: 2, tries: 1, last_at, given_up: false }),
        ("west/kafka".parse().unwrap(), given_up),
    ]);
    let text = Watch::summary(Some(&Watch { identity, restarts }));
    for expected in [
        "watched by pid",
        "east/kafka restarted 2 times, last at 00:00:00 UTC",
        "west/kafka given up after 16 tries (`backbone start west/kafka`)",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert!(Watch::summary(None).starts_with("not watched"));
}

/// A folder and addresses of our own, with a Redis in it.
async fn redis() -> (tempfile::TempDir, Layout, PartName) {
    let folder = tempfile::tempdir().unwrap();
    let [east, west, outside] = [201, 202, 203].map(|zone| Prefix::new(109, zone));
    let settings = Settings { east, west, outside, ..Settings::default() };
    let layout = Layout::new(&folder.path().join("run"), settings).unwrap();
    let runner = Runner::open(&layout, &|_| {}).await.unwrap();
    for kind in ["data", "conf", "log"].map(|kind| layout.run_dir.join(kind)) {
        runner.account.make_dir(&kind).unwrap();
        runner.account.make_dir(&kind.join("east")).unwrap();
    }
    secrets::ensure(&layout, &runner.account).unwrap();
    drop(runner);
    let name: PartName = REDIS.parse().unwrap();
    control::start(&layout, &name, &|_| {}).await.unwrap();
    (folder, layout, name)
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_ends_by_itself_is_started_again_and_what_an_operator_ends_is_not() {
    let (_folder, layout, name) = redis().await;
    let running = || control::running(&layout, &name).unwrap();
    let told = Mutex::new(String::new());
    let progress = |line: &str| told.lock().unwrap().push_str(line);
    let interrupt = CancellationToken::new();
    let scenario = async {
        let first = running().unwrap();
        // As a crash: nobody ordered it.
        first.kill().await.unwrap();
        let second = until("a restart", running).await;
        assert_ne!(second.pid, first.pid);
        let watch = until("a record of it", || State::load(&layout.run_dir).unwrap().unwrap().watch).await;
        until("a count of it", || {
            let watch = State::load(&layout.run_dir).unwrap().unwrap().watch?;
            watch.restarts.get(&name).filter(|done| done.all == 1).cloned()
        })
        .await;
        assert!(watch.identity.is_alive());

        // While a drill is at work, nothing is mended.
        let hold = Hold::take(&layout.run_dir).unwrap();
        second.kill().await.unwrap();
        sleep(LOOK_EVERY * 4).await;
        assert!(running().is_none(), "held off");
        drop(hold);
        until("a restart after the hold", running).await;

        // The last part that ran is ended by order: the watch has nothing left to do.
        control::stop(&layout, &name, &|_| {}).await.unwrap();
    };
    let watching = watch(&layout, interrupt.clone(), &progress);
    let (watched, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(60), watching), scenario);
    watched.unwrap().unwrap();
    assert!(running().is_none());
    assert!(told.lock().unwrap().contains("everything was stopped by order"));
    down::down(&layout.run_dir, true, &|_| {}).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_part_that_never_runs_well_is_given_up_and_taken_up_again_when_somebody_starts_it() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path(), Settings::default()).unwrap();
    let own = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    // A process that has ended: our number, started at another time.
    let mut ended = serde_json::to_value(&own).unwrap();
    ended["started_ticks"] = 1.into();
    let ended: Identity = serde_json::from_value(ended).unwrap();
    let name: PartName = REDIS.parse().unwrap();
    let started = |identity: &Identity| super::super::state::Started {
        identity: identity.clone(),
        started_at: Utc::now(),
        wave: super::super::part::Wave::Servers,
        stop_signal: super::super::part::StopSignal::Terminate,
        predecessor: None,
    };
    let mut state = State::new(Settings::default());
    state.parts.insert(name.clone(), started(&ended));
    let mut watcher = Watcher {
        layout: &layout,
        progress: &|_| {},
        alive: BTreeMap::new(),
        due: BTreeMap::new(),
        restarts: BTreeMap::new(),
    };
    let (begin, mut now, mut starts) = (Instant::now(), Instant::now(), 0);
    while now - begin < Duration::from_secs(3600) {
        for name in watcher.look(&state, now) {
            // What a start does that fails.
            watcher.due.remove(&name);
            watcher.restarts.get_mut(&name).unwrap().tries += 1;
            starts += 1;
        }
        now += LOOK_EVERY;
    }
    assert_eq!(starts, TRIES_MAX);
    assert!(watcher.restarts[&name].given_up);
    state.parts.insert(name.clone(), started(&own));
    assert!(watcher.look(&state, now).is_empty());
    assert_eq!(watcher.restarts[&name], Restarts::default());
    // A good run of a minute, and the next end counts as the first again.
    watcher.restarts.get_mut(&name).unwrap().tries = 5;
    watcher.look(&state, now + WELL_AFTER);
    assert_eq!(watcher.restarts[&name].tries, 0);
}
