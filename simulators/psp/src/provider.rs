//! One decision at a time: repeat or new, allowed or refused, written down, then true.
//!
//! A mutex serialises the changes. What happens under it is a few map look-ups and one `write` into the page cache, some
//! microseconds, so no request waits long and the rules need no locks of their own.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::books::{Books, Page, Window};
use crate::config::Config;
use crate::counts::Count;
use crate::faults::Whim;
use crate::intent::{DeclineCode, EventId, Intent, IntentId, Refund, RefundId, Refusal, card_answer};
use crate::ledger::{Entry, Fact, Ledger, OpenError};

/// What a caller asks to be done to money.
#[derive(Clone, Debug, Serialize)]
pub enum Command {
    /// Hold an amount on a card.
    Authorise {
        /// Minor units.
        amount: i64,
        /// ISO 4217 code.
        currency: String,
        /// Card token. Goes into the request's hash and nowhere else.
        payment_method: String,
        /// The caller's name for it.
        reference: String,
    },
    /// Take what is held.
    Capture {
        /// Of this intent.
        intent: IntentId,
        /// Minor units; all when absent.
        amount: Option<i64>,
    },
    /// Let a hold go.
    Cancel {
        /// Of this intent.
        intent: IntentId,
    },
    /// Pay captured money back.
    Refund {
        /// Of this intent.
        intent: IntentId,
        /// Minor units.
        amount: i64,
        /// The caller's name for it.
        reference: String,
    },
}

/// Why a command was not carried out. None of these is stored under the key: the same key may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The body is not the JSON this call takes.
    #[error("the body cannot be read: {0}")]
    Body(serde_json::Error),
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key belongs to another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The bound on memory is reached.
    #[error("the ledger holds as many lines as it may")]
    LedgerFull,
    /// The ledger cannot be written or read; nothing happened.
    #[error("the ledger failed")]
    Ledger(#[from] io::Error),
}

/// A command's outcome.
#[derive(Debug)]
pub struct Outcome {
    /// What happened, now or the first time.
    pub entry: Entry,
    /// Whether it happened the first time only: then no webhook is due.
    pub replayed: bool,
    /// The whim that made it other than was asked.
    pub whim: Option<Count>,
}

/// The provider's state, shared by all requests.
#[derive(Clone, Debug)]
pub struct Provider {
    inner: Arc<Mutex<Inner>>,
    ledger_lines_max: u64,
}

#[derive(Debug)]
struct Inner {
    books: Books,
    ledger: Ledger,
}

impl Provider {
    /// Rebuilds the state from the ledger file.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let mut books = Books::default();
        let ledger = Ledger::open(&config.ledger_file, |entry| books.apply(entry))?;
        tracing::info!(entries = ledger.len(), "ledger read");
        Ok(Self { inner: Arc::new(Mutex::new(Inner { books, ledger })), ledger_lines_max: config.ledger_lines_max })
    }

    /// Carries a command out, once per (account, key), in the mood of `whim`. `now` stamps the ledger line.
    ///
    /// # Errors
    /// [`CommandError`]; nothing happened.
    pub fn execute(
        &self,
        account: &str,
        key: &str,
        command: &Command,
        whim: Whim,
        now: DateTime<Utc>,
    ) -> Result<Outcome, CommandError> {
        let request = fingerprint(command)?;
        let mut inner = self.lock();
        if let Some(n) = inner.books.entry_of_key(account, key) {
            let entry = inner.ledger.entry(n)?.ok_or_else(|| io::Error::other("an entry is missing"))?;
            if entry.request != request {
                return Err(CommandError::KeyReused);
            }
            return Ok(Outcome { entry, replayed: true, whim: None });
        }
        let (fact, whim) = decide(&inner.books, account, command, whim, now.timestamp())?;
        if inner.ledger.len() >= self.ledger_lines_max {
            return Err(CommandError::LedgerFull);
        }
        let entry = Entry {
            n: inner.ledger.len() + 1,
            at: now,
            account: account.into(),
            key: key.into(),
            request,
            event: fact.event_type().map(|_| EventId(Uuid::new_v4())),
            fact,
        };
        // From here on it has happened, whether or not the caller ever hears of it.
        inner.ledger.append(&entry)?;
        inner.books.apply(entry.clone());
        Ok(Outcome { entry, replayed: false, whim })
    }

    /// An intent of this account.
    pub fn intent(&self, account: &str, id: IntentId) -> Option<Intent> {
        self.lock().books.intent(account, id).cloned()
    }

    /// This account's intents under a reference.
    pub fn intents_of(&self, account: &str, reference: &str) -> Vec<Intent> {
        self.lock().books.intents_of(account, reference)
    }

    /// This account's intents made in a window, newest first.
    pub fn intents_in(&self, account: &str, window: &Window<IntentId>) -> Page<Intent> {
        self.lock().books.intents_in(account, window)
    }

    /// This account's refunds made in a window, newest first.
    pub fn refunds_in(&self, account: &str, window: &Window<RefundId>) -> Page<Refund> {
        self.lock().books.refunds_in(account, window)
    }

    /// This account's refunds under a reference.
    pub fn refunds_of(&self, account: &str, reference: &str) -> Vec<Refund> {
        self.lock().books.refunds_of(account, reference)
    }

    /// Up to `limit` ledger lines after entry `after`, as stored, of all accounts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ledger_after(&self, after: u64, limit: usize) -> io::Result<Vec<u8>> {
        self.lock().ledger.lines_after(after, limit)
    }

    /// Forces the ledger to the disk.
    ///
    /// # Errors
    /// The sync failed.
    pub fn sync(&self) -> io::Result<()> {
        self.lock().ledger.sync()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while holding it half-changed: the ledger is appended first, then the books follow.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rules: what a command comes to, given the books. Only ids are made up here. With it the whim that had its way, if any.
fn decide(
    books: &Books,
    account: &str,
    command: &Command,
    whim: Whim,
    now: i64,
) -> Result<(Fact, Option<Count>), Refusal> {
    let find = |id: &IntentId| books.intent(account, *id).ok_or(Refusal::NoSuchIntent);
    match command {
        Command::Authorise { amount, currency, payment_method, reference } => {
            let intent = Intent::authorise(IntentId(Uuid::new_v4()), *amount, currency, reference, now)?;
            let answer = card_answer(payment_method)?;
            let declines = (whim.declines && answer.is_none()).then_some(Count::Decline);
            let fact = match answer.or(declines.map(|_| DeclineCode::GenericDecline)) {
                None => Fact::Authorised { intent },
                Some(decline_code) => Fact::Declined {
                    reference: intent.reference,
                    amount: intent.amount,
                    currency: intent.currency,
                    decline_code,
                },
            };
            Ok((fact, declines))
        }
        Command::Capture { intent, amount } => {
            let intent = find(intent)?;
            let asked = amount.unwrap_or(intent.amount);
            let taken = match whim.captures_thousandths {
                // Overflows for no amount that an intent can hold; of 1 there is no part.
                Some(thousandths) => (asked.saturating_mul(thousandths.into()) / 1_000).max(1),
                None => asked,
            };
            let part = (taken < asked).then_some(Count::PartialCapture);
            Ok((Fact::Captured { intent: intent.capture(Some(taken))? }, part))
        }
        Command::Cancel { intent } => Ok((Fact::Canceled { intent: find(intent)?.cancel()? }, None)),
        Command::Refund { intent, amount, reference } => {
            let (refund, intent) = find(intent)?.refund(RefundId(Uuid::new_v4()), *amount, reference, now)?;
            Ok((Fact::Refunded { refund, intent }, None))
        }
    }
}

/// SHA-256 of the command in one canonical form, so that spaces and the order of JSON fields do not matter.
fn fingerprint(command: &Command) -> io::Result<Box<str>> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(command)?)).into())
}
