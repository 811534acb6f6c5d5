//! What befalls a call of the provider on its way there and back, and its webhooks.

use payment::psp::CallError;

use super::Me;
use crate::coverage::Seen;
use crate::network;
use crate::provider::{Answer, Call};
use crate::runtime::{Sim, Slot};
use crate::spine::statement;
use crate::world::Service;
use crate::{MILLISECOND, Micros, SECOND};

/// The time-out of the service's client.
const CALL_TIMEOUT: Micros = 2 * SECOND;

/// What befalls one call of the provider.
pub(super) async fn call_provider(sim: &Sim, me: Me, call: Call) -> Result<Answer, CallError> {
    let unknown = || Err(CallError::Unknown { detail: "no answer in time".into() });
    if sim.with(|world| world.provider_away_until > world.now || world.chance(world.plan.hostility / 4.0)) {
        sim.saw(Seen::ProviderAway);
        return Err(CallError::NotReached { detail: "no connection".into() });
    }
    if sim.with(|world| world.chance(world.plan.hostility)) {
        sim.saw(Seen::ProviderSilentBefore);
        sim.sleep(CALL_TIMEOUT).await;
        return unknown();
    }
    let is_late = sim.with(|world| world.chance(world.plan.hostility));
    let delay = if is_late { sim.random(0..6 * SECOND) } else { sim.random(5 * MILLISECOND..40 * MILLISECOND) };
    let is_silent = sim.with(|world| world.chance(world.plan.hostility));
    let is_error = sim.with(|world| world.chance(world.plan.hostility));
    let copies = if sim.with(|world| world.chance(world.plan.duplication)) { 2 } else { 1 };
    let slot = Slot::new(sim);
    for _ in 0..copies {
        let (sim, slot, call) = (sim.clone(), slot.clone(), call.clone());
        sim.clone().spawn(async move {
            sim.sleep(delay).await;
            if delay > CALL_TIMEOUT {
                sim.saw(Seen::ProviderLate);
            }
            let (is_new, outcome) = sim.with(|world| world.provider_executes(me.region, &call));
            if is_new {
                webhook(&sim, me, &call);
            }
            if is_silent {
                return sim.saw(Seen::ProviderSilentAfter);
            }
            if is_error {
                sim.saw(Seen::ProviderError);
                return slot.fill(Err(CallError::Unknown { detail: "status 500".into() }));
            }
            sim.sleep(delay / 4).await;
            slot.fill(outcome);
        });
    }
    sim.within(CALL_TIMEOUT, slot).await.unwrap_or_else(unknown)
}

/// Webhooks are lost, late, in any order, and come twice.
fn webhook(sim: &Sim, me: Me, call: &Call) {
    let Some(subject) = call.subject() else { return };
    let id = sim.with(|world| world.number());
    if sim.with(|world| world.chance(world.plan.loss)) {
        return sim.saw(Seen::WebhookLost);
    }
    let copies = if sim.with(|world| world.chance(world.plan.duplication)) { 2 } else { 1 };
    if copies > 1 {
        sim.saw(Seen::WebhookTwice);
    }
    for _ in 0..copies {
        let (sim, delay) = (sim.clone(), network::delay(sim));
        sim.clone().spawn(async move {
            sim.sleep(delay).await;
            let process = sim.with(|world| world.any_process(Service::Payment, me.region));
            let host = sim.clone();
            sim.spawn_in(process, async move {
                let _ = statement(&host, |world| world.hint(me.region, id, subject)).await;
            });
        });
    }
}
