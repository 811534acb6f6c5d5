//! What must hold: after every step, and in the end.

use std::collections::{BTreeMap, BTreeSet};

use crdt::codec::{decode_delta, encode_cart};
use replication::{Position, ReplicaId};

use super::disk::{Carried, Delta, State, Stored};
use super::model::{Item, OperationId};
use super::site::{Settlement, Site, Write};
use super::world::{Verdict, World};
use super::{CartId, SiteId};

/// Everything ever committed to one log, also what was trimmed since.
pub type History = BTreeMap<Position, Carried>;

/// Larger than any entry of a simulation, of at most three items.
const ENTRY_BYTES_MAX: usize = 1_000;

impl World {
    /// Commits a log entry. No receiver may have been told that everything up to there was given.
    pub fn append(&mut self, site: SiteId, position: Position, entry: Carried) {
        let log = self.sites[site].disk.number;
        for other in (0..self.plan.sites).filter(|other| *other != site) {
            if self.sites[other].disk.through(log) >= position {
                self.fail(Verdict::Gap, || {
                    format!("site {other} was through {position:?} of site {site} before it was there")
                });
            }
        }
        self.history.entry(log).or_default().insert(position, entry.clone());
        self.sites[site].disk.log.insert(position, entry);
    }

    pub fn forget_entry(&mut self, site: SiteId, position: Position) {
        let disk = &mut self.sites[site].disk;
        disk.log.remove(&position);
        self.history.entry(disk.number).or_default().remove(&position);
    }

    pub fn log_was_restored(&mut self, site: SiteId) {
        let disk = &self.sites[site].disk;
        self.history.insert(disk.number, disk.log.clone());
    }

    /// A stored position covers only entries that are joined. (Not those that its log had trimmed: a restored receiver asks for them in
    /// vain, and gets whole states.)
    pub fn check_through(&mut self, site: SiteId, from: SiteId, log: ReplicaId, before: Position) {
        let here = &self.sites[site];
        let shipper = &self.sites[from].disk;
        let through = here.disk.through(log);
        let since = before.max(shipper.trimmed);
        if here.positions_lie || shipper.number != log || since >= through {
            return;
        }
        let Some(history) = self.history.get(&log) else { return };
        let covered = (std::ops::Bound::Excluded(since), std::ops::Bound::Included(through));
        let missing = history.range(covered).find(|(_, (cart, payload))| {
            let delta: Delta = decode_delta(&payload.bytes).expect("written by the simulation");
            here.disk.carts.get(cart).is_none_or(|stored| {
                !payload.operations.is_subset(&stored.seen) || !stored.state.context().covers(&delta.context)
            })
        });
        if let Some(position) = missing.map(|(position, _)| *position) {
            self.fail(Verdict::Gap, || {
                format!("site {site} is through {through:?} of site {from} without {position:?}")
            });
        }
    }

    pub fn check_acked(&mut self, site: SiteId, to: SiteId, receiver: ReplicaId, acked: Position) {
        let durable = self.sites[to].disk.through(self.sites[site].disk.number);
        if self.sites[to].disk.number == receiver && acked > durable {
            self.fail(Verdict::AckedBeforeDurable, || {
                format!("site {site} heard {acked:?} from site {to}, where {durable:?} is durable")
            });
        }
    }

    pub fn check_window(&mut self, site: SiteId, to: SiteId) {
        let Some(end) = &self.sites[site].shippers[to] else { return };
        let ((batches, bytes), config) = (end.machine.in_flight(), &self.plan.config);
        if batches > config.window_batches_max || bytes > config.window_bytes_max + ENTRY_BYTES_MAX {
            self.fail(Verdict::Unbounded, || format!("{batches} batches of {bytes} bytes are in flight"));
        }
    }

    pub fn check_join_bounded(&mut self, entries: usize) {
        if entries > self.plan.config.window_batches_max * self.plan.config.batch_entries_max {
            self.fail(Verdict::Unbounded, || format!("a join of {entries} entries"));
        }
    }

    /// A restored receiver may have less than it had; nobody can have waited for that.
    pub fn check_trim(&mut self, site: SiteId, through: Position) {
        let log = self.sites[site].disk.number;
        for other in (0..self.plan.sites).filter(|other| *other != site) {
            let has = self.sites[other].disk.through(log);
            if !self.sites[other].restored && through > has {
                self.fail(Verdict::TrimmedTooFar, || {
                    format!("site {site} trims {through:?}, site {other} has {has:?}")
                });
            }
        }
    }

    /// Not only in the end: whenever what reached a site is causally closed, it shows what that implies.
    pub fn check_view(&mut self, site: SiteId, cart: CartId) {
        let closed = self.sites[site].disk.carts.get(&cart).filter(|stored| stored.is_causally_closed());
        let Some(stored) = closed else { return };
        self.report.views += 1;
        let disk = &self.sites[site].disk;
        let (shown, held) = (disk.view(cart, &stored.state), disk.held(cart));
        let pairs = [
            (quantities(&stored.state), self.model.quantities(&stored.seen, &BTreeSet::new())),
            (quantities(&shown), self.model.quantities(&stored.seen, &held)),
        ];
        if let Some((shown, meant)) = pairs.into_iter().find(|(shown, meant)| shown != meant) {
            let story = self.model.story(&stored.seen);
            self.fail(Verdict::Intent, || {
                format!("cart {cart} of site {site} shows {shown:?}, histories imply {meant:?}:{story}")
            });
        }
    }

    /// Units leave a cart when they are ordered. That the order is placed, later, takes nothing more: the shopper sees what they saw.
    pub fn check_placing(&mut self, site: SiteId, write: &Write) {
        let Some((_, Settlement::Placed)) = write.settles else { return };
        let disk = &self.sites[site].disk;
        let Some(before) = disk.carts.get(&write.cart) else { return };
        let before = quantities(&disk.view(write.cart, &before.state));
        let after = quantities(&disk.view(write.cart, &write.stored.state));
        if before != after {
            self.fail(Verdict::Intent, || {
                format!("placing an order of cart {} of site {site} made {after:?} of {before:?}", write.cart)
            });
        }
    }

    /// Equal everywhere, and nothing left to ship.
    pub fn has_converged(&self) -> bool {
        let first = &self.sites[0].disk.carts;
        self.sites.iter().all(|site| {
            let disk = &site.disk;
            let end = disk.log.keys().next_back().copied().unwrap_or_default();
            site.running.is_empty()
                && disk.carts.len() == first.len()
                && disk
                    .carts
                    .iter()
                    .zip(first)
                    .all(|(ours, theirs)| ours.0 == theirs.0 && ours.1.state == theirs.1.state)
                && self
                    .sites
                    .iter()
                    .all(|other| other.disk.number == disk.number || other.disk.through(disk.number) >= end)
        })
    }

    pub fn describe_difference(&mut self) {
        let ids: BTreeSet<CartId> = self.sites.iter().flat_map(|site| site.disk.carts.keys()).copied().collect();
        let at = |site: &Site, id: CartId| site.disk.carts.get(&id).map(|cart| format!("{:?}", cart.state));
        let shown = |id: CartId| -> Vec<Option<String>> { self.sites.iter().map(|site| at(site, id)).collect() };
        let differing =
            ids.into_iter().map(|id| (id, shown(id))).find(|(_, carts)| carts.windows(2).any(|two| two[0] != two[1]));
        self.fail(Verdict::NotConverged, || match differing {
            Some((id, carts)) => format!("cart {id} still differs between sites: {carts:#?}"),
            None => "carts are equal, but entries are left to ship".to_owned(),
        });
    }

    /// The verdict of a world that has converged.
    pub fn judge(&mut self) {
        self.report.converged_after = self.now - self.plan.heal_at;
        let mut all: BTreeMap<CartId, Stored> = BTreeMap::new();
        for (cart, stored) in self.sites.iter().flat_map(|site| &site.disk.carts) {
            let all = all.entry(*cart).or_default();
            all.seen.extend(&stored.seen);
            all.heard.extend(&stored.heard);
        }
        let kept: BTreeSet<OperationId> = all.values().flat_map(|stored| &stored.seen).copied().collect();
        let gone: Vec<OperationId> = self.acknowledged.keys().filter(|id| !kept.contains(id)).copied().collect();
        self.report.gone_with_a_disk = gone.len() as u64;
        if let Some(id) = gone.iter().find(|id| !self.at_risk.contains(id)).copied() {
            self.fail(Verdict::Lost, || format!("operation {id} was acknowledged and is nowhere"));
        }
        for (cart, union) in &all {
            let meant = self.model.quantities(&union.seen, &BTreeSet::new());
            self.report.unjudged += u64::from(!union.is_causally_closed());
            for site in 0..self.plan.sites {
                let state = &self.sites[site].disk.carts[cart].state;
                let (shown, same) =
                    (quantities(state), encode_cart(state) == encode_cart(&self.sites[0].disk.carts[cart].state));
                if !same {
                    self.fail(Verdict::NotConverged, || format!("cart {cart} differs in its bytes at site {site}"));
                }
                if shown != meant && union.is_causally_closed() {
                    self.fail(Verdict::Intent, || format!("cart {cart} shows {shown:?}, histories imply {meant:?}"));
                }
            }
        }
    }
}

fn quantities(state: &State) -> BTreeMap<Item, u64> {
    state.visible().map(|(item, units)| (*item, units)).collect()
}
