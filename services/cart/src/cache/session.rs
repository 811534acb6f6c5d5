//! The one connection to Redis on which this process may rely, and when it may. Pure but for the connection it holds.
//!
//! **The invariant.** A process reads from the cache only while it takes out, itself, every change of every cart: its feed has not been
//! interrupted, and none of its evictions has failed, since it last began a new *epoch*. The epoch is a random name in Redis that
//! is part of every key; beginning a new one puts all that was stored before out of everybody's reach.
//!
//! So the cache is stale by at most the lag of one's own feed. Whatever breaks the invariant (the feed or the connection lost, an eviction
//! not answered, Redis started anew, perhaps with an old snapshot) ends the session, and the next session begins with a new epoch.
//! Evictions go out from the moment a session has its connection, before its epoch begins: what is skipped before that is
//! before the epoch, so nobody can have stored it in the new one.

use std::collections::HashSet;

use ids::CartId;
use redis::aio::MultiplexedConnection;

/// The state of one process: which feed, which connection.
#[derive(Default)]
pub(super) struct Sessions {
    /// Counts feeds and sessions, so that what belongs to an earlier one is recognised.
    count: u64,
    /// The feed that runs.
    feed: Option<u64>,
    session: Option<Session>,
    /// Carts that this process has changed and could not take out itself. It does not read them from the cache until its feed has
    /// taken them out.
    left_in: HashSet<CartId>,
}

/// Most carts of [`Sessions::left_in`]: more, and it is cheaper to begin anew.
const LEFT_IN_MAX: usize = 1_024;

/// A connection.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) connection: MultiplexedConnection,
    /// It has begun an epoch, so what it reads can be relied upon.
    begun: bool,
}

impl Sessions {
    pub(super) fn feed_begins(&mut self) {
        self.count += 1;
        self.feed = Some(self.count);
        self.drop_session();
    }

    pub(super) fn feed_ends(&mut self) {
        self.feed = None;
        self.drop_session();
    }

    /// What an earlier session could not take out is in an epoch that nobody reads.
    fn drop_session(&mut self) {
        self.session = None;
        self.left_in.clear();
    }

    /// This process has changed `cart_id` and could not take it out. Returns whether the session is of no more use.
    pub(super) fn leave_in(&mut self, cart_id: CartId) -> bool {
        if self.session.is_none() {
            return false;
        }
        self.left_in.insert(cart_id);
        self.left_in.len() > LEFT_IN_MAX
    }

    /// The feed has taken `cart_id` out.
    pub(super) fn taken_out(&mut self, cart_id: CartId) {
        self.left_in.remove(&cart_id);
    }

    /// Whether `cart_id` may be there and out of date.
    pub(super) fn is_left_in(&self, cart_id: CartId) -> bool {
        self.left_in.contains(&cart_id)
    }

    /// The feed that lacks a session.
    pub(super) fn wanting(&self) -> Option<u64> {
        if self.session.is_none() { self.feed } else { None }
    }

    /// A connection was made for `feed`. Returns the session, whose epoch must now be begun; `None` if the feed has ended meanwhile.
    pub(super) fn connected(&mut self, feed: u64, connection: MultiplexedConnection) -> Option<Session> {
        if self.feed != Some(feed) {
            return None;
        }
        self.count += 1;
        let session = Session { number: self.count, connection, begun: false };
        self.session = Some(session.clone());
        Some(session)
    }

    /// The session has begun its epoch.
    pub(super) fn begun(&mut self, number: u64) {
        if let Some(session) = self.session.as_mut().filter(|session| session.number == number) {
            session.begun = true;
        }
    }

    /// The session cannot be relied upon any more. Returns whether it was there.
    pub(super) fn end(&mut self, number: u64) -> bool {
        let ends = self.session.as_ref().is_some_and(|session| session.number == number);
        if ends {
            self.drop_session();
        }
        ends
    }

    /// For evictions.
    pub(super) fn connected_session(&self) -> Option<Session> {
        self.session.clone()
    }

    /// For reads.
    pub(super) fn begun_session(&self) -> Option<Session> {
        self.session.clone().filter(|session| session.begun)
    }
}
