//! The services' hosts: what their async code does around the rules, with the same names, over the simulated stores and network.

pub mod cart;
pub mod inventory;
pub mod order;
pub mod payment;

use crate::consumer::{self, Consumer};
use crate::relay::{self, Lane};
use crate::runtime::{ProcessId, Sim};
use crate::spine::Database;
use crate::world::Service;

/// Starts a process: what runs in it by itself.
pub fn start(sim: &Sim, process: ProcessId) {
    let (service, region) = sim.with(|world| {
        let now = world.now;
        let it = &mut world.processes[process];
        it.is_up = true;
        it.life += 1;
        it.peer_answered_at = now;
        (it.service, it.region)
    });
    let me = Me { process, region };
    let has_peer = sim.with(|world| world.regions.len() > 1);
    let consume = |consumer: Consumer| sim.spawn_in(process, consumer::run(sim.clone(), process, region, consumer));
    let publish = |database: Database| {
        for lane in [Lane::Local, Lane::Peer] {
            sim.spawn_in(process, relay::run(sim.clone(), process, region, (database, lane)));
        }
    };
    match service {
        Service::Order => {
            publish(Database::Order);
            consume(order::FULFILMENT);
            consume(order::PAYMENT_EVENTS);
            sim.spawn_in(process, order::recover(sim.clone(), me));
            sim.spawn_in(process, order::refund_due(sim.clone(), me));
            sim.spawn_in(process, order::ship(sim.clone(), me));
            if has_peer {
                sim.spawn_in(process, order::watch_peer(sim.clone(), me));
                sim.spawn_in(process, order::settle_intentions(sim.clone(), me));
            }
        }
        Service::Payment => {
            publish(Database::Payment);
            consume(payment::SHIPPED_ORDERS);
            sim.spawn_in(process, payment::drive_due(sim.clone(), me));
        }
        Service::Inventory => {
            consume(inventory::ORDER_EVENTS);
            sim.spawn_in(process, inventory::release_expired(sim.clone(), me));
            sim.spawn_in(process, inventory::finish_transfers(sim.clone(), me));
        }
        Service::Cart => {
            consume(cart::PLACED_ORDERS);
            sim.spawn_in(process, cart::settle_overdue(sim.clone(), me));
            if has_peer {
                sim.spawn_in(process, cart::replicate(sim.clone(), me));
            }
        }
    }
}

/// The process that code runs in.
#[derive(Clone, Copy, Debug)]
pub struct Me {
    pub process: ProcessId,
    pub region: usize,
}
