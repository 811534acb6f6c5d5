//! Calls between services: lost, late, delivered twice, answered to nobody.

use std::future::Future;
use std::rc::Rc;

use crate::coverage::Seen;
use crate::runtime::{Sim, Slot};
use crate::services::Me;
use crate::world::{RegionId, Service};
use crate::{MILLISECOND, Micros, SECOND};

/// Calls some process of `service` in the region `to`. None: no answer within `timeout`, whatever became of the call.
pub async fn call<T, F>(
    sim: &Sim,
    (from, to): (RegionId, RegionId),
    service: Service,
    timeout: Micros,
    handler: impl Fn(Sim, Me) -> F + 'static,
) -> Option<T>
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let slot = Slot::new(sim);
    let handler = Rc::new(handler);
    for _ in 0..copies(sim) {
        let (sim, handler, slot) = (sim.clone(), handler.clone(), slot.clone());
        let delay = delay(&sim);
        sim.clone().spawn(async move {
            sim.sleep(delay).await;
            if is_cut(&sim, from, to) {
                return;
            }
            let process = sim.with(|world| world.any_process(service, to));
            let me = Me { process, region: to };
            sim.clone().spawn_in(process, async move {
                let answer = handler(sim.clone(), me).await;
                reply(&sim, (to, from), slot, answer);
            });
        });
    }
    sim.within(timeout, slot).await
}

fn reply<T: 'static>(sim: &Sim, (from, to): (RegionId, RegionId), slot: Slot<T>, answer: T) {
    if sim.with(|world| world.chance(world.plan.loss)) {
        return sim.saw(Seen::ReplyLost);
    }
    let (sim, delay) = (sim.clone(), delay(sim));
    sim.clone().spawn(async move {
        sim.sleep(delay).await;
        if !is_cut(&sim, from, to) {
            slot.fill(answer);
        }
    });
}

fn copies(sim: &Sim) -> usize {
    sim.with(|world| {
        if world.chance(world.plan.loss) {
            world.saw(Seen::RequestLost);
            0
        } else if world.chance(world.plan.duplication) {
            world.saw(Seen::RequestTwice);
            2
        } else {
            1
        }
    })
}

/// How long a message is under way: some milliseconds, or long enough to arrive after everything else.
pub fn delay(sim: &Sim) -> Micros {
    if sim.with(|world| world.chance(world.plan.lateness)) {
        sim.saw(Seen::Late);
        return sim.random(SECOND..10 * SECOND);
    }
    sim.random(0..20 * MILLISECOND)
}

fn is_cut(sim: &Sim, from: RegionId, to: RegionId) -> bool {
    sim.with(|world| {
        let is_cut = world.is_cut(from, to);
        if is_cut {
            world.saw(Seen::LinkCut);
        }
        is_cut
    })
}
