//! `payment`, `refund` and the ledger: `services/payment/src/store`.

use std::collections::BTreeMap;
use std::rc::Rc;

use ids::{OrderId, RefundId};
use money::Money;
use payment::domain::ledger::{self, Entry};
use payment::domain::refund::{RefundLine, RefundRejected, ShareBalance, reserve};
use payment::domain::{CardToken, Event, IllegalTransition, IntentId, Share, Shares, State, Terms, TermsDigest};
use payment::store::{Claim, ClaimedPayment, ClaimedRefund, Done, Recorded, RefundState, Work};

use crate::coverage::Seen;
use crate::sabotage::Sabotage;
use crate::services::payment::{COMMISSION, LEASE};
use crate::world::{RegionId, World};
use crate::{Micros, Verdict};

pub struct Row {
    pub state: State,
    /// None in a tombstone.
    pub amount: Option<Money>,
    pub terms: Option<TermsDigest>,
    pub card: Option<CardToken>,
    pub shares: Vec<ShareBalance>,
    pub refunded_minor: i64,
    pub claim: Option<Claim>,
    pub attempts: u32,
    pub due_at: Option<Micros>,
}

pub struct RefundRow {
    pub order: OrderId,
    pub state: RefundState,
    pub amount: Money,
    pub intent: IntentId,
    pub lines: Vec<RefundLine>,
    pub receipt: Option<Box<str>>,
    claim: Option<Claim>,
    attempts: u32,
    due_at: Option<Micros>,
}

/// An entry of the journal, and what it books.
pub struct Booked {
    pub order: OrderId,
    pub refund: Option<RefundId>,
    pub entry: Entry,
}

#[derive(Default)]
pub struct Payments {
    pub rows: BTreeMap<OrderId, Row>,
    pub refunds: BTreeMap<RefundId, RefundRow>,
    pub journal: Vec<Booked>,
    /// Webhook events acted upon.
    webhooks: std::collections::BTreeSet<u64>,
}

/// What became of the wish to authorise: `store::Begun`.
pub enum Begun {
    Started(ClaimedPayment),
    Exists(State),
    OtherTerms,
}

/// What became of the wish to refund: `store::Reserved`.
pub enum Reserved {
    New(ClaimedRefund),
    Exists(RefundState),
    Rejected(RefundRejected),
    NotFound,
}

/// What a webhook is about: `store::Subject`.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Payment(OrderId),
    Refund(RefundId),
}

/// Who takes the step that a request starts: `store::Follow`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    Workers,
    Caller,
}

impl Row {
    /// Free to claim: in flight, and nobody drives it.
    fn is_free(&self, now: Micros) -> bool {
        self.due_at.is_some_and(|due| self.claim.is_none() || due <= now)
    }
}

impl World {
    fn payments(&mut self, at: RegionId) -> &mut Payments {
        &mut self.regions[at].payments
    }

    /// `begin`: the intent is durable, and ours, before the provider is called.
    pub fn begin_payment(&mut self, at: RegionId, order: OrderId, terms: &Rc<(Terms, TermsDigest)>) -> Begun {
        self.touch(at, order);
        let due_at = Some(self.now + LEASE);
        if let Some(row) = self.payments(at).rows.get(&order) {
            return match &row.terms {
                Some(digest) if *digest != terms.1 => Begun::OtherTerms,
                _ => Begun::Exists(row.state.clone()),
            };
        }
        let (terms, digest) = &**terms;
        let share = |share: &Share| ShareBalance {
            seller: share.seller.clone(),
            amount_minor: share.amount_minor,
            refunded_minor: 0,
            short_minor: 0,
            unpaid_minor: 0,
        };
        let claim = Claim::generate();
        let row = Row {
            state: State::Authorising,
            amount: Some(terms.amount()),
            terms: Some(digest.clone()),
            card: Some(terms.card().clone()),
            shares: terms.shares().iter().map(share).collect(),
            refunded_minor: 0,
            claim: Some(claim),
            attempts: 1,
            due_at,
        };
        let claimed = claimed(order, claim, &row);
        self.payments(at).rows.insert(order, row);
        claimed.map_or(Begun::OtherTerms, Begun::Started)
    }

    /// `claim_payment`.
    pub fn claim_payment(&mut self, at: RegionId, order: OrderId) -> Option<ClaimedPayment> {
        let now = self.now;
        let row = self.payments(at).rows.get_mut(&order).filter(|row| row.is_free(now))?;
        let claim = Claim::generate();
        row.claim = Some(claim);
        row.attempts += 1;
        row.due_at = Some(now + LEASE);
        claimed(order, claim, row)
    }

    /// `claim_refund`.
    pub fn claim_refund(&mut self, at: RegionId, refund: RefundId) -> Option<ClaimedRefund> {
        let now = self.now;
        let row = self.payments(at).refunds.get_mut(&refund)?;
        if !row.due_at.is_some_and(|due| row.claim.is_none() || due <= now) {
            return None;
        }
        let claim = Claim::generate();
        row.claim = Some(claim);
        row.attempts += 1;
        row.due_at = Some(now + LEASE);
        Some(claimed_refund(refund, claim, row))
    }

    /// `claim_due`.
    pub fn claim_due(&mut self, at: RegionId) -> Vec<Work> {
        let now = self.now;
        let payments = self.payments(at);
        let is_due = |due: Option<Micros>| due.is_some_and(|due| due <= now);
        let due: Vec<_> = payments.rows.iter().filter(|(_, row)| is_due(row.due_at)).map(|(id, _)| *id).collect();
        let refunds: Vec<_> =
            payments.refunds.iter().filter(|(_, row)| is_due(row.due_at)).map(|(id, _)| *id).collect();
        let mut work: Vec<_> = due.into_iter().filter_map(|id| self.claim_payment(at, id)).map(Work::Payment).collect();
        work.extend(refunds.into_iter().filter_map(|id| self.claim_refund(at, id)).map(Work::Refund));
        work
    }

    /// `request`: the row is locked, the event applied. None when there is no such payment.
    pub fn request(
        &mut self,
        at: RegionId,
        order: OrderId,
        event: Event,
        follow: Follow,
    ) -> Result<Option<State>, IllegalTransition> {
        self.touch(at, order);
        let now = self.now;
        let Some(row) = self.payments(at).rows.get_mut(&order) else { return Ok(None) };
        let next = row.state.clone().after(event)?;
        if next == row.state {
            return Ok(Some(next));
        }
        // `store_request`: from one in-doubt state to the other the step stays the same call.
        let is_same_step = row.state.step() == next.step();
        if !is_same_step {
            row.attempts = 0;
            let due_in = if follow == Follow::Workers { 0 } else { LEASE };
            row.due_at = next.step().map(|_| now + due_in);
        }
        row.state = next.clone();
        if next == State::Abandoning {
            self.saw(Seen::Abandoned);
        }
        Ok(Some(next))
    }

    /// `request_void`: a payment that never was becomes a tombstone.
    pub fn request_void(&mut self, at: RegionId, order: OrderId) -> Result<State, IllegalTransition> {
        if let Some(state) = self.request(at, order, Event::VoidRequested, Follow::Caller)? {
            return Ok(state);
        }
        self.saw(Seen::PaymentTombstone);
        if !self.removed(Sabotage::PaymentTombstone) {
            let tombstone = Row {
                state: State::Voided,
                amount: None,
                terms: None,
                card: None,
                shares: Vec::new(),
                refunded_minor: 0,
                claim: None,
                attempts: 0,
                due_at: None,
            };
            self.payments(at).rows.insert(order, tombstone);
        }
        Ok(State::Voided)
    }

    /// `record`: what the provider said, the ledger and, by the caller, the event, in one commit. The flag says whether there is one.
    pub fn record(&mut self, at: RegionId, done: &Done) -> (bool, Recorded) {
        let recorded = match done {
            Done::Payment { claimed, event } => self.record_payment(at, claimed, event),
            Done::Refund { claimed, receipt } => self.record_refund(at, claimed, receipt),
            Done::Unresolved { work, retry_after, park: _ } => self.release(at, work, micros(*retry_after)),
        };
        if recorded == Recorded::ClaimLost {
            self.saw(Seen::ClaimLost);
        }
        let is_said = matches!(recorded, Recorded::Refunded | Recorded::Payment(State::Captured { .. }));
        (is_said, recorded)
    }

    /// The fencing check of a driver's write, and the eye on it.
    fn may_record(&mut self, order: OrderId, ours: Claim, current: Option<Claim>) -> bool {
        if current == Some(ours) {
            return true;
        }
        if self.removed(Sabotage::FencingCheck) {
            self.fail(Verdict::ZombieWrote, format!("an outcome of payment {order} was recorded under a lost claim"));
            return true;
        }
        false
    }

    /// `record_payment`: compare and set, by claim and state.
    fn record_payment(&mut self, at: RegionId, claimed: &ClaimedPayment, event: &Event) -> Recorded {
        self.touch(at, claimed.order);
        let now = self.now;
        let current = self.payments(at).rows.get(&claimed.order).and_then(|row| row.claim);
        if !self.may_record(claimed.order, claimed.claim, current) {
            return Recorded::ClaimLost;
        }
        let Some(row) = self.payments(at).rows.get_mut(&claimed.order) else { return Recorded::ClaimLost };
        let next = match row.state.clone().after(event.clone()) {
            Ok(next) => next,
            Err(illegal) => {
                self.fail(Verdict::Illegal, format!("payment {}: {illegal}", claimed.order));
                return Recorded::ClaimLost;
            }
        };
        row.state = next.clone();
        row.card = None;
        row.claim = None;
        row.attempts = 0;
        row.due_at = next.step().map(|_| now);
        if let Event::Captured { amount_minor } = event {
            let shares: Vec<_> = row
                .shares
                .iter()
                .map(|share| Share { seller: share.seller.clone(), amount_minor: share.amount_minor })
                .collect();
            self.book(
                at,
                (claimed.order, None),
                ledger::capture(
                    Money::new(*amount_minor, claimed.amount.currency()),
                    &shares,
                    claimed.commission_basis_points,
                ),
            );
        }
        Recorded::Payment(next)
    }

    /// `record_refund`.
    fn record_refund(&mut self, at: RegionId, claimed: &ClaimedRefund, receipt: &str) -> Recorded {
        self.touch(at, claimed.order);
        let current = self.payments(at).refunds.get(&claimed.refund).and_then(|row| row.claim);
        if !self.may_record(claimed.order, claimed.claim, current) {
            return Recorded::ClaimLost;
        }
        let Some(row) = self.payments(at).refunds.get_mut(&claimed.refund) else { return Recorded::ClaimLost };
        row.state = RefundState::Succeeded;
        row.receipt = Some(receipt.into());
        row.claim = None;
        row.due_at = None;
        let entry = ledger::refund(claimed.amount.currency(), &row.lines);
        self.book(at, (claimed.order, Some(claimed.refund)), entry);
        Recorded::Refunded
    }

    /// `ledger::insert`.
    fn book(&mut self, at: RegionId, of: (OrderId, Option<RefundId>), entry: Result<Entry, ledger::Unbalanced>) {
        match entry {
            Ok(entry) => self.payments(at).journal.push(Booked { order: of.0, refund: of.1, entry }),
            Err(error) => self.fail(Verdict::Ledger, format!("entry of {}: {error}", of.0)),
        }
    }

    /// `release`: the work stays due.
    fn release(&mut self, at: RegionId, work: &Work, retry_after: Micros) -> Recorded {
        let due_at = self.now + retry_after;
        let payments = self.payments(at);
        let (ours, claim, due) = match work {
            Work::Payment(claimed) => match payments.rows.get_mut(&claimed.order) {
                Some(row) => (claimed.claim, &mut row.claim, &mut row.due_at),
                None => return Recorded::ClaimLost,
            },
            Work::Refund(claimed) => match payments.refunds.get_mut(&claimed.refund) {
                Some(row) => (claimed.claim, &mut row.claim, &mut row.due_at),
                None => return Recorded::ClaimLost,
            },
        };
        if *claim != Some(ours) {
            return Recorded::ClaimLost;
        }
        *claim = None;
        *due = Some(due_at);
        Recorded::Released
    }

    /// `reserve_refund`: decided by the domain under the payment's lock.
    pub fn reserve_refund(&mut self, at: RegionId, (refund, order): (RefundId, OrderId), shares: &Shares) -> Reserved {
        self.touch(at, order);
        let due_at = Some(self.now + LEASE);
        let payments = self.payments(at);
        let Some(row) = payments.rows.get_mut(&order) else { return Reserved::NotFound };
        if let Some(known) = payments.refunds.get(&refund) {
            return Reserved::Exists(known.state);
        }
        let lines = match reserve(&row.state, &row.shares, COMMISSION, shares) {
            Ok(lines) => lines,
            Err(rejected) => return Reserved::Rejected(rejected),
        };
        for line in &lines {
            let of_seller = row.shares.iter_mut().filter(|share| share.seller == line.seller);
            of_seller.for_each(|share| share.refunded_minor += line.amount_minor);
        }
        row.refunded_minor += shares.total_minor();
        let (Some(intent), Some(amount)) = (row.state.intent().cloned(), row.amount) else { return Reserved::NotFound };
        let (claim, amount) = (Claim::generate(), Money::new(shares.total_minor(), amount.currency()));
        let fresh = RefundRow {
            order,
            state: RefundState::Pending,
            amount,
            intent,
            lines,
            receipt: None,
            claim: Some(claim),
            attempts: 1,
            due_at,
        };
        let claimed = claimed_refund(refund, claim, &fresh);
        payments.refunds.insert(refund, fresh);
        Reserved::New(claimed)
    }

    /// `hint`: makes a row due that is in flight and that nobody drives, once per webhook.
    pub fn hint(&mut self, at: RegionId, webhook: u64, subject: Subject) {
        let now = self.now;
        let payments = self.payments(at);
        let due = match subject {
            Subject::Payment(order) => {
                payments.rows.get_mut(&order).filter(|row| row.claim.is_none()).map(|row| &mut row.due_at)
            }
            Subject::Refund(refund) => {
                payments.refunds.get_mut(&refund).filter(|row| row.claim.is_none()).map(|row| &mut row.due_at)
            }
        };
        if let Some(due) = due.filter(|due| due.is_some_and(|due| due > now))
            && payments.webhooks.insert(webhook)
        {
            *due = Some(now);
            self.saw(Seen::Hint);
        }
    }
}

fn claimed(order: OrderId, claim: Claim, row: &Row) -> Option<ClaimedPayment> {
    Some(ClaimedPayment {
        order,
        claim,
        state: row.state.clone(),
        amount: row.amount?,
        card: row.card.clone(),
        commission_basis_points: COMMISSION,
        attempts: row.attempts,
        traceparent: None,
    })
}

fn claimed_refund(refund: RefundId, claim: Claim, row: &RefundRow) -> ClaimedRefund {
    ClaimedRefund {
        refund,
        order: row.order,
        claim,
        intent: row.intent.clone(),
        amount: row.amount,
        attempts: row.attempts,
        traceparent: None,
    }
}

fn micros(duration: std::time::Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short time")
}
