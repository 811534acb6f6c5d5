//! Who breaks things, who starts again what has died, and who looks whether all is settled.

use rand::Rng;

use crate::checks;
use crate::coverage::Seen;
use crate::plan::Fault;
use crate::runtime::Sim;
use crate::services;
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// How long a consumer may be silent before its partitions move.
const SESSION_TIMEOUT: Micros = 2 * SECOND;
/// After the faults end, everything is settled within this. Longest: an order that is undecided until its time is up (20 s), unwinds
/// behind a claim (8 s) and a back-off (10 s) of payment, and a checkout without an order, which waits for 25 s.
pub const SETTLES_WITHIN: Micros = 90 * SECOND;

/// Strikes once, at its time.
pub async fn strike(sim: Sim, at: Micros, fault: Fault) {
    sim.sleep(at).await;
    match fault {
        Fault::Crash(lasts) => {
            let process = sim.with(|world| world.rng.random_range(0..world.processes.len()));
            sim.saw(Seen::CrashForLong);
            sim.crash(process);
            sim.with(|world| world.processes[process].restart_at = world.now + lasts);
        }
        Fault::Pause(lasts) => pause(&sim, lasts),
        Fault::Rebalance => sim.with(|world| {
            let region = world.rng.random_range(0..world.regions.len());
            let groups = &mut world.regions[region].groups;
            if !groups.is_empty() {
                let nth = world.rng.random_range(0..groups.len());
                let group = groups.values_mut().nth(nth).expect("within its length");
                group.owner = None;
                group.generation += 1;
            }
        }),
        Fault::RelayLosesLock => sim.with(|world| {
            let region = world.rng.random_range(0..world.regions.len());
            let region = &mut world.regions[region];
            region.order_spine.leaders = [None; 2];
            region.payment_spine.leaders = [None; 2];
        }),
        Fault::BrokerDown(lasts) => sim.with(|world| {
            let region = world.rng.random_range(0..world.regions.len());
            world.regions[region].kafka.down_until = world.now + lasts;
        }),
        Fault::CutLink(lasts) => sim.with(|world| {
            let until = world.now + lasts;
            world.link_cut_until = world.link_cut_until.map(|before| before.max(until));
        }),
        Fault::CutOneWay(lasts) => sim.with(|world| {
            let from = world.rng.random_range(0..2);
            world.saw(Seen::LinkOneWay);
            world.link_cut_until[from] = world.link_cut_until[from].max(world.now + lasts);
        }),
        Fault::ProviderAway(lasts) => sim.with(|world| world.provider_away_until = world.now + lasts),
    }
}

/// A process stands still, with all that it holds: its locks, its claims, its half-done turns. Others take over, and it wakes up late.
fn pause(sim: &Sim, lasts: Micros) {
    sim.with(|world| {
        let process = world.rng.random_range(0..world.processes.len());
        world.processes[process].paused_until = world.now + lasts;
        world.saw(Seen::Paused);
        if lasts > SESSION_TIMEOUT {
            let region = world.processes[process].region;
            world.regions[region].groups.values_mut().for_each(|group| group.leave(process));
        }
    });
}

/// Starts processes again that have died.
pub async fn keep_up(sim: Sim) {
    loop {
        let due = sim.with(|world| {
            let is_due = |id: &usize| !world.processes[*id].is_up && world.processes[*id].restart_at <= world.now;
            (0..world.processes.len()).filter(is_due).collect::<Vec<_>>()
        });
        for process in due {
            services::start(&sim, process);
        }
        sim.sleep(50 * MILLISECOND).await;
    }
}

/// Ends the faults, then looks until everything is settled.
pub async fn heal_and_judge(sim: Sim) {
    let heal_at = sim.with(|world| world.plan.heal_at);
    sim.sleep(heal_at).await;
    sim.with(|world| {
        world.healed = true;
        world.link_cut_until = [0; 2];
        world.provider_away_until = 0;
        for region in &mut world.regions {
            region.kafka.down_until = 0;
        }
        for process in &mut world.processes {
            process.paused_until = process.paused_until.min(world.now);
            process.restart_at = process.restart_at.min(world.now);
        }
    });
    loop {
        sim.sleep(250 * MILLISECOND).await;
        let is_over = sim.with(|world| {
            let unsettled = checks::unsettled(world);
            let waited = world.now - heal_at;
            match unsettled {
                None => {
                    world.report.settled_after = waited;
                    checks::at_the_end(world);
                    world.ended = true;
                }
                Some(what) if waited > SETTLES_WITHIN => {
                    world.fail(Verdict::Settled, format!("{what}, {} s after the faults ended", waited / SECOND));
                }
                Some(_) => {}
            }
            world.ended || world.failure.is_some()
        });
        if is_over {
            return;
        }
    }
}
