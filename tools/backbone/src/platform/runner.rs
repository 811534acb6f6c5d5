//! Starts and stops parts, one command at a time, and keeps the record of what runs.

use std::sync::Mutex;
use std::sync::PoisonError;

use chrono::Utc;
use futures::future::{join_all, try_join_all};
use tokio::process::Child;
use tokio::time::{Duration, Instant, sleep};

use super::account::Account;
use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Kind, Part, PartName, START_LIMIT, Wave};
use super::process::{self, Identity};
use super::state::{Lock, Started, State};
use super::watch::Watch;
use super::{Progress, kafka, log_bound, postgres, ready, tool};

/// How often a part is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The right to change one system, with its record.
pub struct Runner<'a> {
    /// Where everything is.
    pub layout: &'a Layout,
    /// Who runs it.
    pub account: Account,
    /// Told of each step.
    pub progress: Progress<'a>,
    state: Mutex<State>,
    started_here: Mutex<Vec<PartName>>,
    _lock: Lock,
}

impl<'a> Runner<'a> {
    /// Takes the run directory's lock and reads its record.
    ///
    /// # Errors
    /// Another command is at work, or the directory was set up with other settings.
    pub async fn open(layout: &'a Layout, progress: Progress<'a>) -> Result<Self, PlatformError> {
        let lock = Lock::take(&layout.run_dir).await?;
        let state = match State::load(&layout.run_dir)? {
            Some(state) if state.settings != layout.settings => {
                return Err(PlatformError::OtherSettings {
                    run_dir: layout.run_dir.clone(),
                    stored: state.settings.to_string(),
                    asked: layout.settings.to_string(),
                });
            }
            Some(state) => state,
            None => State::new(layout.settings.clone()),
        };
        let account = Account::of(layout)?;
        log_bound::keep(layout);
        Ok(Self { layout, account, progress, state: Mutex::new(state), started_here: Mutex::default(), _lock: lock })
    }

    /// The process of a part, when it really runs.
    pub fn running(&self, part: &PartName) -> Option<Identity> {
        self.with_state(|state| state.running(part).map(|started| started.identity.clone()))
    }

    /// Whether an operator ended it, and none has started it since.
    pub fn is_ended_by_order(&self, part: &PartName) -> bool {
        self.with_state(|state| state.ended_by_order.contains(part))
    }

    /// Records what the watch did.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn note_watch(&self, watch: Watch) -> Result<(), PlatformError> {
        self.change(|state| state.watch = Some(watch))
    }

    /// Starts a part that does not run, and leaves it to others to see whether it gets ready.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn start_unattended(&self, part: &Part) -> Result<Identity, PlatformError> {
        self.make_way(part).await?;
        // Dropping the handle leaves the process alone, and the runtime still reaps it.
        self.spawn(part, None).map(|(_child, identity)| identity)
    }

    /// Starts those that do not run, all at once, and waits until each is ready.
    ///
    /// # Errors
    /// The first that fails; others may still be starting.
    pub async fn start_all(&self, parts: impl IntoIterator<Item = &Part>) -> Result<(), PlatformError> {
        try_join_all(parts.into_iter().map(|part| self.start(part))).await.map(|_| ())
    }

    /// Starts a part unless it runs, and waits until it is ready.
    ///
    /// # Errors
    /// It ended, or did not get ready in time; the error has its last log lines.
    pub async fn start(&self, part: &Part) -> Result<(), PlatformError> {
        let begin = Instant::now();
        if let Some(identity) = self.running(&part.name) {
            self.await_ready(part, &identity, None).await?;
            self.say(&part.name, "runs already");
            return Ok(());
        }
        self.make_way(part).await?;
        let (child, identity) = self.spawn(part, None)?;
        self.await_ready(part, &identity, Some(child)).await?;
        self.say(&part.name, &format!("ready after {:.1} s", begin.elapsed().as_secs_f32()));
        Ok(())
    }

    /// What comes before a start.
    async fn make_way(&self, part: &Part) -> Result<(), PlatformError> {
        // The one before may have ended just now.
        if let Some(previous) = self.with_state(|state| state.parts.get(&part.name).cloned()) {
            previous.identity.await_reaped().await;
        }
        self.prepare(part).await
    }

    /// Starts the next process of a service beside the one that runs, and ends that one when the next is ready: in good order, so that
    /// nobody is turned away, or at once. One that does not run is started.
    ///
    /// # Errors
    /// As [`Self::start`]; the one that ran then still does.
    pub async fn take_over(&self, part: &Part, at_once: bool) -> Result<(), PlatformError> {
        let begin = Instant::now();
        let Some(last) = self.start_beside(part).await? else { return Ok(()) };
        let ready = begin.elapsed();
        self.end_predecessor(part, &last, at_once).await?;
        let (ready, all) = (ready.as_secs_f32(), begin.elapsed().as_secs_f32());
        self.say(
            &part.name,
            &format!("restarted: the next was ready after {ready:.1} s, the last gone after {all:.1} s"),
        );
        Ok(())
    }

    /// The first half of [`Self::take_over`]. Returns the process that runs beside the new one; `None` when none ran.
    ///
    /// # Errors
    /// As [`Self::start`]; the one that ran then still does.
    pub async fn start_beside(&self, part: &Part) -> Result<Option<Identity>, PlatformError> {
        let Some(running) = self.running(&part.name) else {
            self.start(part).await?;
            return Ok(None);
        };
        let (child, identity) = self.spawn(part, Some(running.clone()))?;
        if let Err(error) = self.await_ready(part, &identity, Some(child)).await {
            identity.kill().await?;
            self.settle(part, running)?;
            return Err(error);
        }
        Ok(Some(running))
    }

    /// The second half of [`Self::take_over`].
    ///
    /// # Errors
    /// It does not end.
    pub async fn end_predecessor(&self, part: &Part, last: &Identity, at_once: bool) -> Result<(), PlatformError> {
        if at_once {
            last.kill().await?;
        } else {
            last.stop(part.stop_signal).await?;
        }
        match self.running(&part.name) {
            Some(identity) => self.settle(part, identity),
            None => Ok(()),
        }
    }

    /// Records that `identity` alone runs the part now.
    fn settle(&self, part: &Part, identity: Identity) -> Result<(), PlatformError> {
        let (wave, stop_signal) = (part.wave, part.stop_signal);
        self.record(
            part.name.clone(),
            Started { identity, started_at: Utc::now(), wave, stop_signal, predecessor: None },
        )
    }

    /// Makes what the process needs to find.
    async fn prepare(&self, part: &Part) -> Result<(), PlatformError> {
        if let Some(configuration) = &part.configuration {
            self.account.write(&self.layout.conf(&part.name), configuration)?;
        }
        match part.kind {
            Kind::Postgres => postgres::initialise(self.layout, &self.account, part).await,
            Kind::Kafka => kafka::initialise(self.layout, &self.account, part).await,
            Kind::Redis | Kind::Psp => self.account.make_dir(&self.layout.data(&part.name)),
            Kind::Service | Kind::Wan => Ok(()),
        }
    }

    /// Starts the process and records it, with nothing in between at which we could be interrupted.
    fn spawn(&self, part: &Part, predecessor: Option<Identity>) -> Result<(Child, Identity), PlatformError> {
        let (mut child, identity) = process::spawn(part, self.layout, &self.account)?;
        let started = Started {
            identity: identity.clone(),
            started_at: Utc::now(),
            wave: part.wave,
            stop_signal: part.stop_signal,
            predecessor,
        };
        self.started_here.lock().unwrap_or_else(PoisonError::into_inner).push(part.name.clone());
        if let Err(error) = self.record(part.name.clone(), started) {
            // On a full disk, say. Nobody would know of this process, and it would hold the addresses against the next one.
            let _ = child.start_kill();
            return Err(error);
        }
        Ok((child, identity))
    }

    async fn await_ready(
        &self,
        part: &Part,
        identity: &Identity,
        mut child: Option<Child>,
    ) -> Result<(), PlatformError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                return Err(tool::failed(self.layout, &part.name, format!("ended while starting ({status})")));
            }
            if !identity.is_alive() {
                return Err(tool::failed(self.layout, &part.name, "ended while we waited for it".to_owned()));
            }
            let Err(why) = ready::ask(&part.probe, identity.pid).await else { return Ok(()) };
            if Instant::now() >= deadline {
                let why = format!("not ready after {} s: {why}", START_LIMIT.as_secs());
                return Err(tool::failed(self.layout, &part.name, why));
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Stops a part in good order, or kills it at once. Returns whether it ran.
    ///
    /// # Errors
    /// It belongs to another account, or does not end.
    pub async fn end(&self, part: &PartName, at_once: bool) -> Result<bool, PlatformError> {
        // Left over when a command that was to replace it was interrupted.
        if let Some(left) = self.with_state(|state| state.parts.get(part).and_then(|part| part.predecessor.clone())) {
            left.kill().await?;
        }
        // Before it ends, or the watch would take it for one that ended by itself.
        let known = self.with_state(|state| state.parts.contains_key(part) && !state.ended_by_order.contains(part));
        let order = |state: &mut State| {
            state.ended_by_order.insert(part.clone());
        };
        if known && let Err(error) = self.change(order) {
            // A full disk keeps nobody from stopping things.
            self.say(part, &format!("the order could not be recorded: {error}"));
        }
        let Some(started) = self.with_state(|state| state.running(part).cloned()) else { return Ok(false) };
        let begin = Instant::now();
        let killed = if at_once {
            started.identity.kill().await?;
            true
        } else {
            started.identity.stop(started.stop_signal).await?
        };
        let how = if killed { "killed" } else { "stopped" };
        self.say(part, &format!("{how} after {:.1} s", begin.elapsed().as_secs_f32()));
        Ok(true)
    }

    /// Stops what this command started, the last wave first.
    pub async fn undo(&self) {
        let names = std::mem::take(&mut *self.started_here.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = self.end_all(|part| names.contains(part)).await {
            (self.progress)(&format!("{error}; `make down` tries again"));
        }
    }

    /// Stops every part that is chosen, the last wave first. One that will not end does not keep the others running.
    ///
    /// # Errors
    /// The first that would not end.
    pub async fn end_all(&self, chosen: impl Fn(&PartName) -> bool) -> Result<(), PlatformError> {
        let mut outcome = Ok(());
        for wave in Wave::ALL.into_iter().rev() {
            let names: Vec<PartName> = self.with_state(|state| {
                state
                    .parts
                    .iter()
                    .filter(|(name, part)| part.wave == wave && chosen(name))
                    .map(|(name, _)| name.clone())
                    .collect()
            });
            let results = join_all(names.iter().map(|name| self.end(name, false))).await;
            outcome = results.into_iter().find_map(Result::err).map_or(outcome, Err);
        }
        outcome
    }

    fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, part: PartName, started: Started) -> Result<(), PlatformError> {
        self.change(|state| {
            state.ended_by_order.remove(&part);
            state.parts.insert(part, started);
        })
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), PlatformError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.save(&self.layout.run_dir)
    }

    fn say(&self, part: &PartName, what: &str) {
        (self.progress)(&format!("  {:<16} {what}", part.to_string()));
    }
}
