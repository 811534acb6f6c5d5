//! The connections that a listener holds: so many in all, so many of one client; and which of them has to go when one more comes.
//!
//! A connection costs its client nothing, so whoever opens thousands and says nothing would keep everybody else out. Three rules:
//! - who says nothing, or does not come to the end of a request's head, is closed soon;
//! - one client has a share; at the end of it, its own connection that is the least use goes for the new one;
//! - at the end of all, the same happens to the client that holds the most.
//!
//! A connection that is being answered is never closed for another. When there are only such, the new one is refused.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{ClientAddress, share};
use crate::config::ServiceConfig;

/// Who connects and says nothing is closed after so long. The client of a slow link sends its first bytes within a few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Who began the head of a request has so long to end it: 16 KB, the largest there are, at 2 KB a second with some seconds to spare.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Whoever said nothing yet for so long only is not less use than one that keeps a connection for later.
const NEW: Duration = Duration::from_secs(1);
/// Bytes that a client of HTTP/2 opens with (RFC 9113, 3.4). From then on the server's pings tell whether it lives.
const PREFACE_BYTES: usize = 24;

/// How many connections a listener holds.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionsMax {
    /// In all. Each costs two buffers of about 8 KB, so 4,096 are at most some 64 MB when a crowd of them is hostile.
    pub all: usize,
    /// Of one client.
    pub per_client: usize,
}

impl From<&ServiceConfig> for ConnectionsMax {
    fn from(config: &ServiceConfig) -> Self {
        let all = config.connections_max as usize;
        Self { all, per_client: share(all, config.client_share_percent) }
    }
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy)]
enum Activity {
    /// It has said nothing that begins a conversation.
    Silent { since: Instant, bytes: usize },
    /// It sends the head of a request.
    Asking { since: Instant },
    /// So many of its requests are being answered; for HTTP/2, where the server's pings watch it, always one.
    Busy { requests: usize },
    /// Between two requests.
    Quiet { since: Instant },
}

/// The connections of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    max: ConnectionsMax,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    all: usize,
    /// By client, then by number: the order in which they came.
    by_client: HashMap<ClientAddress, BTreeMap<u64, Arc<State>>>,
}

#[derive(Debug)]
struct State {
    activity: Mutex<Activity>,
    protocol: Protocol,
    end: CancellationToken,
}

/// A connection that is held; dropping it makes room.
#[derive(Debug)]
pub(super) struct Connection {
    client: ClientAddress,
    number: u64,
    state: Arc<State>,
    held: Arc<Mutex<Held>>,
}

/// A request that is being answered; dropping it tells its connection.
#[derive(Debug)]
pub(super) struct Answering(Arc<State>);

impl Connections {
    pub(super) fn new(max: ConnectionsMax) -> Self {
        Self { max, held: Arc::default() }
    }

    /// Takes a connection in, perhaps for another. `None`: there is no room, and nobody to make it.
    pub(super) fn admit(&self, peer: SocketAddr, protocol: Protocol) -> Option<Connection> {
        let (client, now) = (ClientAddress::from(peer.ip()), Instant::now());
        let mut held = locked(&self.held);
        let of_client = held.by_client.get(&client).map_or(0, BTreeMap::len);
        if of_client >= self.max.per_client {
            held.end_least_use_of(client, now)?;
        } else if held.all >= self.max.all {
            let most = held.by_client.iter().max_by_key(|(_, connections)| connections.len());
            let most = most.map(|(client, _)| *client)?;
            held.end_least_use_of(most, now)?;
        }
        let activity = Mutex::new(Activity::Silent { since: now, bytes: 0 });
        let state = Arc::new(State { activity, protocol, end: CancellationToken::new() });
        let number = held.next;
        held.next += 1;
        held.all += 1;
        held.by_client.entry(client).or_default().insert(number, Arc::clone(&state));
        Some(Connection { client, number, state, held: Arc::clone(&self.held) })
    }
}

impl Held {
    /// Ends the connection of `client` that is the least use. It counts no longer, though its socket may take a moment to close.
    fn end_least_use_of(&mut self, client: ClientAddress, now: Instant) -> Option<()> {
        let connections = self.by_client.get(&client)?;
        let dispensable = connections.iter().filter_map(|(number, state)| Some((state.use_at(now)?, *number)));
        let (_, number) = dispensable.min()?;
        let state = self.remove(client, number)?;
        metrics::counter!("connections_ended_for_others_total").increment(1);
        state.end.cancel();
        Some(())
    }

    fn remove(&mut self, client: ClientAddress, number: u64) -> Option<Arc<State>> {
        let connections = self.by_client.get_mut(&client)?;
        let removed = connections.remove(&number)?;
        if connections.is_empty() {
            self.by_client.remove(&client);
        }
        self.all = self.all.saturating_sub(1);
        Some(removed)
    }
}

impl State {
    /// How much use the connection is, the least first; `None` when it must not be ended.
    fn use_at(&self, now: Instant) -> Option<(u8, Instant)> {
        match *locked(&self.activity) {
            Activity::Silent { since, .. } | Activity::Asking { since } => {
                let rank = if now.saturating_duration_since(since) < NEW { 2 } else { 0 };
                Some((rank, since))
            }
            Activity::Quiet { since } => Some((1, since)),
            Activity::Busy { .. } => None,
        }
    }
}

impl Connection {
    /// Who is at the other end.
    pub(super) const fn client(&self) -> ClientAddress {
        self.client
    }

    /// Ends the connection for another's sake, or for its own.
    pub(super) fn end(&self) -> CancellationToken {
        self.state.end.clone()
    }

    /// Notes that so many bytes came.
    pub(super) fn heard(&self, more: usize) {
        let mut activity = locked(&self.state.activity);
        *activity = match (*activity, self.state.protocol) {
            (Activity::Silent { since, bytes }, Protocol::Http2) if bytes + more < PREFACE_BYTES => {
                Activity::Silent { since, bytes: bytes + more }
            }
            (Activity::Silent { .. }, Protocol::Http2) => Activity::Busy { requests: 1 },
            (Activity::Silent { since, .. }, Protocol::Http1) => Activity::Asking { since },
            (Activity::Quiet { .. }, _) => Activity::Asking { since: Instant::now() },
            (other @ (Activity::Asking { .. } | Activity::Busy { .. }), _) => other,
        };
    }

    /// When the connection has to have said more; `None` while nothing is expected of it.
    pub(super) fn due(&self) -> Option<Instant> {
        match *locked(&self.state.activity) {
            Activity::Silent { since, .. } => Some(since + SILENCE_MAX),
            Activity::Asking { since } => Some(since + HEAD_MAX),
            Activity::Busy { .. } | Activity::Quiet { .. } => None,
        }
    }

    /// Notes that a request is complete but for its body, and is being answered until what this returns is dropped.
    pub(super) fn answering(&self) -> Answering {
        let mut activity = locked(&self.state.activity);
        let requests = if let Activity::Busy { requests } = *activity { requests } else { 0 };
        *activity = Activity::Busy { requests: requests + 1 };
        Answering(Arc::clone(&self.state))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        locked(&self.held).remove(self.client, self.number);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut activity = locked(&self.0.activity);
        *activity = match *activity {
            Activity::Busy { requests } if requests > 1 => Activity::Busy { requests: requests - 1 },
            _ => Activity::Quiet { since: Instant::now() },
        };
    }
}

/// Held for a moment, never across an await. A poisoned lock still holds what it held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
