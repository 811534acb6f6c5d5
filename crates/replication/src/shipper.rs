//! The side that owns the log: ships it, keeps the other side's position, and compares carts.

use std::time::Duration;

use crate::anti_entropy::AntiEntropy;
use crate::window::Window;
use crate::{Config, Digest, PROTOCOL_VERSION, Position, ReplicaId, ToReceiver, ToShipper};

/// Ships this replica's log to one other. Made anew for each stream.
#[derive(Debug)]
pub struct Shipper<I> {
    config: Config,
    replica: ReplicaId,
    link: Link,
    /// A read of the log is under way; at most one is.
    reading: bool,
    /// The log may hold more than was read.
    more: bool,
    poll_at: Duration,
    anti_entropy: AntiEntropy<I>,
}

#[derive(Debug)]
enum Link {
    /// A hello went out then.
    Greeting(Duration),
    Streaming(Stream),
    /// Nothing is sent any more; see [`Effect::Halt`].
    Halted,
}

#[derive(Debug)]
struct Stream {
    receiver: ReplicaId,
    acked: Position,
    /// The end of the last batch sent.
    sent: Position,
    unacked: Window,
    /// Since when an acknowledgement is overdue, if any is expected.
    waiting_since: Duration,
    /// Went back for a gap and nothing was acknowledged since: the other answers about the same gap are no news.
    gone_back: bool,
    /// The last read reached the end of the log.
    at_end: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<I, P> {
    /// The stream is open. First, once.
    Opened,
    /// A message came.
    Received(ToShipper<I>),
    /// Answers [`Effect::ReadLog`].
    LogRead(LogRead<I, P>),
    /// An entry was committed, or may have been. A hint: losing one costs [`Config::poll_every`].
    LogGrew,
    /// Answers [`Effect::ReadDigests`].
    Digests {
        /// Of the effect.
        request: u64,
        /// By id, ascending.
        carts: Vec<(I, Digest)>,
    },
    /// Answers [`Effect::ReadStates`].
    States {
        /// Of the effect.
        request: u64,
        /// By id, ascending: the states of the ids asked for, or of the first of them when `bytes_max` is reached, but at least
        /// one. Carts that do not exist are left out.
        states: Vec<(I, P)>,
    },
    /// [`Shipper::wake_at`] has come.
    Tick,
}

/// A stretch of the log.
#[derive(Clone, Debug)]
pub struct LogRead<I, P> {
    /// As asked.
    pub after: Position,
    /// No entry will ever appear in (`after`, `through`] beyond those given: the store stops below the oldest transaction that still
    /// runs. Equal to `after` when there is nothing new; *below* it only when the log has never been that long, see [`Halt`].
    pub through: Position,
    /// The last position that was trimmed; [`Position::START`] when nothing was.
    pub trimmed: Position,
    /// Whether there is more to read now.
    pub more: bool,
    /// What the entries weigh together.
    pub bytes: usize,
    /// In order. Entries of the same cart may have been joined into one.
    pub entries: Vec<(I, P)>,
}

/// What the host must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<I, P> {
    /// Send it. It may get lost.
    Send(ToReceiver<I, P>),
    /// Read the log and answer [`Input::LogRead`].
    ReadLog {
        /// Exclusive.
        after: Position,
        /// Most entries.
        entries_max: usize,
        /// Most bytes; at least one entry is given, however large.
        bytes_max: usize,
    },
    /// Store that this receiver has everything through `position`. Log entries at or below what *all* receivers have may be trimmed,
    /// none above. It may be lower than before, when the receiver lost what it had. Only trimming depends on it, so it may be
    /// stored late or not at all.
    PersistAcked {
        /// Who has it.
        receiver: ReplicaId,
        /// Inclusive.
        position: Position,
    },
    /// Read digests of own carts by id, and answer [`Input::Digests`].
    ReadDigests {
        /// Echo it.
        request: u64,
        /// Exclusive; `None` is before the first cart.
        after: Option<I>,
        /// Most carts.
        limit: usize,
    },
    /// Read whole states of own carts, and answer [`Input::States`].
    ReadStates {
        /// Echo it.
        request: u64,
        /// Ascending.
        ids: Vec<I>,
        /// Most bytes; at least one state is given, however large.
        bytes_max: usize,
    },
    /// Close the stream, raise an alarm, do not try again by itself.
    Halt(Halt),
}

/// The receiver has more of this log than there is: this database went back in time under its old number, and may have begun to
/// hand out dots and positions a second time. It must stop taking edits, and go on under a number that was never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "receiver has the log through {acked:?}, but it ends at {end:?}: the database was restored without a new replica number"
)]
pub struct Halt {
    /// What the receiver has.
    pub acked: Position,
    /// What there is.
    pub end: Position,
}

impl<I: Ord + Clone> Shipper<I> {
    /// A shipper of `replica`'s log.
    pub fn new(config: Config, replica: ReplicaId) -> Self {
        let link = Link::Greeting(Duration::ZERO);
        Self {
            config,
            replica,
            link,
            reading: false,
            more: false,
            poll_at: Duration::ZERO,
            anti_entropy: AntiEntropy::new(),
        }
    }

    /// Takes an input at the time `now`, which counts from any fixed moment of a clock that never goes back. Returns what to do.
    pub fn handle<P>(&mut self, input: Input<I, P>, now: Duration) -> Vec<Effect<I, P>> {
        let mut effects = Vec::new();
        match input {
            Input::Opened => self.greet(now, &mut effects),
            Input::Received(message) => self.receive(message, now, &mut effects),
            Input::LogRead(read) => self.log_read(read, now, &mut effects),
            Input::LogGrew => self.more = true,
            Input::Digests { request, carts } => {
                self.anti_entropy.digests(request, carts, &self.config, now, &mut effects);
            }
            Input::States { request, states } => self.anti_entropy.states(request, states, now, &mut effects),
            Input::Tick => {}
        }
        self.advance(now, &mut effects);
        effects
    }

    /// When to say [`Input::Tick`], unless something else happens before.
    pub fn wake_at(&self) -> Option<Duration> {
        match &self.link {
            Link::Greeting(since) => Some(*since + self.config.resend_after),
            Link::Streaming(stream) => {
                let resend = (!stream.unacked.is_empty()).then(|| stream.waiting_since + self.config.resend_after);
                let compare = self.anti_entropy.wake_at(stream.at_end, &self.config);
                [Some(self.poll_at), resend, compare].into_iter().flatten().min()
            }
            Link::Halted => None,
        }
    }

    /// Batches and bytes sent and not acknowledged.
    pub fn in_flight(&self) -> (usize, usize) {
        match &self.link {
            Link::Streaming(stream) => (stream.unacked.batches(), stream.unacked.bytes()),
            Link::Greeting(_) | Link::Halted => (0, 0),
        }
    }

    fn greet<P>(&mut self, now: Duration, effects: &mut Vec<Effect<I, P>>) {
        self.link = Link::Greeting(now);
        effects.push(Effect::Send(ToReceiver::Hello { version: PROTOCOL_VERSION, log: self.replica }));
    }

    fn receive<P>(&mut self, message: ToShipper<I>, now: Duration, effects: &mut Vec<Effect<I, P>>) {
        match message {
            ToShipper::Welcome { receiver, log, through } if log == self.replica => match &mut self.link {
                Link::Streaming(stream) if stream.receiver == receiver => stream.acknowledge(through, now, effects),
                Link::Streaming(_) | Link::Greeting(_) => {
                    self.link = Link::Streaming(Stream::new(receiver, through, now));
                    self.more = true;
                    self.poll_at = now + self.config.poll_every;
                    effects.push(Effect::PersistAcked { receiver, position: through });
                }
                Link::Halted => {}
            },
            ToShipper::Ack { receiver, log, through, gap } if log == self.replica => {
                if let Link::Streaming(stream) = &mut self.link
                    && stream.receiver == receiver
                {
                    stream.acknowledge(through, now, effects);
                    if gap && stream.go_back(through, now) {
                        self.more = true;
                    }
                }
            }
            // About another log: from before this replica got its number.
            ToShipper::Welcome { .. } | ToShipper::Ack { .. } => {}
            ToShipper::Compared { request, difference } => {
                self.anti_entropy.compared(request, difference, &self.config, now, effects);
            }
            ToShipper::Repaired { request } => self.anti_entropy.repaired(request, &self.config, now, effects),
        }
    }

    fn log_read<P>(&mut self, read: LogRead<I, P>, now: Duration, effects: &mut Vec<Effect<I, P>>) {
        self.reading = false;
        let Link::Streaming(stream) = &mut self.link else { return };
        if read.after != stream.sent {
            // Went back, or was told of a later position, while the read was under way.
            self.more = true;
            return;
        }
        if read.through < read.after {
            effects.push(Effect::Halt(Halt { acked: read.after, end: read.through }));
            self.link = Link::Halted;
            return;
        }
        if read.after < read.trimmed {
            self.anti_entropy.start_over(now);
        }
        self.more |= read.more;
        stream.at_end = !read.more;
        if read.through > read.after {
            if stream.unacked.is_empty() {
                stream.waiting_since = now;
            }
            stream.unacked.push(read.through, read.bytes);
            stream.sent = read.through;
            let LogRead { after, through, entries, .. } = read;
            effects.push(Effect::Send(ToReceiver::Batch { log: self.replica, after, through, entries }));
        }
    }

    /// What is due by now: ask again, read on, compare.
    fn advance<P>(&mut self, now: Duration, effects: &mut Vec<Effect<I, P>>) {
        let resend_after = self.config.resend_after;
        match &self.link {
            Link::Greeting(since) if now >= *since + resend_after => self.greet(now, effects),
            Link::Streaming(stream) if !stream.unacked.is_empty() && now >= stream.waiting_since + resend_after => {
                self.greet(now, effects);
            }
            _ => {}
        }
        let Link::Streaming(stream) = &self.link else { return };
        if now >= self.poll_at {
            self.more = true;
            self.poll_at = now + self.config.poll_every;
        }
        if self.more
            && !self.reading
            && let Some(room) = stream.unacked.room(&self.config)
        {
            self.reading = true;
            self.more = false;
            effects.push(Effect::ReadLog {
                after: stream.sent,
                entries_max: self.config.batch_entries_max,
                bytes_max: self.config.batch_bytes_max.min(room),
            });
        }
        self.anti_entropy.advance(stream.at_end, &self.config, now, effects);
    }
}

impl Stream {
    fn new(receiver: ReplicaId, through: Position, now: Duration) -> Self {
        Self {
            receiver,
            acked: through,
            sent: through,
            unacked: Window::default(),
            waiting_since: now,
            gone_back: false,
            at_end: false,
        }
    }

    /// Old acknowledgements, arriving late, change nothing.
    fn acknowledge<I, P>(&mut self, through: Position, now: Duration, effects: &mut Vec<Effect<I, P>>) {
        if through > self.acked {
            self.acked = through;
            self.unacked.acknowledge(through);
            self.sent = self.sent.max(through);
            self.waiting_since = now;
            self.gone_back = false;
            effects.push(Effect::PersistAcked { receiver: self.receiver, position: through });
        }
    }

    /// Ships again from `through`. Returns whether that is called for.
    fn go_back(&mut self, through: Position, now: Duration) -> bool {
        let news = through == self.acked && self.sent > self.acked && !self.gone_back;
        if news {
            self.sent = self.acked;
            self.unacked.clear();
            self.waiting_since = now;
            self.gone_back = true;
            self.at_end = false;
        }
        news
    }
}
