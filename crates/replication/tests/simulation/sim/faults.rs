//! What goes wrong, and how it ends.

use rand::Rng;
use replication::ReplicaId;

use super::SiteId;
use super::plan::Fault;
use super::sabotage::Sabotage;
use super::world::{Event, World};

impl World {
    pub fn strike(&mut self, at: usize) {
        match self.plan.faults[at].1 {
            Fault::Cut { from, to, lasts } => {
                self.report.cuts += 1;
                self.cut_until[from][to] = self.now + lasts;
            }
            Fault::Partition { group, lasts } => {
                self.report.cuts += 1;
                let inside = |site: SiteId| group >> site & 1 == 1;
                for from in 0..self.plan.sites {
                    for to in (0..self.plan.sites).filter(|to| inside(from) != inside(*to)) {
                        self.cut_until[from][to] = self.now + lasts;
                    }
                }
            }
            Fault::Crash { site, lasts } => {
                self.report.crashes += 1;
                self.sites[site].power_off();
                self.schedule(lasts, Event::Restart { site });
            }
            Fault::Reset { from, to } => {
                if self.sites[to].up {
                    self.new_receiver(to, from);
                }
                if self.sites[from].up {
                    self.new_shipper(from, to);
                }
            }
            Fault::Backup { site } => self.sites[site].backup = Some(self.sites[site].disk.clone()),
            Fault::Restore { site, lasts, keep_positions } => {
                self.restore(site, keep_positions);
                self.schedule(lasts, Event::Restart { site });
            }
            Fault::LoseEntry { site } => self.lose_entry(site),
        }
    }

    pub fn restart(&mut self, site: SiteId) {
        if !self.sites[site].up {
            self.sites[site].up = true;
            self.start(site);
        }
    }

    pub fn heal(&mut self) {
        self.healed = true;
        (0..self.plan.sites).for_each(|site| self.restart(site));
        self.schedule(0, Event::Probe);
    }

    /// What an operator does: puts the backup back, and gives the database a number that was never used.
    fn restore(&mut self, site: SiteId, keep_positions: bool) {
        let Some(mut disk) = self.sites[site].backup.clone() else { return };
        self.report.restores += 1;
        self.sites[site].power_off();
        let gone = &self.sites[site].disk;
        for (cart, stored) in &gone.carts {
            let kept = disk.carts.get(cart).map(|stored| &stored.seen);
            let forgotten = stored.seen.iter().filter(|id| !kept.is_some_and(|kept| kept.contains(id)));
            self.at_risk.extend(forgotten.filter(|id| self.acknowledged.get(id) == Some(&site)));
        }
        if keep_positions {
            disk.through.clone_from(&gone.through);
            self.sites[site].positions_lie = true;
        }
        if self.sabotage != Some(Sabotage::KeepNumberAfterRestore) {
            disk.number = ReplicaId(self.next_number);
            self.next_number += 1;
            // They are about the old log.
            disk.acked.clear();
        }
        self.sites[site].disk = disk;
        self.sites[site].restored = true;
        self.log_was_restored(site);
    }

    fn lose_entry(&mut self, site: SiteId) {
        let count = self.sites[site].disk.log.len();
        if count > 0 {
            let nth = self.rng.random_range(0..count);
            let position = self.sites[site].disk.log.keys().nth(nth).copied();
            if let Some(position) = position {
                self.report.lost_entries += 1;
                self.forget_entry(site, position);
            }
        }
    }
}
