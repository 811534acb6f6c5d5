//! What tells a record from another one that took its offset.
//!
//! A broker that lost the tail of its log gives the same offsets to new records. A consumer that remembers only an offset goes on
//! behind them and never sees them. So with each position goes the mark of the record before it: its offset, and a digest of what
//! it was. It travels as the metadata of the committed offset, whose loss loses both alike.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::record::Delivered;

/// Bytes of the digest that are kept: by chance two records agree once in 2^64.
const DIGEST_BYTES: usize = 8;

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: i64,
    digest: [u8; DIGEST_BYTES],
}

impl Mark {
    /// Of key, payload, event id and time: a relay that publishes an event again gives it another time.
    pub(super) fn of(delivered: &Delivered) -> Self {
        let record = &delivered.record;
        let mut hasher = Sha256::new();
        hasher.update(delivered.timestamp_ms.unwrap_or(-1).to_be_bytes());
        for part in [record.key.as_ref(), record.payload.as_ref(), record.header("ce_id")] {
            let part = part.map_or(&[] as &[u8], |part| part);
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let whole: [u8; 32] = hasher.finalize().into();
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&whole[..DIGEST_BYTES]);
        Self { offset: delivered.offset, digest }
    }
}

/// `41:9f86d081884c7d65`. It is stored with committed offsets and must stay readable.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.offset, hex::encode(self.digest))
    }
}

/// The text is no mark of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoMark;

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Self, NoMark> {
        let (offset, digest) = text.split_once(':').ok_or(NoMark)?;
        let mut bytes = [0; DIGEST_BYTES];
        hex::decode_to_slice(digest, &mut bytes).map_err(|_| NoMark)?;
        Ok(Self { offset: offset.parse().map_err(|_| NoMark)?, digest: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn delivered(payload: &'static [u8], timestamp_ms: i64) -> Delivered {
        let record = Record { topic: "t".to_owned(), key: None, payload: Some(payload.into()), headers: Vec::new() };
        Delivered { record, partition: 0, offset: 41, timestamp_ms: Some(timestamp_ms) }
    }

    #[test]
    fn a_mark_reads_back_as_it_is_written() {
        let mark = Mark::of(&delivered(b"one", 1));
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for other in ["", "41", "41:zz", "x:9f86d081884c7d65", "41:9f86"] {
            assert_eq!(other.parse::<Mark>(), Err(NoMark), "{other:?}");
        }
    }

    #[test]
    fn the_same_event_at_another_time_and_another_event_have_other_marks() {
        let mark = Mark::of(&delivered(b"one", 1));
        assert_eq!(mark, Mark::of(&delivered(b"one", 1)));
        assert_ne!(mark, Mark::of(&delivered(b"one", 2)));
        assert_ne!(mark, Mark::of(&delivered(b"two", 1)));
    }
}
