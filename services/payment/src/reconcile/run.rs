//! One run: both lists, both ways, then whatever is still open.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::retry::Backoff;
use uuid::Uuid;

use super::{About, Difference, Kind, Report, of_intent, of_order, of_refund, of_refunds};
use crate::psp::{CallError, Page, Span, StatedIntent, StatedRefund, Statement};
use crate::store::{Booked, Store, StoreError};

/// What is younger is left out: twice the longest wait between two turns (60 s), so that what is in flight has been tried again.
pub const GRACE: Duration = Duration::from_secs(120);
/// Pages of a list in one run: 200,000 authorisations, whose ids take some 20 MB.
const PAGES_MAX: usize = 2_000;
/// Rows of ours in one query.
const ROWS: i64 = 500;
/// Things of ours that were not in the list and are asked for one by one; a run that finds more ends unfinished.
const ASKED_MAX: usize = 1_000;
/// Open differences that are looked at again and reported.
const OPEN_MAX: i64 = 1_000;
/// Tries of one question.
const TRIES_MAX: u32 = 6;
const BETWEEN_TRIES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// The run did not come to its end. What it found until then is written down.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The provider did not tell.
    #[error("the provider's books cannot be read")]
    Provider(#[from] CallError),
    /// Our own books cannot be read, or the result not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More than one run looks at.
    #[error("there is more {what} in this span than one run looks at; choose a shorter one")]
    TooMuch {
        /// Of what.
        what: &'static str,
    },
}

/// Compares the books.
#[derive(Debug)]
pub struct Reconciler<P> {
    store: Store,
    provider: Arc<P>,
    grace: Duration,
}

/// What a run has seen so far.
#[derive(Default)]
struct Seen {
    intents: HashSet<Box<str>>,
    refunds: HashSet<Box<str>>,
    counted_on: usize,
    asked: usize,
    fresh: usize,
    new: usize,
    differences: HashSet<(About, Kind, Box<str>)>,
}

impl<P: Statement> Reconciler<P> {
    /// A reconciler that leaves out what is younger than `grace`.
    pub const fn new(store: Store, provider: Arc<P>, grace: Duration) -> Self {
        Self { store, provider, grace }
    }

    /// The span of `window` that ends where what is in flight begins. `now`: since the Unix epoch.
    pub fn span(&self, now: Duration, window: Duration) -> Span {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        // One second on: times of the provider are whole seconds, rounded down.
        let to = seconds(now.saturating_sub(self.grace)) + 1;
        Span { from: to.saturating_sub(seconds(window)).max(0), to }
    }

    /// Compares everything that was made in `span`, and looks again at every open difference.
    ///
    /// # Errors
    /// [`ReconcileError`]; the next run does it all again.
    pub async fn run(&self, span: Span) -> Result<Report, ReconcileError> {
        let mut seen = Seen::default();
        self.their_intents(span, &mut seen).await?;
        self.their_refunds(span, &mut seen).await?;
        self.our_orders(span, &mut seen).await?;
        self.our_refunds(span, &mut seen).await?;
        let resolved = self.look_again(&mut seen).await?;
        let open = self.store.open_differences(OPEN_MAX).await?;
        for kind in Kind::ALL {
            let count = open.iter().filter(|open| open.difference.kind == kind).count();
            metrics::gauge!("reconciliation_differences_open", "kind" => kind.name()).set(count as f64);
        }
        Ok(Report {
            span,
            intents: seen.intents.len(),
            refunds: seen.refunds.len(),
            counted_on: seen.counted_on,
            fresh: seen.fresh,
            new: seen.new,
            resolved,
            open,
        })
    }

    async fn their_intents(&self, span: Span, seen: &mut Seen) -> Result<(), ReconcileError> {
        let mut after: Option<Box<str>> = None;
        for _ in 0..PAGES_MAX {
            let Page { data, next } = patient(|| self.provider.intents(span, after.as_deref())).await?;
            let orders: Vec<Uuid> = data.iter().filter_map(|theirs| theirs.reference.parse().ok()).collect();
            let ours = self.store.booked_payments(&orders, self.grace).await?;
            for theirs in &data {
                let ours = theirs.reference.parse().ok().and_then(|order| ours.get(&order));
                if is_fresh(ours, seen) {
                    continue;
                }
                self.note(of_intent(theirs, ours.map(|ours| &ours.row)), seen).await?;
            }
            seen.intents.extend(data.into_iter().map(|theirs| theirs.intent.id.as_str().into()));
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
        Err(ReconcileError::TooMuch { what: "payments" })
    }

    async fn their_refunds(&self, span: Span, seen: &mut Seen) -> Result<(), ReconcileError> {
        let mut after: Option<Box<str>> = None;
        for _ in 0..PAGES_MAX {
            let Page { data, next } = patient(|| self.provider.refunds(span, after.as_deref())).await?;
            let refunds: Vec<Uuid> = data.iter().filter_map(|theirs| theirs.reference.parse().ok()).collect();
            let ours = self.store.booked_refunds(&refunds, self.grace).await?;
            for theirs in &data {
                let ours = theirs.reference.parse().ok().and_then(|refund| ours.get(&refund));
                if is_fresh(ours, seen) {
                    continue;
                }
                self.note(of_refund(theirs, ours.map(|ours| &ours.row)), seen).await?;
            }
            seen.refunds.extend(data.into_iter().map(|theirs| theirs.receipt.id));
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
        Err(ReconcileError::TooMuch { what: "refunds" })
    }

    /// What we count on and the list did not have is asked for: it may only have been made a moment outside the span.
    async fn our_orders(&self, span: Span, seen: &mut Seen) -> Result<(), ReconcileError> {
        let mut after = Uuid::nil();
        loop {
            let ours = self.store.orders_counted_on(span, after, ROWS).await?;
            let Some((last, _)) = ours.last() else { return Ok(()) };
            after = *last;
            seen.counted_on += ours.len();
            for (order, intent) in ours {
                if seen.intents.contains(intent.as_str()) {
                    continue;
                }
                count_asked(seen, "payments")?;
                for difference in self.of_reference(About::Payment, &order.to_string()).await?.unwrap_or_default() {
                    self.note(Some(difference), seen).await?;
                }
            }
        }
    }

    async fn our_refunds(&self, span: Span, seen: &mut Seen) -> Result<(), ReconcileError> {
        let mut after = Uuid::nil();
        loop {
            let ours = self.store.refunds_counted_on(span, after, ROWS).await?;
            let Some((last, _)) = ours.last() else { return Ok(()) };
            after = *last;
            seen.counted_on += ours.len();
            for (refund, receipt) in ours {
                if seen.refunds.contains(receipt.as_str()) {
                    continue;
                }
                count_asked(seen, "refunds")?;
                for difference in self.of_reference(About::Refund, &refund.to_string()).await?.unwrap_or_default() {
                    self.note(Some(difference), seen).await?;
                }
            }
        }
    }

    /// Compares all that there is under a reference now; `None` when ours has just changed.
    async fn of_reference(&self, about: About, reference: &str) -> Result<Option<Vec<Difference>>, ReconcileError> {
        let id: Option<Uuid> = reference.parse().ok();
        match about {
            About::Payment => {
                let theirs: Vec<StatedIntent> = patient(|| self.provider.intents_under(reference)).await?;
                let ours = self.store.booked_payments(id.as_slice(), self.grace).await?.into_values().next();
                Ok(settled(ours).map(|ours| of_order(ours.as_ref(), &theirs)))
            }
            About::Refund => {
                let theirs: Vec<StatedRefund> = patient(|| self.provider.refunds_under(reference)).await?;
                let ours = self.store.booked_refunds(id.as_slice(), self.grace).await?.into_values().next();
                Ok(settled(ours).map(|ours| of_refunds(ours.as_ref(), &theirs)))
            }
        }
    }

    /// Looks at open differences that this run has not met, as many as one run may. Returns how many are gone.
    async fn look_again(&self, seen: &mut Seen) -> Result<usize, ReconcileError> {
        let mut resolved = 0;
        for open in self.store.longest_unseen_differences(OPEN_MAX).await? {
            let Difference { about, kind, subject, reference, .. } = &open.difference;
            if seen.differences.contains(&(*about, *kind, subject.clone())) {
                continue;
            }
            let Some(now) = self.of_reference(*about, reference).await? else { continue };
            let still = now.into_iter().find(|now| now.kind == *kind && now.subject == *subject);
            if still.is_some() {
                self.note(still, seen).await?;
            } else {
                self.store.resolve_difference(open.id).await?;
                tracing::info!(kind = kind.name(), %reference, %subject, "the books agree again");
                resolved += 1;
            }
        }
        Ok(resolved)
    }

    async fn note(&self, difference: Option<Difference>, seen: &mut Seen) -> Result<(), StoreError> {
        let Some(difference) = difference else { return Ok(()) };
        let Difference { about, kind, subject, reference, here, there } = &difference;
        if self.store.note_difference(&difference).await? {
            seen.new += 1;
            metrics::counter!("reconciliation_differences_total", "kind" => kind.name()).increment(1);
            let (about, kind) = (about.name(), kind.name());
            tracing::error!(about, kind, %reference, %subject, here, there, "the provider's books and ours differ");
        }
        seen.differences.insert((*about, *kind, subject.clone()));
        Ok(())
    }
}

fn is_fresh<T>(ours: Option<&Booked<T>>, seen: &mut Seen) -> bool {
    let is_fresh = ours.is_some_and(|ours| ours.is_fresh);
    seen.fresh += usize::from(is_fresh);
    is_fresh
}

/// Ours, there or not; `None` when it has just changed.
fn settled<T>(ours: Option<Booked<T>>) -> Option<Option<T>> {
    match ours {
        Some(ours) if ours.is_fresh => None,
        ours => Some(ours.map(|ours| ours.row)),
    }
}

fn count_asked(seen: &mut Seen, what: &'static str) -> Result<(), ReconcileError> {
    seen.asked += 1;
    if seen.asked > ASKED_MAX { Err(ReconcileError::TooMuch { what }) } else { Ok(()) }
}

/// Asks again while there is hope: a question may be repeated as often as one likes.
async fn patient<T, Asked: Future<Output = Result<T, CallError>>>(ask: impl Fn() -> Asked) -> Result<T, CallError> {
    let mut tries = 1;
    loop {
        match ask().await {
            Err(CallError::NotReached { .. } | CallError::Unknown { .. }) if tries < TRIES_MAX => {
                tokio::time::sleep(BETWEEN_TRIES.delay_now(tries)).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}
