//! The relay: from the outbox to both regions' Kafka, as `crates/outbox/src/relay` does it.
//!
//! A round takes the oldest rows ([`take`] is `store::oldest`), publishes them in order, and removes those that were acknowledged
//! ([`remove`] is `store::remove`; the local lane moves them to `outbox_peer` in the same statement). A relay that dies or loses its
//! lock anywhere in between leaves rows that are published again.

use crate::coverage::Seen;
use crate::runtime::{ProcessId, Sim};
use crate::sabotage::Sabotage;
use crate::spine::{Database, Event, Lost, statement};
use crate::world::{RegionId, World};
use crate::{MILLISECOND, SECOND};

/// Rows of one round: small, so that a round ends in the middle of things.
const BATCH_ROWS_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Local = 0,
    Peer = 1,
}

#[derive(Clone, Copy)]
struct Relay {
    process: ProcessId,
    region: RegionId,
    database: Database,
    lane: Lane,
}

/// One lane in one process, for as long as the process lives.
pub async fn run(sim: Sim, process: ProcessId, region: RegionId, (database, lane): (Database, Lane)) {
    let relay = Relay { process, region, database, lane };
    loop {
        let connection = sim.with(World::number);
        if sim.with(|world| relay.try_lock(world, connection)) {
            relay.lead(&sim, connection).await;
        }
        let standby = sim.random(300 * MILLISECOND..SECOND);
        sim.sleep(standby).await;
    }
}

impl Relay {
    fn try_lock(self, world: &mut World, connection: u64) -> bool {
        let leader = &mut world.regions[self.region].spine(self.database).leaders[self.lane as usize];
        leader.get_or_insert((self.process, connection)).1 == connection
    }

    fn is_leader(self, world: &mut World, connection: u64) -> bool {
        world.regions[self.region].spine(self.database).leaders[self.lane as usize] == Some((self.process, connection))
    }

    /// Round after round, until the lock is lost.
    async fn lead(self, sim: &Sim, connection: u64) {
        let mut last = 0;
        while sim.with(|world| self.is_leader(world, connection)) {
            let rows = sim.with(|world| self.take(world, last));
            if rows.is_empty() {
                let pause = sim.random(50 * MILLISECOND..300 * MILLISECOND);
                sim.sleep(pause).await;
                continue;
            }
            let acknowledged = self.publish(sim, &rows).await;
            let is_whole = acknowledged.len() == rows.len();
            if !sim.with(|world| self.is_leader(world, connection)) {
                return sim.saw(Seen::RelayLostLock);
            }
            if sim.with(|world| world.removed(Sabotage::OldestRowsFirst)) {
                last = acknowledged.iter().copied().fold(last, u64::max);
            }
            if self.remove(sim, acknowledged).await.is_err() || !is_whole {
                let back_off = sim.random(0..500 * MILLISECOND);
                sim.sleep(back_off).await;
            }
        }
    }

    /// The oldest rows, by position. Nothing is remembered: the table is the queue.
    fn take(self, world: &mut World, last: u64) -> Vec<(u64, Event)> {
        let spine = world.regions[self.region].spine(self.database);
        let table = match self.lane {
            Lane::Local => &spine.outbox,
            Lane::Peer => &spine.outbox_peer,
        };
        let rows: Vec<_> =
            table.range(last + 1..).take(BATCH_ROWS_MAX).map(|(position, event)| (*position, *event)).collect();
        if let (Lane::Local, Some((position, _))) = (self.lane, rows.last()) {
            spine.highest_taken = spine.highest_taken.max(*position);
        }
        rows
    }

    /// In order; returns the positions acknowledged. The producer stores each partition's messages in order or not at all.
    async fn publish(self, sim: &Sim, rows: &[(u64, Event)]) -> Vec<u64> {
        let mut acknowledged = Vec::new();
        for (position, event) in rows {
            sim.moment().await;
            let is_acknowledged = sim.with(|world| {
                let to = if self.lane == Lane::Local { self.region } else { world.regions.len() - 1 - self.region };
                let is_cut = world.is_cut(self.region, to);
                if world.regions[to].kafka.down_until > world.now || is_cut {
                    world.saw(Seen::BrokerDown);
                    return false;
                }
                if world.chance(world.plan.publishing / 2.0) {
                    world.saw(Seen::BrokerDown);
                    return false;
                }
                if !world.regions[to].kafka.publish(*event) {
                    world.saw(Seen::Republished);
                }
                world.touch(event.home, event.order);
                let is_lost = world.chance(world.plan.publishing / 2.0);
                if is_lost {
                    world.saw(Seen::PublishUnacknowledged);
                }
                !is_lost
            });
            if !is_acknowledged {
                break;
            }
            acknowledged.push(*position);
        }
        acknowledged
    }

    async fn remove(self, sim: &Sim, positions: Vec<u64>) -> Result<(), Lost> {
        statement(sim, |world| {
            let is_alone = world.regions.len() == 1;
            for position in positions {
                let spine = world.regions[self.region].spine(self.database);
                match self.lane {
                    Lane::Local => {
                        if let Some(event) = spine.outbox.remove(&position).filter(|_| !is_alone) {
                            spine.outbox_peer.insert(position, event);
                        }
                    }
                    Lane::Peer => drop(spine.outbox_peer.remove(&position)),
                }
            }
        })
        .await
    }
}
