//! Messages on their way: lost, doubled, late, overtaken, cut off.

use std::rc::Rc;

use rand::Rng;
use replication::{ToReceiver, ToShipper};

use super::disk::Payload;
use super::world::{Event, World};
use super::{CartId, SiteId};

#[derive(Clone, Debug)]
pub enum Wire {
    ToReceiver(ToReceiver<CartId, Rc<Payload>>),
    ToShipper(ToShipper<CartId>),
}

impl World {
    pub fn send(&mut self, from: SiteId, to: SiteId, wire: Wire) {
        if self.healed {
            let delay = self.plan.delay;
            return self.schedule(delay, Event::Deliver { from, to, wire });
        }
        if self.rng.random_bool(self.plan.loss) {
            self.report.lost += 1;
            return;
        }
        if self.rng.random_bool(self.plan.duplication) {
            self.report.duplicated += 1;
            let delay = self.travel();
            self.schedule(delay, Event::Deliver { from, to, wire: wire.clone() });
        }
        let delay = self.travel();
        self.schedule(delay, Event::Deliver { from, to, wire });
    }

    /// A cut also takes what is on its way.
    pub fn is_cut(&self, from: SiteId, to: SiteId) -> bool {
        !self.healed && self.cut_until[from][to] > self.now
    }

    fn travel(&mut self) -> u64 {
        self.plan.delay + self.rng.random_range(0..=self.plan.jitter)
    }
}
