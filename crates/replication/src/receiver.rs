//! The side that joins what another replica ships, and answers its comparisons.

use crate::{Config, Digest, Listing, PROTOCOL_VERSION, Position, ReplicaId, ToReceiver, ToShipper};

/// Receives one other replica's log. Made anew for each stream.
#[derive(Debug)]
pub struct Receiver<I, P> {
    config: Config,
    replica: ReplicaId,
    peer: Option<Peer<I, P>>,
    /// The comparison whose digests are being read. A newer one replaces it.
    comparing: Option<Comparison<I>>,
    /// The repair whose states are being joined.
    repairing: Option<u64>,
}

#[derive(Debug)]
struct Peer<I, P> {
    log: ReplicaId,
    /// What is durable here; `None` until it was read.
    durable: Option<Position>,
    /// What is durable, being joined or gathered: the next batch must begin at or below it.
    accepted: Position,
    joining: bool,
    /// Gathered while a join runs, for the next.
    gathered: Vec<(I, P)>,
    gathered_batches: usize,
}

#[derive(Debug)]
struct Comparison<I> {
    request: u64,
    last: I,
    count: usize,
    digest: Digest,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<I, P> {
    /// A message came.
    Received(ToReceiver<I, P>),
    /// Answers [`Effect::ReadThrough`].
    Through {
        /// Of the effect.
        log: ReplicaId,
        /// As stored; [`Position::START`] when there is nothing.
        position: Position,
    },
    /// Answers [`Effect::Join`], after the commit.
    Joined {
        /// Of the effect.
        log: ReplicaId,
        /// As stored now.
        through: Position,
    },
    /// Answers [`Effect::ReadDigests`].
    Digests {
        /// Of the effect.
        request: u64,
        /// By id, ascending.
        carts: Vec<(I, Digest)>,
    },
    /// Answers [`Effect::JoinStates`], after the commit.
    StatesJoined {
        /// Of the effect.
        request: u64,
    },
}

/// What the host must do. It has at most one join, one reading of digests and one join of states to do at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<I, P> {
    /// Send it. It may get lost.
    Send(ToShipper<I>),
    /// Read the position stored for `log`, and answer [`Input::Through`].
    ReadThrough {
        /// Whose log.
        log: ReplicaId,
    },
    /// In ONE transaction: join the entries, as deltas, and store for `log` the greater of `through` and what is stored (the
    /// last transaction of an earlier stream may still be under way). After the commit, answer [`Input::Joined`].
    Join {
        /// Whose log.
        log: ReplicaId,
        /// What the position becomes.
        through: Position,
        /// Deltas with their carts. At most [`Config::window_batches_max`] batches of them.
        entries: Vec<(I, P)>,
    },
    /// Read the digests of own carts in (`after`, `last`] by id, and answer [`Input::Digests`].
    ReadDigests {
        /// Echo it.
        request: u64,
        /// Exclusive; `None` is before the first cart.
        after: Option<I>,
        /// Inclusive.
        last: I,
        /// Most carts.
        limit: usize,
    },
    /// In one transaction, join the states, as whole states. After the commit, answer [`Input::StatesJoined`].
    JoinStates {
        /// Echo it.
        request: u64,
        /// States with their carts.
        states: Vec<(I, P)>,
    },
    /// Close the stream with this error.
    Refuse(Refusal),
}

/// Why a shipper is not welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It speaks another version.
    #[error("replication protocol {0} is not known here")]
    UnknownVersion(u32),
    /// It has our own number: two databases would issue the same dots.
    #[error("replica number {} is also ours", .0.0)]
    SameReplica(ReplicaId),
    /// The stream was opened for another log.
    #[error("stream was opened for another log than that of replica {}", .0.0)]
    AnotherLog(ReplicaId),
    /// A batch is larger than was agreed.
    #[error("batch of {0} entries is too large")]
    BatchTooLarge(usize),
}

impl<I: Ord + Clone, P> Receiver<I, P> {
    /// A receiver on `replica`'s side.
    pub fn new(config: Config, replica: ReplicaId) -> Self {
        Self { config, replica, peer: None, comparing: None, repairing: None }
    }

    /// Takes an input, and returns what to do. There is no time in it: whoever waits for an answer asks again.
    pub fn handle(&mut self, input: Input<I, P>) -> Vec<Effect<I, P>> {
        let mut effects = Vec::new();
        match input {
            Input::Received(message) => self.receive(message, &mut effects),
            Input::Through { log, position } => {
                if let Some(peer) = self.peer.as_mut().filter(|peer| peer.log == log && peer.durable.is_none()) {
                    peer.durable = Some(position);
                    peer.accepted = position;
                    effects.push(welcome(self.replica, log, position));
                }
            }
            Input::Joined { log, through } => {
                if let Some(peer) = self.peer.as_mut().filter(|peer| peer.log == log) {
                    peer.joined(through, &mut effects);
                    effects.push(ack(self.replica, log, through, false));
                }
            }
            Input::Digests { request, carts } => self.compare(request, carts, &mut effects),
            Input::StatesJoined { request } => {
                self.repairing = None;
                effects.push(Effect::Send(ToShipper::Repaired { request }));
            }
        }
        effects
    }

    fn receive(&mut self, message: ToReceiver<I, P>, effects: &mut Vec<Effect<I, P>>) {
        match message {
            ToReceiver::Hello { version, log } => self.greeted(version, log, effects),
            ToReceiver::Batch { log, after, through, entries } => {
                if entries.len() > self.config.batch_entries_max {
                    return effects.push(Effect::Refuse(Refusal::BatchTooLarge(entries.len())));
                }
                self.batch(log, after, through, entries, effects);
            }
            ToReceiver::Compare { request, after, last, count, digest } => {
                effects.push(Effect::ReadDigests {
                    request,
                    after,
                    last: last.clone(),
                    limit: self.config.page_carts_max + 1,
                });
                self.comparing = Some(Comparison { request, last, count, digest });
            }
            ToReceiver::Repair { request, states } => {
                if self.repairing.is_none() {
                    self.repairing = Some(request);
                    effects.push(Effect::JoinStates { request, states });
                }
            }
        }
    }

    fn greeted(&mut self, version: u32, log: ReplicaId, effects: &mut Vec<Effect<I, P>>) {
        if version != PROTOCOL_VERSION {
            return effects.push(Effect::Refuse(Refusal::UnknownVersion(version)));
        }
        if log == self.replica {
            return effects.push(Effect::Refuse(Refusal::SameReplica(log)));
        }
        match &self.peer {
            Some(peer) if peer.log == log => {
                effects.extend(peer.durable.map(|through| welcome(self.replica, log, through)));
            }
            Some(_) => effects.push(Effect::Refuse(Refusal::AnotherLog(log))),
            None => {
                self.peer = Some(Peer::new(log));
                effects.push(Effect::ReadThrough { log });
            }
        }
    }

    fn batch(
        &mut self,
        log: ReplicaId,
        after: Position,
        through: Position,
        entries: Vec<(I, P)>,
        effects: &mut Vec<Effect<I, P>>,
    ) {
        let Some(peer) = self.peer.as_mut().filter(|peer| peer.log == log) else { return };
        let Some(durable) = peer.durable else { return };
        if through <= durable || after > peer.accepted {
            effects.push(ack(self.replica, log, durable, after > peer.accepted));
        } else if through > peer.accepted && peer.gathered_batches < self.config.window_batches_max {
            peer.accepted = through;
            peer.gathered_batches += 1;
            peer.gathered.extend(entries);
            peer.join_gathered(effects);
        }
    }

    fn compare(&mut self, request: u64, carts: Vec<(I, Digest)>, effects: &mut Vec<Effect<I, P>>) {
        let Some(asked) = self.comparing.take_if(|asked| asked.request == request) else { return };
        let same =
            carts.len() == asked.count && Digest::of_page(carts.iter().map(|(_, digest)| *digest)) == asked.digest;
        let difference = (!same).then(|| {
            let whole = carts.len() <= self.config.page_carts_max;
            let through = carts.last().filter(|_| !whole).map_or(asked.last, |(id, _)| id.clone());
            Listing { carts, through }
        });
        effects.push(Effect::Send(ToShipper::Compared { request, difference }));
    }
}

impl<I, P> Peer<I, P> {
    const fn new(log: ReplicaId) -> Self {
        let (durable, accepted) = (None, Position::START);
        Self { log, durable, accepted, joining: false, gathered: Vec::new(), gathered_batches: 0 }
    }

    fn join_gathered(&mut self, effects: &mut Vec<Effect<I, P>>) {
        if !self.joining && self.gathered_batches > 0 {
            self.joining = true;
            self.gathered_batches = 0;
            let entries = std::mem::take(&mut self.gathered);
            effects.push(Effect::Join { log: self.log, through: self.accepted, entries });
        }
    }

    fn joined(&mut self, through: Position, effects: &mut Vec<Effect<I, P>>) {
        self.durable = self.durable.max(Some(through));
        self.accepted = self.accepted.max(through);
        self.joining = false;
        self.join_gathered(effects);
    }
}

const fn welcome<I, P>(receiver: ReplicaId, log: ReplicaId, through: Position) -> Effect<I, P> {
    Effect::Send(ToShipper::Welcome { receiver, log, through })
}

const fn ack<I, P>(receiver: ReplicaId, log: ReplicaId, through: Position, gap: bool) -> Effect<I, P> {
    Effect::Send(ToShipper::Ack { receiver, log, through, gap })
}
