//! Orders under every fault, simulated: a saga, reservations, payments, outbox and inbox in one or two regions, from a seed.
//!
//! # What is real
//! The rules that the services run: the saga's plan and table (`saga`, `order::sagas::place_order::PLAN`), the order's lifecycle,
//! deadline and returns, which region decides a request, and which of two orders of one request is undone (`order::domain`, `ids`), what a
//! cart shows, what edits and checkouts do to it, and how its versions compare (`cart::domain`, `crdt`), reservations, shortfalls and grants
//! (`inventory::domain`), the payment's states, refunds and ledger (`payment::domain`), and the payment driver's own turn: what it asks and
//! calls, under which keys, and what it makes of the answers (`payment::driver`, `payment::psp::key`).
//!
//! # What is simulated
//! Time, processes, the network, Kafka, the provider's ledger, and Postgres. Of Postgres: a statement or transaction happens in one
//! moment or not at all, a process that dies before it leaves nothing, a connection may take the outcome along, rows are locked, and
//! positions of the outbox are taken before they become visible. `stores` says which function of which service's `store` each operation
//! stands for, and `services` follows the async code around the rules.
//!
//! # What goes wrong
//! `plan` draws it: messages lost, late, doubled; processes killed between any two steps or paused past their leases; commits whose
//! outcome is lost; a provider that is silent before or after the work, wrong, away, late; webhooks lost, late, doubled; brokers down, the
//! link cut or open in one direction only, partitions and locks that move. Shoppers repeat the same request in either region at any delay,
//! edit a cart in both, and order it from two devices under different keys while its first order is undecided. [`coverage`] counts each, so that
//! a run which never met a fault proves nothing about it.
//!
//! # What must hold
//! `checks` is the audit's (`tools/backbone/src/audit/checks`), after every step and at rest: see [`Verdict`]. Each guard that makes it
//! hold can be taken away ([`sabotage`]), and then a check must notice.
#![allow(clippy::expect_used, reason = "a broken simulation must stop")]

mod checks;
mod consumer;
pub mod coverage;
pub mod crowd;
mod faults;
mod network;
pub mod plan;
mod provider;
mod relay;
mod runtime;
pub mod sabotage;
mod services;
mod shopper;
mod spine;
mod stores;
mod world;

use coverage::Coverage;
use runtime::Sim;
use sabotage::Sabotage;
use world::World;

/// Microseconds of simulated time.
pub type Micros = u64;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// Which guarantee did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The provider's ledger does not go with a payment: charged twice, not at all, or another amount.
    Charged,
    /// An order, or a payment of it, is in another region than its home.
    Home,
    /// One request stands as two orders.
    Intention,
    /// What was charged is not what was shown.
    Shown,
    /// Units left a cart that its shopper neither removed nor got in an order, or were ordered twice though the regions could talk.
    Cart,
    /// An entry is missing, doubled or unbalanced, or the provider owes us another sum than came in.
    Ledger,
    /// More went out than came in: refunds beyond a capture, returns beyond an order.
    Refunds,
    /// Stock out of nothing, lost, or below zero.
    Stock,
    /// An order does not have exactly the stock, the money and the cut that its state calls for.
    Orders,
    /// An event was said of what did not happen, said twice, or not said of what did.
    Events,
    /// An event had its effect twice.
    EffectTwice,
    /// A driver wrote though its lease had gone to another.
    ZombieWrote,
    /// What a shopper was told is not so, or is so no more.
    Acknowledged,
    /// A consumer would have put an event into the dead letters.
    DeadLetter,
    /// What the services' tables call impossible.
    Illegal,
    /// After the faults ended, something stayed in flight.
    Settled,
}

/// A guarantee that did not hold, and the seed that shows it.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What did not hold.
    pub verdict: Verdict,
    /// In words, with the simulated time.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}\nreplay with: make sim-orders SEED={}", self.verdict, self.what, self.seed)
    }
}

/// What a run went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Wake-ups of the scheduler, after each of which everything touched was checked.
    pub steps: u64,
    /// Orders that were stored.
    pub orders: u64,
    /// Every fault, every way out of one, every end of an order.
    pub coverage: Coverage,
    /// From the end of the faults to the moment in which nothing was in flight.
    pub settled_after: Micros,
}

/// One history, from one seed, with a guard removed or none.
///
/// # Errors
/// [`Failure`], the first.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Report, Failure> {
    let sim = Sim::new(World::new(seed, sabotage));
    sim.spawn(faults::keep_up(sim.clone()));
    sim.spawn(faults::heal_and_judge(sim.clone()));
    let (orders, faults) = sim.with(|world| {
        world.told.shopping = world.plan.orders;
        (world.plan.orders, world.plan.faults.clone())
    });
    for (at, fault) in faults {
        sim.spawn(faults::strike(sim.clone(), at, fault));
    }
    for _ in 0..orders {
        let number = sim.with(World::number);
        sim.spawn(shopper::shop(sim.clone(), number));
    }
    sim.run(|world| world.ended);
    sim.finish();
    sim.with(|world| match world.failure.take() {
        Some(failure) => Err(failure),
        None => Ok(world.report.clone()),
    })
}
