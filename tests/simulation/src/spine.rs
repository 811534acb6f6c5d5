//! The event spine: outbox and inbox tables, Kafka's logs, consumer groups; and the transactions that append.
//!
//! | here | in `crates/outbox` |
//! | --- | --- |
//! | [`append`] | a transaction with `append`: takes its position when it writes, shows it when it commits |
//! | [`Spine::outbox`], [`Spine::outbox_peer`] | the tables of those names |
//! | [`Spine::leaders`] | `pg_try_advisory_lock`, one per lane, gone with its connection |
//! | [`Spine::inbox`] | the table `inbox`, whose row commits with the effect |

use std::collections::{BTreeMap, BTreeSet};

use ids::{OrderId, RefundId};

use crate::coverage::Seen;
use crate::runtime::{ProcessId, Sim};
use crate::sabotage::Sabotage;
use crate::world::{RegionId, World};
use crate::{MILLISECOND, Micros};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    OrderPlaced,
    OrderCancelled,
    OrderShipped,
    PaymentCaptured,
    PaymentRefunded,
}

impl Topic {
    pub const ALL: [Self; 5] =
        [Self::OrderPlaced, Self::OrderCancelled, Self::OrderShipped, Self::PaymentCaptured, Self::PaymentRefunded];
}

/// An event: what happened to an order, or to a refund of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: u64,
    pub topic: Topic,
    pub order: OrderId,
    pub refund: Option<RefundId>,
    pub amount_minor: i64,
    pub home: RegionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Order,
    Payment,
}

/// One database's tables of the spine.
#[derive(Default)]
pub struct Spine {
    pub outbox: BTreeMap<u64, Event>,
    pub outbox_peer: BTreeMap<u64, Event>,
    /// By lane: who has its lock, and for which connection.
    pub leaders: [Option<(ProcessId, u64)>; 2],
    /// Highest position that a relay has taken up.
    pub highest_taken: u64,
    next_position: u64,
    /// Aggregates whose row a transaction holds.
    locked: BTreeSet<OrderId>,
}

/// A region's broker. A partition a topic is enough: an aggregate's events of one topic have one in any case.
#[derive(Default)]
pub struct Kafka {
    pub logs: BTreeMap<Topic, Vec<Event>>,
    pub down_until: Micros,
    /// The distinct events in the logs, by topic and order.
    pub said: BTreeMap<(Topic, OrderId), BTreeSet<u64>>,
}

impl Kafka {
    pub fn publish(&mut self, event: Event) -> bool {
        self.logs.entry(event.topic).or_default().push(event);
        self.said.entry((event.topic, event.order)).or_default().insert(event.id)
    }

    pub fn log(&self, topic: Topic) -> &[Event] {
        self.logs.get(&topic).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A consumer group as its coordinator sees it.
#[derive(Default)]
pub struct Group {
    pub owner: Option<ProcessId>,
    /// Counts rebalances: an owner of an earlier generation commits no offsets.
    pub generation: u64,
    pub committed: BTreeMap<Topic, usize>,
    pub inbox: BTreeSet<u64>,
    /// How often each event had its effect, by the committed transactions.
    pub effects: BTreeMap<u64, u32>,
}

impl Group {
    pub fn leave(&mut self, process: ProcessId) {
        if self.owner == Some(process) {
            self.owner = None;
            self.generation += 1;
        }
    }
}

/// The connection went away: the statement may have happened.
#[derive(Clone, Copy, Debug)]
pub struct Lost;

/// A statement that is its own transaction: it happens in one moment, if it does.
pub async fn statement<T>(sim: &Sim, statement: impl FnOnce(&mut World) -> T) -> Result<T, Lost> {
    sim.moment().await;
    if lost(sim) {
        return Err(Lost);
    }
    let answer = sim.with(statement);
    if lost(sim) {
        return Err(Lost);
    }
    sim.moment().await;
    Ok(answer)
}

fn lost(sim: &Sim) -> bool {
    sim.with(|world| {
        let lost = world.chance(world.plan.lost_commit / 2.0);
        if lost {
            world.saw(Seen::CommitUnknown);
        }
        lost
    })
}

/// A row lock, let go with the transaction, whichever way that ends.
struct RowLock<'a> {
    sim: &'a Sim,
    at: (RegionId, Database),
    order: OrderId,
}

impl Drop for RowLock<'_> {
    fn drop(&mut self) {
        let (region, database) = self.at;
        self.sim.with(|world| world.regions[region].spine(database).locked.remove(&self.order));
    }
}

/// A transaction that changes an aggregate's row and appends an event: `change` says whether it did. Positions are taken when the row
/// is written and become visible at the commit, so they commit in another order than they were taken, but for one aggregate, whose
/// writers queue for its row.
pub async fn append<T>(
    sim: &Sim,
    at: (RegionId, Database),
    event: Event,
    change: impl FnOnce(&mut World) -> (bool, T),
) -> Result<T, Lost> {
    let (region, database) = at;
    sim.moment().await;
    while !sim.with(|world| world.regions[region].spine(database).locked.insert(event.order)) {
        sim.sleep(MILLISECOND).await;
    }
    let lock = RowLock { sim, at, order: event.order };
    let position = sim.with(|world| {
        let spine = world.regions[region].spine(database);
        spine.next_position += 1;
        spine.next_position
    });
    if sim.with(|world| world.removed(Sabotage::PublishAfterCommit)) {
        publish_at_once(sim, event);
    }
    sim.moment().await;
    if sim.chance(0.05) {
        // A slow transaction, behind whose position others commit.
        let slow = sim.random(0..400 * MILLISECOND);
        sim.sleep(slow).await;
    }
    if lost(sim) {
        return Err(Lost);
    }
    let answer = sim.with(|world| {
        let (is_said, answer) = change(world);
        if is_said {
            let spine = world.regions[region].spine(database);
            spine.outbox.insert(position, event);
            if position < spine.highest_taken {
                world.saw(Seen::Hole);
            }
            world.touch(region, event.order);
        }
        answer
    });
    drop(lock);
    if lost(sim) {
        return Err(Lost);
    }
    sim.moment().await;
    Ok(answer)
}

fn publish_at_once(sim: &Sim, event: Event) {
    sim.with(|world| {
        world.regions.iter_mut().for_each(|region| {
            region.kafka.publish(event);
        });
        world.touch(event.home, event.order);
    });
}
