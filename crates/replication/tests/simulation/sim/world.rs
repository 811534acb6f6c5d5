//! Time and events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use replication::{Position, ReplicaId, receiver, shipper};

use super::check::History;
use super::disk::{Carried, Disk, Payload};
use super::model::{Model, OperationId};
use super::network::Wire;
use super::plan::Plan;
use super::sabotage::Sabotage;
use super::site::Site;
use super::{CartId, MILLISECOND, Micros, SECOND, SiteId};

/// After the faults end, everything must be equal within this. The slowest clock runs at half speed, so a pass may begin 3 s late and wait
/// out a lost answer for 1.2 s per page; a healthy run takes a few seconds.
const CONVERGES_WITHIN: Micros = 30 * SECOND;
/// A run takes some 10,000 events. This many means that something never comes to rest.
const EVENTS_MAX: u64 = 1_000_000;

pub type ShipperInput = shipper::Input<CartId, Rc<Payload>>;
pub type ReceiverInput = receiver::Input<CartId, Rc<Payload>>;

pub enum Event {
    Shop { site: SiteId },
    Execute { site: SiteId, life: u32, transaction: u64 },
    Commit { site: SiteId, life: u32, transaction: u64 },
    Deliver { from: SiteId, to: SiteId, wire: Wire },
    Wake { site: SiteId, to: SiteId, generation: u32 },
    ShipperAnswer { site: SiteId, to: SiteId, generation: u32, input: ShipperInput },
    ReceiverAnswer { site: SiteId, from: SiteId, generation: u32, input: ReceiverInput },
    Join { site: SiteId, life: u32, join: Join },
    Trim { site: SiteId },
    Fault(usize),
    Restart { site: SiteId },
    Heal,
    Probe,
}

/// A transaction that joins what was received from `from`.
pub struct Join {
    pub from: SiteId,
    pub generation: u32,
    pub carried: Vec<Carried>,
    pub of: JoinOf,
}

#[derive(Clone, Copy)]
pub enum JoinOf {
    Deltas { log: ReplicaId, through: Position },
    States { request: u64 },
}

/// Which guarantee did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A position covers an entry that is not there.
    Gap,
    /// An acknowledgement ran ahead of the disk.
    AckedBeforeDurable,
    /// A bound does not hold.
    Unbounded,
    /// The log was trimmed above what everybody has.
    TrimmedTooFar,
    /// What an honest replica sent was refused, or a replica stopped itself.
    Refused,
    /// Replicas stayed different.
    NotConverged,
    /// An acknowledged edit is nowhere.
    Lost,
    /// A cart does not hold what the histories imply.
    Intent,
}

#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub verdict: Verdict,
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}\nreplay with: make sim SEED={}", self.verdict, self.what, self.seed)
    }
}

/// What a run that held all guarantees went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub events: u64,
    pub edits: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub crashes: u64,
    pub cuts: u64,
    pub restores: u64,
    pub lost_entries: u64,
    /// States sent by anti-entropy.
    pub repairs: u64,
    /// Acknowledged edits that went with a disk, at most those since its backup.
    pub gone_with_a_disk: u64,
    /// How often a cart was compared with what histories imply, before the end.
    pub views: u64,
    /// Carts whose history lost a part with a disk, so that they were judged for equality and loss only.
    pub unjudged: u64,
    /// From the end of the faults to equality.
    pub converged_after: Micros,
}

pub struct World {
    pub seed: u64,
    pub rng: ChaCha8Rng,
    pub plan: Plan,
    pub sabotage: Option<Sabotage>,
    pub now: Micros,
    pub healed: bool,
    pub sites: Vec<Site>,
    pub cut_until: Vec<Vec<Micros>>,
    pub model: Model,
    pub history: BTreeMap<ReplicaId, History>,
    /// Who was told that an edit is done.
    pub acknowledged: BTreeMap<OperationId, SiteId>,
    /// Edits that a restored disk forgot.
    pub at_risk: BTreeSet<OperationId>,
    pub next_operation: OperationId,
    pub next_number: u8,
    pub next_generation: u32,
    pub report: Report,
    pub failure: Option<Failure>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

struct Scheduled {
    at: Micros,
    order: u64,
    event: Event,
}

/// One history, from one seed.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Report, Failure> {
    let mut world = World::new(seed, sabotage);
    while let Some(Reverse(Scheduled { at, event, .. })) = world.queue.pop() {
        world.now = at;
        world.report.events += 1;
        if matches!(event, Event::Probe) {
            if world.has_converged() {
                world.judge();
                return world.failure.map_or(Ok(world.report), Err);
            }
            if at > world.plan.heal_at + CONVERGES_WITHIN {
                world.describe_difference();
            }
            world.schedule(100 * MILLISECOND, Event::Probe);
        } else {
            world.happen(event);
        }
        if world.report.events > EVENTS_MAX {
            world.fail(Verdict::NotConverged, || "events never come to an end".to_owned());
        }
        if let Some(failure) = world.failure {
            return Err(failure);
        }
    }
    unreachable!("the probe is always scheduled")
}

impl World {
    fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let number = |site: usize| ReplicaId(u8::try_from(site + 1).expect("at most 5"));
        let sites = (0..plan.sites).map(|site| Site::new(Disk::new(number(site)), plan.sites, plan.clocks[site]));
        let mut world = Self {
            seed,
            rng,
            sabotage,
            now: 0,
            healed: false,
            sites: sites.collect(),
            cut_until: vec![vec![0; plan.sites]; plan.sites],
            model: Model::default(),
            history: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            at_risk: BTreeSet::new(),
            next_operation: 0,
            next_number: number(plan.sites).0,
            next_generation: 0,
            report: Report::default(),
            failure: None,
            queue: BinaryHeap::new(),
            scheduled: 0,
            plan,
        };
        for site in 0..world.plan.sites {
            world.start(site);
            world.schedule(0, Event::Shop { site });
            world.schedule(0, Event::Trim { site });
        }
        for at in 0..world.plan.faults.len() {
            world.schedule(world.plan.faults[at].0, Event::Fault(at));
        }
        world.schedule(world.plan.heal_at, Event::Heal);
        world
    }

    pub fn schedule(&mut self, delay: Micros, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at: self.now + delay, order: self.scheduled, event }));
    }

    /// The first failure counts.
    pub fn fail(&mut self, verdict: Verdict, what: impl FnOnce() -> String) {
        if self.failure.is_none() {
            let what = format!("at {} ms: {}", self.now / MILLISECOND, what());
            self.failure = Some(Failure { seed: self.seed, verdict, what });
        }
    }

    /// A short while, such as reading a few pages from a disk.
    pub fn moment(&mut self) -> Micros {
        self.rng.random_range(0..5 * MILLISECOND)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Shop { site } => self.shop(site),
            Event::Execute { site, life, transaction } if self.sites[site].life == life => {
                self.execute(site, transaction);
            }
            Event::Commit { site, life, transaction } if self.sites[site].life == life => {
                self.commit(site, transaction);
            }
            Event::Deliver { from, to, wire } if self.sites[to].up && !self.is_cut(from, to) => match wire {
                Wire::ToReceiver(message) => self.receiver_input(to, from, None, receiver::Input::Received(message)),
                Wire::ToShipper(message) => self.shipper_input(to, from, None, shipper::Input::Received(message)),
            },
            Event::Wake { site, to, generation } => self.wake(site, to, generation),
            Event::ShipperAnswer { site, to, generation, input } => {
                self.shipper_input(site, to, Some(generation), input);
            }
            Event::ReceiverAnswer { site, from, generation, input } => {
                self.receiver_input(site, from, Some(generation), input);
            }
            Event::Join { site, life, join } if self.sites[site].life == life => self.join(site, join),
            Event::Trim { site } => self.trim(site),
            Event::Fault(at) => self.strike(at),
            Event::Restart { site } => self.restart(site),
            Event::Heal => self.heal(),
            // Of an earlier life, cut off, or sent to a site that is down.
            Event::Execute { .. } | Event::Commit { .. } | Event::Join { .. } | Event::Deliver { .. } => {}
            Event::Probe => unreachable!("handled by the loop"),
        }
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
