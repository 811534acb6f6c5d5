//! What a seed means: how many replicas, how bad the links, what goes wrong when.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use replication::Config;

use super::{MILLISECOND, Micros, SECOND, SiteId};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// One way only.
    Cut {
        from: SiteId,
        to: SiteId,
        lasts: Micros,
    },
    /// The sites whose bit is set, and the others, both ways.
    Partition {
        group: u32,
        lasts: Micros,
    },
    Crash {
        site: SiteId,
        lasts: Micros,
    },
    /// Streams between two sites break; both run on.
    Reset {
        from: SiteId,
        to: SiteId,
    },
    Backup {
        site: SiteId,
    },
    /// The last backup is put back. `keep_positions`: but the stored positions of other logs are the newest, above what is there.
    Restore {
        site: SiteId,
        lasts: Micros,
        keep_positions: bool,
    },
    /// An entry vanishes from the log before everybody has it.
    LoseEntry {
        site: SiteId,
    },
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub sites: usize,
    pub carts: u64,
    pub items: u64,
    /// When all faults end.
    pub heal_at: Micros,
    /// Probability that a message is lost, and that it comes twice.
    pub loss: f64,
    pub duplication: f64,
    pub delay: Micros,
    /// Added at random, so that messages overtake each other.
    pub jitter: Micros,
    /// Pause between a site's shoppers.
    pub shop_every: Micros,
    /// Transactions get their number long before they write, so that the numbers' order is not the order of writing.
    pub early_numbers: bool,
    /// Per site: what its clock shows at the beginning, and how fast it runs, in thousandths.
    pub clocks: Vec<(Micros, u64)>,
    pub faults: Vec<(Micros, Fault)>,
    pub config: Config,
}

/// What `seed` means, to print it.
pub fn plan_of(seed: u64) -> Plan {
    Plan::draw(&mut ChaCha8Rng::seed_from_u64(seed))
}

impl Plan {
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let sites = [3, 3, 3, 4, 5][rng.random_range(0..5)];
        let heal_at = rng.random_range(2 * SECOND..5 * SECOND);
        let restores = rng.random_bool(0.3);
        let mut plan = Self {
            sites,
            carts: rng.random_range(2..9),
            items: rng.random_range(1..4),
            heal_at,
            loss: [0.0, 0.02, 0.2][rng.random_range(0..3)],
            duplication: [0.0, 0.02, 0.2][rng.random_range(0..3)],
            delay: rng.random_range(1..40) * MILLISECOND,
            jitter: [0, 5 * MILLISECOND, 200 * MILLISECOND][rng.random_range(0..3)],
            shop_every: rng.random_range(50..400) * MILLISECOND,
            early_numbers: rng.random_bool(0.5),
            clocks: (0..sites)
                .map(|_| (rng.random_range(0..1_000_000) * SECOND, rng.random_range(500..2_000)))
                .collect(),
            faults: Vec::new(),
            config: config(rng),
        };
        for _ in 0..rng.random_range(0..8) {
            let at = rng.random_range(0..heal_at);
            let fault = plan.fault(rng);
            plan.faults.push((at, fault));
        }
        if restores {
            let (site, at) = (rng.random_range(0..sites), rng.random_range(0..heal_at / 2));
            let keep_positions = rng.random_bool(0.5);
            let lasts = rng.random_range(10..500) * MILLISECOND;
            plan.faults.push((at, Fault::Backup { site }));
            plan.faults.push((rng.random_range(at..heal_at), Fault::Restore { site, lasts, keep_positions }));
        }
        plan
    }

    fn fault(&self, rng: &mut ChaCha8Rng) -> Fault {
        let lasts = rng.random_range(50 * MILLISECOND..2 * SECOND);
        let (site, other) = (rng.random_range(0..self.sites), rng.random_range(1..self.sites));
        let (from, to) = (site, (site + other) % self.sites);
        match rng.random_range(0..6) {
            0 => Fault::Cut { from, to, lasts },
            1 => Fault::Partition { group: rng.random_range(1..(1 << self.sites) - 1), lasts },
            2 | 3 => Fault::Crash { site, lasts },
            4 => Fault::LoseEntry { site },
            _ => Fault::Reset { from, to },
        }
    }
}

/// Small bounds, so that short histories reach all of them.
fn config(rng: &mut ChaCha8Rng) -> Config {
    Config {
        batch_entries_max: rng.random_range(1..5),
        batch_bytes_max: rng.random_range(20..200),
        window_batches_max: rng.random_range(1..5),
        window_bytes_max: rng.random_range(20..600),
        page_carts_max: rng.random_range(1..5),
        repair_bytes_max: rng.random_range(1..200),
        resend_after: Duration::from_millis(rng.random_range(100..600)),
        poll_every: Duration::from_millis(500),
        page_every: Duration::from_millis(20),
        pass_every: Duration::from_millis(1_500),
    }
}
