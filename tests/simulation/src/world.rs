//! Everything that is there: processes, the stores of each region, the provider, and what shoppers were told.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ids::{CustomerId, OrderId, RefundId, TransferId};
use order::domain::Link;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::checks::History;
use crate::coverage::Seen;
use crate::plan::Plan;
use crate::provider::Provider;
use crate::runtime::ProcessId;
use crate::sabotage::Sabotage;
use crate::spine::{Database, Group, Kafka, Spine};
use crate::stores::carts::Carts;
use crate::stores::orders::Orders;
use crate::stores::payments::Payments;
use crate::stores::stock::Stock;
use crate::{Failure, MILLISECOND, Micros, Report, SECOND, Verdict};

/// Index of a region.
pub type RegionId = usize;

/// When the simulated clocks begin, in milliseconds of Unix time: order ids carry times.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// `grpc::peer::link::DOWN_AFTER`.
const PEER_DOWN_AFTER: Micros = 2 * SECOND;

/// The region that an order belongs to: its id says so.
pub fn home_of(order: OrderId) -> RegionId {
    region_of(order.home().expect("an id made here"))
}

/// The index of a region.
pub fn region_of(region: ids::Region) -> RegionId {
    ids::Region::ALL.iter().position(|known| *known == region).expect("one of all")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Order,
    Payment,
    Inventory,
    Cart,
}

/// A process of a service.
pub struct Process {
    pub service: Service,
    pub region: RegionId,
    pub is_up: bool,
    /// Counts starts.
    pub life: u32,
    pub paused_until: Micros,
    /// When it starts again, while it is down.
    pub restart_at: Micros,
    /// When the other region's order service last answered it.
    pub peer_answered_at: Micros,
}

/// A region's stores.
#[derive(Default)]
pub struct Region {
    pub orders: Orders,
    pub payments: Payments,
    pub stock: Stock,
    pub carts: Carts,
    pub order_spine: Spine,
    pub payment_spine: Spine,
    pub kafka: Kafka,
    pub groups: BTreeMap<&'static str, Group>,
}

impl Region {
    pub fn spine(&mut self, database: Database) -> &mut Spine {
        match database {
            Database::Order => &mut self.order_spine,
            Database::Payment => &mut self.payment_spine,
        }
    }
}

/// What shoppers were told, which nothing may undo.
#[derive(Default)]
pub struct Told {
    /// Orders acknowledged as placed, with the request that asked for each.
    pub placed: BTreeMap<OrderId, u64>,
    /// Of each request: the order that it was told of.
    pub order_of: BTreeMap<u64, OrderId>,
    /// Of each request: the region that told a refusal first, and when.
    pub refused: BTreeMap<u64, (RegionId, Micros)>,
    /// Requests that a region decided in the stead of a home that it could not reach.
    pub away: BTreeSet<u64>,
    pub cancelled: BTreeSet<OrderId>,
    pub returned: BTreeSet<RefundId>,
    /// Shoppers that are not done.
    pub shopping: usize,
}

pub struct World {
    pub rng: SmallRng,
    pub plan: Plan,
    pub sabotage: Option<Sabotage>,
    pub now: Micros,
    pub healed: bool,
    pub processes: Vec<Process>,
    pub has_new_dead: bool,
    pub regions: Vec<Region>,
    pub provider: Provider,
    /// By the region that nothing gets out of to the other one.
    pub link_cut_until: [Micros; 2],
    pub provider_away_until: Micros,
    pub told: Told,
    /// Of each cart: what its shopper did to it.
    pub histories: BTreeMap<u64, History>,
    /// Orders that this step touched, to be checked after it.
    pub touched: BTreeSet<(RegionId, OrderId)>,
    pub stock_touched: bool,
    pub ended: bool,
    pub report: Report,
    pub failure: Option<Failure>,
    seed: u64,
    numbers: u64,
}

impl World {
    pub fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let mut processes = Vec::new();
        for region in 0..plan.regions {
            for (service, count) in
                [(Service::Order, 2), (Service::Payment, 2), (Service::Inventory, 2), (Service::Cart, 1)]
            {
                let down = || Process {
                    service,
                    region,
                    is_up: false,
                    life: 0,
                    paused_until: 0,
                    restart_at: 0,
                    peer_answered_at: 0,
                };
                processes.extend((0..count).map(|_| down()));
            }
        }
        let regions = (0..plan.regions).map(|_| Region { stock: Stock::new(plan.stock), ..Region::default() });
        Self {
            rng,
            sabotage,
            now: 0,
            healed: false,
            processes,
            has_new_dead: false,
            regions: regions.collect(),
            provider: Provider::default(),
            link_cut_until: [0; 2],
            provider_away_until: 0,
            told: Told::default(),
            histories: BTreeMap::new(),
            touched: BTreeSet::new(),
            stock_touched: true,
            ended: false,
            report: Report::default(),
            failure: None,
            seed,
            numbers: 0,
            plan,
        }
    }

    pub fn saw(&mut self, what: Seen) {
        self.report.coverage.saw(what);
    }

    /// The first failure counts.
    pub fn fail(&mut self, verdict: Verdict, what: String) {
        if self.failure.is_none() {
            let what = format!("at {} ms: {what}", self.now / MILLISECOND);
            self.failure = Some(Failure { seed: self.seed, verdict, what });
        }
    }

    pub fn removed(&self, guard: Sabotage) -> bool {
        self.sabotage == Some(guard)
    }

    /// Chance of a fault: none once the faults have ended.
    pub fn chance(&mut self, probability: f64) -> bool {
        !self.healed && probability > 0.0 && self.rng.random_bool(probability)
    }

    /// A number that was never given before.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// As the order service of `region` makes one: with the time in it, and the region at its end.
    pub fn new_order_id(&mut self, region: RegionId) -> OrderId {
        OrderId::from_uuid(self.id_in(region))
    }

    /// A customer whose session began in `region`.
    pub fn new_customer_id(&mut self, region: RegionId) -> CustomerId {
        CustomerId::from_uuid(self.id_in(region))
    }

    /// `ids::home::generate_in`, by the simulated clock.
    fn id_in(&mut self, region: RegionId) -> Uuid {
        let mut random = [0; 10];
        random[1..9].copy_from_slice(&self.number().to_be_bytes());
        let timed = uuid::Builder::from_unix_timestamp_millis(EPOCH_MS + self.now / MILLISECOND, &random).into_uuid();
        let mut bytes = timed.into_bytes();
        bytes[15] = ids::Region::ALL[region].replica();
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Whether no wall keeps a region from driving an order of the other one.
    pub fn drives_foreign_orders(&self) -> bool {
        self.removed(Sabotage::ForeignOrder) || self.removed(Sabotage::ForeignOrderInAnotherAccount)
    }

    /// Whether nothing gets from one region to the other at this moment.
    pub fn is_cut(&self, from: RegionId, to: RegionId) -> bool {
        from != to && self.link_cut_until[from] > self.now
    }

    /// What a process of the order service holds of the link: `grpc::peer::link`.
    pub fn link(&self, process: ProcessId) -> Link {
        let silent_for = self.now.saturating_sub(self.processes[process].peer_answered_at);
        if silent_for >= PEER_DOWN_AFTER { Link::Down } else { Link::Up }
    }

    pub fn new_refund_id(&mut self) -> RefundId {
        RefundId::from_uuid(Uuid::from_u128(self.number().into()))
    }

    pub fn new_transfer_id(&mut self) -> TransferId {
        TransferId::from_uuid(Uuid::from_u128(self.number().into()))
    }

    pub fn touch(&mut self, region: RegionId, order: OrderId) {
        self.touched.insert((region, order));
    }

    /// Of the same service in the region, whichever the balancer picks. It may be down.
    pub fn any_process(&mut self, service: Service, region: RegionId) -> ProcessId {
        let all = || {
            (0..self.processes.len())
                .filter(|id| self.processes[*id].service == service && self.processes[*id].region == region)
        };
        let nth = self.rng.random_range(0..all().count());
        all().nth(nth).expect("every service has a process in every region")
    }

    /// Whether a process that runs a step dies of it.
    pub fn dies_at_this_step(&mut self, process: ProcessId) -> bool {
        let dies = self.processes[process].is_up && self.chance(self.plan.death);
        if dies {
            self.saw(Seen::CrashAtStep);
        }
        dies
    }

    pub fn power_off(&mut self, process: ProcessId) {
        let restart_at = self.now + self.rng.random_range(50 * MILLISECOND..2 * SECOND);
        let it = &mut self.processes[process];
        it.is_up = false;
        it.restart_at = restart_at;
        it.paused_until = 0;
        self.has_new_dead = true;
        let region = &mut self.regions[it.region];
        // The server sees its connections go: locks are free at once, and so are a consumer's partitions.
        for spine in [&mut region.order_spine, &mut region.payment_spine] {
            spine.leaders.iter_mut().for_each(|leader| {
                leader.take_if(|(id, _)| *id == process);
            });
        }
        region.groups.values_mut().for_each(|group| group.leave(process));
    }
}

/// A moment of simulated time as the services' rules take it.
pub fn date(at: Micros) -> DateTime<Utc> {
    let micros = i64::try_from(EPOCH_MS * 1_000 + at).expect("centuries of simulation");
    DateTime::from_timestamp_micros(micros).expect("a date in this century")
}
