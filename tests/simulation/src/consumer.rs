//! Consumers: from Kafka to one effect per event, as `crates/outbox/src/consumer` does it.
//!
//! A batch is applied in one transaction with the inbox rows of its events ([`apply`] is `Inbox::transaction`); then the offset moves.
//! A member that dies before the offset, or that lost its partitions with a batch in hand, leaves events that are delivered again.

use std::collections::BTreeMap;

use crate::coverage::Seen;
use crate::runtime::{ProcessId, Sim};
use crate::sabotage::Sabotage;
use crate::spine::{Event, Lost, Topic, statement};
use crate::world::{RegionId, World};
use crate::{MILLISECOND, Verdict};

const BATCH_EVENTS_MAX: usize = 4;

/// The effect of an event inside the transaction of its inbox row; the error is why it would go to the dead letters.
pub type Effect = fn(&mut World, RegionId, &Event) -> Result<(), String>;

/// A consumer group.
#[derive(Clone, Copy)]
pub struct Consumer {
    pub group: &'static str,
    pub topics: &'static [Topic],
    pub effect: Effect,
}

/// A member of the group, for as long as its process lives.
pub async fn run(sim: Sim, process: ProcessId, region: RegionId, consumer: Consumer) {
    let mut positions = BTreeMap::<Topic, usize>::new();
    let mut joined = None;
    loop {
        let generation = sim.with(|world| {
            let group = world.regions[region].groups.entry(consumer.group).or_default();
            (*group.owner.get_or_insert(process) == process).then_some(group.generation)
        });
        if generation != joined {
            // Whoever gets the partitions goes on from the offsets committed.
            joined = generation;
            positions = sim.with(|world| world.regions[region].groups[consumer.group].committed.clone());
        }
        let batch = joined.map(|_| sim.with(|world| fetch(world, region, consumer, &positions))).unwrap_or_default();
        if batch.is_empty() {
            let pause = sim.random(50 * MILLISECOND..400 * MILLISECOND);
            sim.sleep(pause).await;
            continue;
        }
        if sim.with(|world| world.removed(Sabotage::OffsetAfterCommit)) {
            advance(&mut positions, &batch);
            sim.with(|world| commit_offsets(world, region, consumer, joined, &positions));
        }
        // Until the transaction has committed: whatever the coordinator does meanwhile, this member has the batch in hand.
        while settle(&sim, region, consumer, &batch).await.is_err() {
            let stall = sim.random(0..300 * MILLISECOND);
            sim.sleep(stall).await;
        }
        if !sim.with(|world| world.removed(Sabotage::OffsetAfterCommit)) {
            advance(&mut positions, &batch);
        }
        // Once a second in the service: often some batches later.
        if sim.random(0..2) == 0 {
            sim.moment().await;
            sim.with(|world| commit_offsets(world, region, consumer, joined, &positions));
        }
    }
}

fn advance(positions: &mut BTreeMap<Topic, usize>, batch: &[Event]) {
    batch.iter().for_each(|event| *positions.entry(event.topic).or_default() += 1);
}

/// The next events of one of the topics, whichever the broker sends first: between topics there is no order.
fn fetch(world: &mut World, region: RegionId, consumer: Consumer, positions: &BTreeMap<Topic, usize>) -> Vec<Event> {
    let kafka = &world.regions[region].kafka;
    if kafka.down_until > world.now {
        return Vec::new();
    }
    let rest = |topic: &Topic| &kafka.log(*topic)[positions.get(topic).copied().unwrap_or_default()..];
    let waiting: Vec<_> = consumer.topics.iter().filter(|topic| !rest(topic).is_empty()).collect();
    if waiting.is_empty() {
        return Vec::new();
    }
    let nth = rand::Rng::random_range(&mut world.rng, 0..waiting.len());
    let events = rest(waiting[nth]);
    events[..events.len().min(BATCH_EVENTS_MAX)].to_vec()
}

async fn settle(sim: &Sim, region: RegionId, consumer: Consumer, batch: &[Event]) -> Result<(), Lost> {
    statement(sim, |world| {
        for event in batch {
            apply(world, region, consumer, event);
        }
    })
    .await
}

/// One event: the inbox row and the effect, together.
fn apply(world: &mut World, region: RegionId, consumer: Consumer, event: &Event) {
    if event.home != region {
        return world.saw(Seen::Foreign);
    }
    let is_unchecked = world.removed(Sabotage::InboxCheck);
    let group = world.regions[region].groups.entry(consumer.group).or_default();
    if !group.inbox.insert(event.id) && !is_unchecked {
        return world.saw(Seen::Redelivered);
    }
    let effects = group.effects.entry(event.id).or_default();
    *effects += 1;
    if *effects > 1 {
        let what = format!("{} applied {:?} of order {} twice", consumer.group, event.topic, event.order);
        world.fail(Verdict::EffectTwice, what);
    }
    world.touch(region, event.order);
    if let Err(reason) = (consumer.effect)(world, region, event) {
        let what = format!("{} cannot apply {:?} of order {}: {reason}", consumer.group, event.topic, event.order);
        world.fail(Verdict::DeadLetter, what);
    }
}

/// The coordinator takes offsets only from members of the present generation.
fn commit_offsets(
    world: &mut World,
    region: RegionId,
    consumer: Consumer,
    joined: Option<u64>,
    positions: &BTreeMap<Topic, usize>,
) {
    let group = world.regions[region].groups.entry(consumer.group).or_default();
    if joined == Some(group.generation) {
        group.committed.clone_from(positions);
    } else {
        world.saw(Seen::Rebalanced);
    }
}
