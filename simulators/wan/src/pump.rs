//! Moves one direction of a connection: reads, waits, writes. What arrives when is decided by [`Path`].

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::direction::{Directed, Direction};
use crate::link::Link;
use crate::path::{CHUNK_BYTES_MAX, Item, Path};
use crate::properties::Properties;

/// How one direction of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The sender closed, everything arrived, and the receiver was told.
    Closed,
    /// The sender is gone, and the receiver must be told now.
    SenderGone,
    /// The receiver is gone: what it did not take is lost, and the sender must be told.
    ReceiverGone,
}

/// One direction of a connection.
pub struct Pump {
    link: Arc<Link>,
    direction: Direction,
    path: Path,
    changes: watch::Receiver<Directed<Properties>>,
    /// The part of the item in hand that is not written yet.
    writing: Bytes,
    /// Whether the sender may still send something.
    sending: bool,
}

impl Pump {
    /// Bytes will go this way; `early` were read already.
    pub fn new(link: Arc<Link>, direction: Direction, seed: u64, early: Bytes) -> Self {
        let mut changes = link.subscribe();
        let properties = *changes.borrow_and_update();
        let path = Path::new(*properties.of(direction), *properties.of(direction.reverse()), seed);
        let mut pump = Self { link, direction, path, changes, writing: Bytes::new(), sending: true };
        if !early.is_empty() {
            pump.send(Item::Data(early));
        }
        pump
    }

    /// Which way its bytes go.
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Runs until this direction is at its end.
    pub async fn run(mut self, mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> Ended {
        let mut buffer = BytesMut::new();
        loop {
            let now = Instant::now();
            if self.writing.is_empty() {
                match self.path.take(now) {
                    Some(Item::Data(data)) => self.writing = data,
                    Some(Item::End) if to.shutdown().await.is_ok() => return Ended::Closed,
                    Some(Item::End) => return Ended::ReceiverGone,
                    Some(Item::Reset) => return Ended::SenderGone,
                    None => {}
                }
            }
            let full_until = self.full_until(now);
            let room = if self.sending && full_until.is_none() { self.path.room(now) } else { 0 };
            let wake_at = if self.writing.is_empty() { self.path.wake_at(now) } else { None };
            let wake_at = wake_at.into_iter().chain(full_until).min();
            tokio::select! {
                wrote = to.write(&self.writing), if !self.writing.is_empty() && self.path.is_open() => match wrote {
                    Ok(bytes) if bytes > 0 => self.wrote(bytes),
                    _ => return Ended::ReceiverGone,
                },
                read = read(&mut from, &mut buffer, room), if room > 0 => self.send(match read {
                    Ok(data) if data.is_empty() => Item::End,
                    Ok(data) => Item::Data(data),
                    Err(_) => Item::Reset,
                }),
                () = at(wake_at), if wake_at.is_some() => {}
                // The sender of changes lives in our link.
                _ = self.changes.changed() => self.changed(),
            }
        }
    }

    fn send(&mut self, item: Item) {
        match &item {
            Item::Data(data) => self.link.traffic(self.direction).sent(data.len()),
            Item::End | Item::Reset => self.sending = false,
        }
        self.path.push(Instant::now(), item, &mut self.link.line(self.direction));
    }

    fn wrote(&mut self, bytes: usize) {
        self.writing.advance(bytes);
        self.path.delivered(Instant::now(), bytes);
        self.link.traffic(self.direction).arrived(bytes);
    }

    fn changed(&mut self) {
        let properties = *self.changes.borrow_and_update();
        let (forward, backward) = (*properties.of(self.direction), *properties.of(self.direction.reverse()));
        self.path.change(Instant::now(), forward, backward, &mut self.link.line(self.direction));
    }

    /// Until when the sender must wait for room in front of the bottleneck.
    fn full_until(&self, now: Instant) -> Option<Instant> {
        if self.sending { self.link.line(self.direction).full_until(now) } else { None }
    }
}

/// What did not arrive is not held any more.
impl Drop for Pump {
    fn drop(&mut self) {
        self.link.traffic(self.direction).dropped(self.path.held() + self.writing.len());
    }
}

/// Reads what there is, at most `room`; empty at the end. Small reads share a buffer, so that a chatty connection does not hold
/// a whole one per message. Nothing is lost when it is dropped half-way.
async fn read(from: &mut OwnedReadHalf, buffer: &mut BytesMut, room: usize) -> io::Result<Bytes> {
    if buffer.capacity() < room.min(CHUNK_BYTES_MAX / 8) {
        buffer.reserve(CHUNK_BYTES_MAX);
    }
    from.read_buf(&mut (&mut *buffer).limit(room)).await?;
    Ok(buffer.split().freeze())
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when.into()).await,
        None => pending().await,
    }
}
