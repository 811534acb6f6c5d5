//! One direction of one connection as a function of time: which bytes are on their way, and when each is due. Pure: time, dice and
//! the shared bottleneck are arguments; [`crate::pump`] does the reading, writing and waiting.
//!
//! Invariant: what comes out is what went in, in order, each byte once, and never earlier than the link allows. Every rule below
//! only ever moves the time at which the front of the queue is due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::bottleneck::Bottleneck;
use crate::properties::Properties;
pub use crate::recovery::RETRANSMIT_MAX;
use crate::recovery::{SEGMENT_BYTES, Timers, segments};

/// Unacknowledged bytes per connection and direction, as TCP's window. Bandwidth times delay: 1 MiB per 80 ms is 105 Mbit/s,
/// far above what the services send each other (an event is 500 bytes), so it is memory that this bounds: the 64 connections
/// of a route ([`crate::forward::CONNECTIONS_MAX`]) hold at most 128 MiB in both directions, when all are cut off in the middle of
/// a bulk transfer.
pub const WINDOW_BYTES: usize = 1024 * 1024;
/// Most bytes of one chunk, which travels as one.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// … and most of its time on a narrow line, so that connections take turns.
const CHUNK_TIME: Duration = Duration::from_millis(20);

/// What goes over a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Bytes, at least one.
    Data(Bytes),
    /// The sender will send no more: the last item.
    End,
    /// The sender is gone: the last item.
    Reset,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::End | Self::Reset => 0,
        }
    }
}

/// One direction of one connection.
#[derive(Debug)]
pub struct Path {
    forward: Properties,
    backward: Properties,
    /// On its way, in order, with the time at which each would be there if it were alone. Only the front is ever taken: what was
    /// lost keeps those behind it waiting, as TCP does.
    queue: VecDeque<(Instant, Item)>,
    /// Acknowledgements on their way back.
    acknowledged: VecDeque<(Instant, usize)>,
    unacknowledged: usize,
    dice: StdRng,
}

impl Path {
    /// A path with nothing on its way. `forward`: the way the bytes go; `backward`: the way of their acknowledgements.
    pub fn new(forward: Properties, backward: Properties, seed: u64) -> Self {
        Self {
            forward,
            backward,
            queue: VecDeque::new(),
            acknowledged: VecDeque::new(),
            unacknowledged: 0,
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// How many bytes the sender may send now: what its window leaves and a chunk allows.
    pub fn room(&mut self, now: Instant) -> usize {
        while self.backward.is_open()
            && let Some((_, bytes)) = self.acknowledged.pop_front_if(|(due, _)| *due <= now)
        {
            self.unacknowledged -= bytes;
        }
        let window = WINDOW_BYTES.saturating_sub(self.unacknowledged);
        let chunk = self.forward.bandwidth.map_or(CHUNK_BYTES_MAX, |bandwidth| {
            let bytes = bandwidth as f64 / 8.0 * CHUNK_TIME.as_secs_f64();
            (bytes as usize).clamp(SEGMENT_BYTES, CHUNK_BYTES_MAX)
        });
        window.min(chunk)
    }

    /// Sends an item. Of bytes, no more than [`Path::room`] said.
    pub fn push(&mut self, now: Instant, item: Item, line: &mut Bottleneck) {
        self.unacknowledged += item.bytes();
        let departed = line.depart(now, item.bytes(), self.forward.bandwidth);
        self.set_out(departed, item);
    }

    fn set_out(&mut self, departed: Instant, item: Item) {
        let mut arrived = departed + self.forward.delay;
        if !self.forward.jitter.is_zero() {
            arrived += self.forward.jitter.mul_f64(self.dice.random::<f64>());
        }
        // An end without data is a segment, too.
        let segments = segments(item.bytes()).max(1);
        arrived += Timers::of(&self.forward, &self.backward).delay_by_loss(segments, &self.forward, &mut self.dice);
        self.queue.push_back((arrived, item));
    }

    /// The next item that has arrived by `now`.
    pub fn take(&mut self, now: Instant) -> Option<Item> {
        if !self.forward.is_open() {
            return None;
        }
        self.queue.pop_front_if(|(due, _)| *due <= now).map(|(_, item)| item)
    }

    /// The receiver has taken so many bytes: their acknowledgement sets out.
    pub fn delivered(&mut self, now: Instant, bytes: usize) {
        self.acknowledged.push_back((now + self.backward.delay, bytes));
    }

    /// When there will be something to do, if nothing else happens: an item arrives, or room comes back to a sender that has none.
    pub fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        let arrival = self.queue.front().filter(|_| self.forward.is_open()).map(|(due, _)| *due);
        let out_of_room = self.room(now) == 0 && self.backward.is_open();
        let room = self.acknowledged.front().filter(|_| out_of_room).map(|(due, _)| *due);
        arrival.into_iter().chain(room).min()
    }

    /// The link changed. What is on its way keeps its time, but for a heal: then what should have arrived during the cut sets out
    /// again at the next retransmission, and what was sent behind it follows.
    pub fn change(&mut self, now: Instant, forward: Properties, backward: Properties, line: &mut Bottleneck) {
        let timers = Timers::of(&forward, &backward);
        let healed = !self.forward.is_open() && forward.is_open();
        let acknowledges = !self.backward.is_open() && backward.is_open();
        (self.forward, self.backward) = (forward, backward);
        if let Some((due, _)) = self.queue.front()
            && healed
            && *due <= now
        {
            let again = timers.resume(*due, now);
            for (_, item) in std::mem::take(&mut self.queue) {
                // It takes its share of the line now, so that a wait until `again` keeps nobody else off the line.
                let departed = line.depart(now, item.bytes(), self.forward.bandwidth);
                self.set_out(departed.max(again), item);
            }
        }
        if let Some((due, _)) = self.acknowledged.front()
            && acknowledges
            && *due <= now
        {
            // The sender's next retransmission is answered with an acknowledgement of all that has arrived.
            let again = timers.resume(*due, now) + self.backward.delay;
            for (due, _) in &mut self.acknowledged {
                *due = again.max(*due);
            }
        }
    }

    /// Whether anything may arrive.
    pub const fn is_open(&self) -> bool {
        self.forward.is_open()
    }

    /// Bytes that have been sent and have not arrived.
    pub fn held(&self) -> usize {
        self.queue.iter().map(|(_, item)| item.bytes()).sum()
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
