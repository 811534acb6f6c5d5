//! The shipper's passes over all carts: compare a page, repair what differs, go on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::shipper::Effect;
use crate::{Config, Digest, Listing, ToReceiver};

/// One pass after the other, one page at a time.
#[derive(Debug)]
pub(crate) struct AntiEntropy<I> {
    phase: Phase<I>,
    /// The pass has done everything up to here; `None` at its beginning.
    cursor: Option<I>,
    /// Begin the next page then.
    due_at: Duration,
    /// The last number given to a request. Answers to earlier ones are ignored.
    request: u64,
    /// Answers of this pass that stayed away for too long. Each doubles the next wait: an answer that takes longer than the wait comes
    /// when its request is given up already, so that with a fixed wait a slow link or disk would keep a page from ever being done.
    late: u32,
}

/// 64 times [`Config::resend_after`]: a minute.
const LATE_MAX: u32 = 6;

#[derive(Debug)]
enum Phase<I> {
    Paused,
    ReadingDigests,
    Comparing {
        page: Vec<(I, Digest)>,
        since: Duration,
    },
    ReadingStates {
        differing: Vec<I>,
        through: I,
    },
    Repairing {
        /// What did not fit the message.
        rest: Vec<I>,
        through: I,
        since: Duration,
    },
}

impl<I: Ord + Clone> AntiEntropy<I> {
    /// The first pass is due at once: a new stream often means that something went wrong.
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Paused, cursor: None, due_at: Duration::ZERO, request: 0, late: 0 }
    }

    /// Begins a new pass now, instead of going on with this one.
    pub(crate) fn start_over(&mut self, now: Duration) {
        self.phase = Phase::Paused;
        self.cursor = None;
        self.due_at = now;
    }

    /// Begins the next page when it is due, or gives up on an answer that stays away. Comparing means little while a backlog is
    /// on its way, so `caught_up` must hold for a page to begin.
    pub(crate) fn advance<P>(
        &mut self,
        caught_up: bool,
        config: &Config,
        now: Duration,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        match &self.phase {
            Phase::Comparing { since, .. } | Phase::Repairing { since, .. }
                if now >= *since + self.patience(config) =>
            {
                self.late = (self.late + 1).min(LATE_MAX);
                self.phase = Phase::Paused;
                self.due_at = now;
            }
            _ => {}
        }
        if matches!(self.phase, Phase::Paused) && caught_up && now >= self.due_at {
            self.phase = Phase::ReadingDigests;
            let (request, after) = (self.next_request(), self.cursor.clone());
            effects.push(Effect::ReadDigests { request, after, limit: config.page_carts_max });
        }
    }

    pub(crate) fn wake_at(&self, caught_up: bool, config: &Config) -> Option<Duration> {
        match &self.phase {
            Phase::Paused => caught_up.then_some(self.due_at),
            Phase::Comparing { since, .. } | Phase::Repairing { since, .. } => Some(*since + self.patience(config)),
            Phase::ReadingDigests | Phase::ReadingStates { .. } => None,
        }
    }

    pub(crate) fn digests<P>(
        &mut self,
        request: u64,
        page: Vec<(I, Digest)>,
        config: &Config,
        now: Duration,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        if request != self.request || !matches!(self.phase, Phase::ReadingDigests) {
            return;
        }
        let Some((last, _)) = page.last() else {
            self.phase = Phase::Paused;
            self.cursor = None;
            self.late = 0;
            self.due_at = now + config.pass_every;
            return;
        };
        effects.push(Effect::Send(ToReceiver::Compare {
            request: self.next_request(),
            after: self.cursor.clone(),
            last: last.clone(),
            count: page.len(),
            digest: Digest::of_page(page.iter().map(|(_, digest)| *digest)),
        }));
        self.phase = Phase::Comparing { page, since: now };
    }

    pub(crate) fn compared<P>(
        &mut self,
        request: u64,
        difference: Option<Listing<I>>,
        config: &Config,
        now: Duration,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        let Phase::Comparing { page, .. } = &self.phase else { return };
        let Some((last, _)) = page.last().filter(|_| request == self.request) else { return };
        let last = last.clone();
        let Some(Listing { carts, through }) = difference else { return self.page_done(last, config, now) };
        // The list may stop short of the page's end, and the rest is then the next page. One that gets nowhere at all was made up.
        let through = if self.cursor.as_ref() < Some(&through) { through.min(last) } else { last };
        let theirs: BTreeMap<I, Digest> = carts.into_iter().collect();
        let listed = page.iter().filter(|(id, _)| *id <= through);
        let differing: Vec<I> =
            listed.filter(|(id, digest)| theirs.get(id) != Some(digest)).map(|(id, _)| id.clone()).collect();
        self.read_states(differing, through, config, now, effects);
    }

    pub(crate) fn states<P>(
        &mut self,
        request: u64,
        states: Vec<(I, P)>,
        now: Duration,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        if request != self.request {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Paused) {
            Phase::ReadingStates { differing, through } => {
                let rest = match states.last() {
                    Some((last, _)) => differing.into_iter().filter(|id| id > last).collect(),
                    None => Vec::new(),
                };
                effects.push(Effect::Send(ToReceiver::Repair { request: self.next_request(), states }));
                self.phase = Phase::Repairing { rest, through, since: now };
            }
            other => self.phase = other,
        }
    }

    pub(crate) fn repaired<P>(
        &mut self,
        request: u64,
        config: &Config,
        now: Duration,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        if request != self.request {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Paused) {
            Phase::Repairing { rest, through, .. } => self.read_states(rest, through, config, now, effects),
            other => self.phase = other,
        }
    }

    fn read_states<P>(
        &mut self,
        differing: Vec<I>,
        through: I,
        config: &Config,
        now: Duration,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        if differing.is_empty() {
            return self.page_done(through, config, now);
        }
        let (request, ids) = (self.next_request(), differing.clone());
        effects.push(Effect::ReadStates { request, ids, bytes_max: config.repair_bytes_max });
        self.phase = Phase::ReadingStates { differing, through };
    }

    fn page_done(&mut self, through: I, config: &Config, now: Duration) {
        self.phase = Phase::Paused;
        self.cursor = Some(through);
        self.due_at = now + config.page_every;
    }

    fn patience(&self, config: &Config) -> Duration {
        config.resend_after.saturating_mul(1 << self.late)
    }

    fn next_request(&mut self) -> u64 {
        self.request += 1;
        self.request
    }
}
