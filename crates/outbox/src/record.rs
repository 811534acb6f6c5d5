//! A Kafka record, apart from any client: what the header codec, the publisher and the dead letters pass to each other.

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

/// One header. Kafka allows a header without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: Option<Bytes>,
}

impl Header {
    pub(crate) fn new(name: &str, value: impl Into<Bytes>) -> Self {
        Self { name: name.to_owned(), value: Some(value.into()) }
    }
}

/// Key, payload and headers, and the topic they are for or from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) key: Option<Bytes>,
    pub(crate) payload: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
}

impl Record {
    /// The value of the header of that name; of several, the last, which is the one added last.
    pub(crate) fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().rev().find(|header| header.name == name).and_then(|header| header.value.as_ref())
    }
}

/// A record that came from Kafka, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) record: Record,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since the epoch, as its producer's clock had it; none when it did not say.
    pub(crate) timestamp_ms: Option<i64>,
}

impl Delivered {
    /// Copies out of the client's buffer: a borrowed message would pin the whole fetch response it came in.
    pub(crate) fn copy_of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| Header { name: header.key.to_owned(), value: header.value.map(Bytes::copy_from_slice) })
                .collect()
        });
        Self {
            record: Record {
                topic: message.topic().to_owned(),
                key: message.key().map(Bytes::copy_from_slice),
                payload: message.payload().map(Bytes::copy_from_slice),
                headers,
            },
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }
}
