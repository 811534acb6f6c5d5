//! What all connections share: the properties of both directions, the bottlenecks, the counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::bottleneck::Bottleneck;
use crate::direction::{Directed, Direction};
use crate::properties::{OutOfRange, Properties};

/// The link between the regions.
#[derive(Debug)]
pub struct Link {
    /// As the process was told at its start; what it goes back to on a reset.
    initial: Directed<Properties>,
    properties: watch::Sender<Directed<Properties>>,
    lines: Directed<Mutex<Bottleneck>>,
    traffic: Directed<Traffic>,
    seed: u64,
    numbers: AtomicU64,
}

/// Counters of one direction.
#[derive(Debug, Default)]
pub struct Traffic {
    connections: AtomicU64,
    carried: AtomicU64,
    held: AtomicU64,
}

impl Link {
    /// A link with these properties. `seed`: of all its dice.
    ///
    /// # Errors
    /// A property is out of its range.
    pub fn new(initial: Directed<Properties>, seed: u64) -> Result<Self, OutOfRange> {
        for direction in Direction::ALL {
            initial.of(direction).validate()?;
        }
        let now = Instant::now();
        Ok(Self {
            initial,
            properties: watch::Sender::new(initial),
            lines: Directed::from_fn(|_| Mutex::new(Bottleneck::new(now))),
            traffic: Directed::default(),
            seed,
            numbers: AtomicU64::new(0),
        })
    }

    /// The properties now.
    pub fn properties(&self) -> Directed<Properties> {
        *self.properties.borrow()
    }

    /// The properties at the start.
    pub const fn initial(&self) -> Directed<Properties> {
        self.initial
    }

    /// Told of every change.
    pub fn subscribe(&self) -> watch::Receiver<Directed<Properties>> {
        self.properties.subscribe()
    }

    /// Changes the properties in one step, which every connection feels at once. Returns the new ones.
    ///
    /// # Errors
    /// The outcome would be out of range; nothing is changed then.
    pub fn change(&self, edit: impl FnOnce(&mut Directed<Properties>)) -> Result<Directed<Properties>, OutOfRange> {
        let mut outcome = Ok(());
        self.properties.send_if_modified(|current| {
            let mut edited = *current;
            edit(&mut edited);
            outcome = edited.east_west.validate().and(edited.west_east.validate());
            let changed = outcome.is_ok() && edited != *current;
            if changed {
                *current = edited;
            }
            changed
        });
        outcome.map(|()| self.properties())
    }

    /// Ends the cuts whose time is over, for as long as it is polled.
    pub async fn heal_when_due(&self) {
        let mut changes = self.subscribe();
        loop {
            let cuts = self.properties();
            let due = Direction::ALL.iter().filter_map(|direction| cuts.of(*direction).cut?.heals_at).min();
            let healed = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = healed => self.heal(Instant::now()),
                // We hold the sender: it does not end.
                _ = changes.changed() => {}
            }
        }
    }

    fn heal(&self, now: Instant) {
        let ended = self.change(|link| {
            for direction in Direction::ALL {
                let cut = &mut link.of_mut(direction).cut;
                *cut = cut.filter(|cut| cut.heals_at.is_none_or(|at| at > now));
            }
        });
        tracing::info!(ok = ended.is_ok(), "a cut healed when its time was over");
    }

    /// The bottleneck of a direction. The lock is held for some arithmetic; a poisoned one still holds a time.
    pub fn line(&self, direction: Direction) -> MutexGuard<'_, Bottleneck> {
        self.lines.of(direction).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of a direction.
    pub const fn traffic(&self, direction: Direction) -> &Traffic {
        self.traffic.of(direction)
    }

    /// Seeds for the dice of the next connection. Connections are numbered as they come, so the same connections with the same
    /// traffic meet the same faults.
    pub fn seeds(&self) -> Directed<u64> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let of = |direction: u64| self.seed.wrapping_add((2 * number + direction).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Directed { east_west: of(0), west_east: of(1) }
    }
}

impl Traffic {
    /// Connections that were dialled in this direction and are open.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes that have arrived, since the start of the process.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Bytes that were sent and have not arrived.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Counts a connection for as long as the answer lives.
    pub(crate) fn connection(&self) -> OpenConnection<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self)
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.held.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn arrived(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

/// Counts one connection until it is dropped.
pub(crate) struct OpenConnection<'a>(&'a Traffic);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::properties::Cut;

    #[test]
    fn a_change_out_of_range_changes_nothing() {
        let link = Link::new(Directed::default(), 1).unwrap();
        let before = link.properties();
        let refused = link.change(|link| {
            link.east_west.delay = Duration::ZERO;
            link.west_east.loss = 0.6;
        });
        assert_eq!((refused, link.properties()), (Err(OutOfRange::Probability), before));
    }

    #[tokio::test]
    async fn a_cut_with_a_time_heals_by_itself_and_another_does_not() {
        let link = Link::new(Directed::default(), 1).unwrap();
        let now = Instant::now();
        link.change(|link| {
            link.east_west.cut = Some(Cut { since: now, heals_at: Some(now + Duration::from_millis(20)) });
            link.west_east.cut = Some(Cut { since: now, heals_at: None });
        })
        .unwrap();
        let mut changes = link.subscribe();
        tokio::select! {
            () = link.heal_when_due() => {}
            _ = changes.changed() => {}
        }
        assert!(now.elapsed() >= Duration::from_millis(20));
        let after = link.properties();
        assert_eq!((after.east_west.is_open(), after.west_east.is_open()), (true, false));
    }
}
