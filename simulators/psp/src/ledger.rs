//! The provider's memory: an append-only file of JSON lines, one per thing that happened to money.
//!
//! **What is safe when.** A line is handed to the kernel with one `write` before any answer or webhook about it leaves, so
//! whatever a caller was told survives `kill -9` of this process. `fdatasync` runs at an orderly shutdown only: the stand-in
//! plays a party whose machine does not lose power, and a sync per charge would bill its disk time to the system under test.
//!
//! A process killed inside `write` leaves a last line without its newline. Nobody was told of it, so opening cuts it off.
//! Any other line that does not parse is corruption and stops the start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::intent::{DeclineCode, EventId, Intent, Refund};

/// One line: what happened, to whom, and under which request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Position, from 1, without gaps.
    pub n: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// The account's name.
    pub account: Box<str>,
    /// The request's `Idempotency-Key`.
    pub key: Box<str>,
    /// SHA-256 of the request, hex: tells a repeat from a key used twice.
    pub request: Box<str>,
    /// Id of the webhook event about it; none for a decline.
    pub event: Option<EventId>,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What happened to money. The tags are stored on disk and sent as webhook types: never change them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Fact {
    /// Money is held.
    #[serde(rename = "payment_intent.authorised")]
    Authorised {
        /// The new intent.
        intent: Intent,
    },
    /// The card said no; no money moved.
    #[serde(rename = "payment_intent.declined")]
    Declined {
        /// The caller's name for what was to be paid.
        reference: Box<str>,
        /// What was asked, in minor units.
        amount: i64,
        /// ISO 4217 code.
        currency: Box<str>,
        /// Why.
        decline_code: DeclineCode,
    },
    /// Money was taken.
    #[serde(rename = "payment_intent.captured")]
    Captured {
        /// The intent after it.
        intent: Intent,
    },
    /// The hold was let go.
    #[serde(rename = "payment_intent.canceled")]
    Canceled {
        /// The intent after it.
        intent: Intent,
    },
    /// Money was paid back.
    #[serde(rename = "refund.succeeded")]
    Refunded {
        /// The refund.
        refund: Refund,
        /// The intent after it.
        intent: Intent,
    },
}

impl Fact {
    /// The webhook's type; `None` when there is no webhook about it.
    pub const fn event_type(&self) -> Option<&'static str> {
        match self {
            Self::Authorised { .. } => Some("payment_intent.authorised"),
            Self::Declined { .. } => None,
            Self::Captured { .. } => Some("payment_intent.captured"),
            Self::Canceled { .. } => Some("payment_intent.canceled"),
            Self::Refunded { .. } => Some("refund.succeeded"),
        }
    }
}

/// Why the ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened, read or cut.
    #[error("cannot open the ledger")]
    Io(#[from] io::Error),
    /// A whole line is not an entry, or entries are missing.
    #[error("line {line} of the ledger is corrupt: {what}")]
    Corrupt {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// The open file and where each of its lines begins (8 bytes a line).
#[derive(Debug)]
pub struct Ledger {
    file: File,
    line_starts: Vec<u64>,
    end: u64,
}

impl Ledger {
    /// Opens or creates the file and hands every entry in it to `replay`, in order.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, mut replay: impl FnMut(Entry)) -> Result<Self, OpenError> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut reader = BufReader::new(&file);
        let (mut line_starts, mut end, mut line) = (Vec::new(), 0, Vec::new());
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 || line.last() != Some(&b'\n') {
                break;
            }
            let n = line_starts.len() as u64 + 1;
            let corrupt = |what: String| OpenError::Corrupt { line: n, what };
            let entry: Entry = serde_json::from_slice(&line).map_err(|error| corrupt(error.to_string()))?;
            if entry.n != n {
                return Err(corrupt(format!("it says it is entry {}", entry.n)));
            }
            line_starts.push(end);
            end += length as u64;
            replay(entry);
        }
        file.set_len(end)?;
        Ok(Self { file, line_starts, end })
    }

    /// How many entries there are; the last one's number.
    pub fn len(&self) -> u64 {
        self.line_starts.len() as u64
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.line_starts.is_empty()
    }

    /// Appends one entry; when it returns, the line survives the death of this process.
    ///
    /// # Errors
    /// The write failed: the entry did not happen and must not be acted on. What a partial write left is cut off again.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if let Err(error) = (&self.file).write_all(&line) {
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.line_starts.push(self.end);
        self.end += line.len() as u64;
        Ok(())
    }

    /// The bytes of up to `limit` whole lines after entry `after`, read back from the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines_after(&self, after: u64, limit: usize) -> io::Result<Vec<u8>> {
        let first = usize::try_from(after).unwrap_or(usize::MAX).min(self.line_starts.len());
        let beyond = first.saturating_add(limit).min(self.line_starts.len());
        let start = self.line_starts.get(first).copied().unwrap_or(self.end);
        let stop = self.line_starts.get(beyond).copied().unwrap_or(self.end);
        let mut bytes = vec![0; usize::try_from(stop - start).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Entry `n`, read back from the file; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn entry(&self, n: u64) -> io::Result<Option<Entry>> {
        let line = self.lines_after(n.saturating_sub(1), 1)?;
        if n == 0 || line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&line)?)) }
    }

    /// Forces everything to the disk; for an orderly shutdown.
    ///
    /// # Errors
    /// The sync failed.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
