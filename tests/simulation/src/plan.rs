//! What a seed means: how many regions and orders, how bad the network and the provider, what breaks when.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::{MILLISECOND, Micros, SECOND};

/// A fault that strikes at a time. Which process, partition or lane: drawn when it strikes.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A process is killed and starts again after this time.
    Crash(Micros),
    /// A process stands still for this time and then goes on as if nothing had been.
    Pause(Micros),
    /// A consumer group's partitions move to its other member.
    Rebalance,
    /// A relay loses its database connection, and with it the lock.
    RelayLosesLock,
    /// A region's broker refuses everything for this time.
    BrokerDown(Micros),
    /// The regions cannot talk for this time.
    CutLink(Micros),
    /// Nothing gets from one region to the other for this time, though it does the other way.
    CutOneWay(Micros),
    /// The provider cannot be reached for this time.
    ProviderAway(Micros),
}

/// A history in the making.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One or two.
    pub regions: usize,
    /// Orders in all.
    pub orders: usize,
    /// Units of each offer that each region begins with.
    pub stock: i64,
    /// When all faults end.
    pub heal_at: Micros,
    /// Probability that a message is lost, comes twice, is late.
    pub loss: f64,
    /// See `loss`.
    pub duplication: f64,
    /// See `loss`: by up to ten seconds.
    pub lateness: f64,
    /// Probability that a process dies at any one of its steps.
    pub death: f64,
    /// Probability that a commit takes its connection along.
    pub lost_commit: f64,
    /// Probability of each way in which the provider misbehaves.
    pub hostility: f64,
    /// Probability that a publication fails, and that its acknowledgement is lost.
    pub publishing: f64,
    /// How far a region's carts may be behind the other's, but for a cut.
    pub cart_lag: Micros,
    /// The order service's bound on an undecided order.
    pub placement_limit: Micros,
    /// The order service's lease.
    pub lease: Micros,
    /// How long a reservation is held before its order's fate is asked for.
    pub reservation_ttl: Micros,
    /// What breaks when.
    pub faults: Vec<(Micros, Fault)>,
}

impl Plan {
    /// What `seed` means.
    pub fn of(seed: u64) -> Self {
        Self::draw(&mut SmallRng::seed_from_u64(seed))
    }

    /// Draws a plan; the history goes on with the same dice.
    pub fn draw(rng: &mut SmallRng) -> Self {
        let heal_at = rng.random_range(5 * SECOND..25 * SECOND);
        let mut pick = |choices: &[f64]| choices.choose(rng).copied().unwrap_or_default();
        let (loss, duplication, lateness) =
            (pick(&[0.0, 0.02, 0.15]), pick(&[0.0, 0.05, 0.2]), pick(&[0.0, 0.02, 0.1]));
        let (death, lost_commit) = (pick(&[0.0, 0.0005, 0.003]), pick(&[0.0, 0.01, 0.05]));
        let (hostility, publishing) = (pick(&[0.0, 0.05, 0.2]), pick(&[0.0, 0.05, 0.2]));
        let mut faults: Vec<_> =
            (0..rng.random_range(0..10)).map(|_| (rng.random_range(0..heal_at), fault(rng))).collect();
        let regions = [1, 2, 2].choose(rng).copied().unwrap_or_default();
        if regions > 1 && rng.random_bool(0.5) {
            // Long enough for the regions to take each other for away, and to sell on their own.
            let lasts = rng.random_range(3 * SECOND..15 * SECOND);
            let cut = if rng.random_bool(0.3) { Fault::CutOneWay(lasts) } else { Fault::CutLink(lasts) };
            faults.push((rng.random_range(0..heal_at), cut));
        }
        Self {
            regions,
            orders: rng.random_range(2..6),
            stock: rng.random_range(2..9),
            heal_at,
            loss,
            duplication,
            lateness,
            death,
            lost_commit,
            hostility,
            publishing,
            cart_lag: [100 * MILLISECOND, 2 * SECOND, 8 * SECOND].choose(rng).copied().unwrap_or_default(),
            placement_limit: rng.random_range(3 * SECOND..20 * SECOND),
            lease: rng.random_range(500 * MILLISECOND..2 * SECOND),
            reservation_ttl: rng.random_range(SECOND..40 * SECOND),
            faults,
        }
    }
}

fn fault(rng: &mut SmallRng) -> Fault {
    let lasts = rng.random_range(100 * MILLISECOND..8 * SECOND);
    match rng.random_range(0..12) {
        0 | 1 => Fault::Crash(lasts),
        2..=4 => Fault::Pause(lasts),
        5 => Fault::Rebalance,
        6 => Fault::RelayLosesLock,
        7 => Fault::BrokerDown(lasts),
        8 | 9 => Fault::CutLink(lasts),
        10 => Fault::CutOneWay(lasts),
        _ => Fault::ProviderAway(lasts),
    }
}
