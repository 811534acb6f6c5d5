//! What a service does for its machines: carries out effects, and answers.

use std::collections::BTreeSet;
use std::rc::Rc;

use crdt::codec::decode_delta;
use rand::Rng;
use replication::receiver::{self, Receiver, Refusal};
use replication::shipper::{self, Shipper};
use replication::{Position, ToReceiver};

use super::disk::{Carried, Delta, Payload, State};
use super::network::Wire;
use super::sabotage::Sabotage;
use super::site::{ReceiverEnd, ShipperEnd};
use super::world::{Event, Join, JoinOf, ReceiverInput, ShipperInput, Verdict, World};
use super::{CartId, MILLISECOND, SiteId};

type ShipperEffect = shipper::Effect<CartId, Rc<Payload>>;
type ReceiverEffect = receiver::Effect<CartId, Rc<Payload>>;

impl World {
    /// Opens streams to all others.
    pub fn start(&mut self, site: SiteId) {
        for other in (0..self.plan.sites).filter(|other| *other != site) {
            self.new_receiver(site, other);
            self.new_shipper(site, other);
        }
    }

    pub fn new_receiver(&mut self, site: SiteId, from: SiteId) {
        self.next_generation += 1;
        let machine = Receiver::new(self.plan.config, self.sites[site].disk.number);
        self.sites[site].receivers[from] = Some(ReceiverEnd { machine, generation: self.next_generation });
    }

    pub fn new_shipper(&mut self, site: SiteId, to: SiteId) {
        self.next_generation += 1;
        let machine = Shipper::new(self.plan.config, self.sites[site].disk.number);
        let generation = self.next_generation;
        self.sites[site].shippers[to] = Some(ShipperEnd { machine, generation, wake: None });
        self.shipper_input(site, to, None, shipper::Input::Opened);
    }

    /// `generation`: of the machine that asked; any for messages.
    pub fn shipper_input(&mut self, site: SiteId, to: SiteId, generation: Option<u32>, input: ShipperInput) {
        let now = self.sites[site].local(self.now);
        let Some(end) = &mut self.sites[site].shippers[to] else { return };
        if generation.is_some_and(|generation| generation != end.generation) {
            return;
        }
        let generation = end.generation;
        let effects = end.machine.handle(input, now);
        self.check_window(site, to);
        for effect in effects {
            self.shipper_effect(site, to, generation, effect);
        }
        self.schedule_wake(site, to);
    }

    fn schedule_wake(&mut self, site: SiteId, to: SiteId) {
        let here = &self.sites[site];
        let Some(end) = &here.shippers[to] else { return };
        let Some(at) = end.machine.wake_at().map(|local| here.global(local).max(self.now + 1)) else { return };
        if end.wake.is_none_or(|wake| at < wake) {
            let generation = end.generation;
            if let Some(end) = &mut self.sites[site].shippers[to] {
                end.wake = Some(at);
            }
            self.schedule(at - self.now, Event::Wake { site, to, generation });
        }
    }

    pub fn wake(&mut self, site: SiteId, to: SiteId, generation: u32) {
        let now = self.now;
        let Some(end) = &mut self.sites[site].shippers[to] else { return };
        if end.generation == generation && end.wake == Some(now) {
            end.wake = None;
            self.shipper_input(site, to, None, shipper::Input::Tick);
        }
    }

    fn shipper_effect(&mut self, site: SiteId, to: SiteId, generation: u32, effect: ShipperEffect) {
        let here = &self.sites[site];
        let input = match effect {
            ShipperEffect::Send(message) => {
                if let ToReceiver::Repair { states, .. } = &message {
                    self.report.repairs += states.len() as u64;
                }
                return self.send(site, to, Wire::ToReceiver(message));
            }
            ShipperEffect::PersistAcked { receiver, position } => {
                self.check_acked(site, to, receiver, position);
                self.sites[site].disk.acked.insert(to, (receiver, position));
                return;
            }
            ShipperEffect::Halt(halt) => return self.fail(Verdict::Refused, || format!("site {site} stopped: {halt}")),
            ShipperEffect::ReadLog { after, entries_max, bytes_max } => {
                let running = self.sabotage != Some(Sabotage::ReadPastRunning);
                let stop = if running { here.oldest_running() } else { u64::MAX };
                shipper::Input::LogRead(here.disk.read_log(after, entries_max, bytes_max, stop))
            }
            ShipperEffect::ReadDigests { request, after, limit } => {
                shipper::Input::Digests { request, carts: here.disk.digests(after, CartId::MAX, limit) }
            }
            ShipperEffect::ReadStates { request, ids, bytes_max } => {
                shipper::Input::States { request, states: here.disk.states(&ids, bytes_max) }
            }
        };
        let delay = self.moment();
        self.schedule(delay, Event::ShipperAnswer { site, to, generation, input });
    }

    pub fn receiver_input(&mut self, site: SiteId, from: SiteId, generation: Option<u32>, mut input: ReceiverInput) {
        if self.sabotage == Some(Sabotage::JumpGaps)
            && let receiver::Input::Received(ToReceiver::Batch { after, .. }) = &mut input
        {
            *after = Position::START;
        }
        let Some(end) = &mut self.sites[site].receivers[from] else { return };
        if generation.is_some_and(|generation| generation != end.generation) {
            return;
        }
        let generation = end.generation;
        for effect in end.machine.handle(input) {
            self.receiver_effect(site, from, generation, effect);
        }
    }

    fn receiver_effect(&mut self, site: SiteId, from: SiteId, generation: u32, effect: ReceiverEffect) {
        let disk = &self.sites[site].disk;
        let input = match effect {
            ReceiverEffect::Send(message) => return self.send(site, from, Wire::ToShipper(message)),
            ReceiverEffect::ReadThrough { log } => receiver::Input::Through { log, position: disk.through(log) },
            ReceiverEffect::ReadDigests { request, after, last, limit } => {
                if self.sabotage == Some(Sabotage::NoAntiEntropy) {
                    return;
                }
                receiver::Input::Digests { request, carts: disk.digests(after, last, limit) }
            }
            ReceiverEffect::Join { log, through, entries } => {
                self.check_join_bounded(entries.len());
                let join = Join { from, generation, carried: entries, of: JoinOf::Deltas { log, through } };
                return self.begin_join(site, join);
            }
            ReceiverEffect::JoinStates { request, states } => {
                let join = Join { from, generation, carried: states, of: JoinOf::States { request } };
                return self.begin_join(site, join);
            }
            // A message of an earlier life came first. The stream is closed and opened again.
            ReceiverEffect::Refuse(Refusal::AnotherLog(_)) => return self.new_receiver(site, from),
            ReceiverEffect::Refuse(refusal) => {
                return self.fail(Verdict::Refused, || format!("site {site} refused site {from}: {refusal}"));
            }
        };
        let delay = self.moment();
        self.schedule(delay, Event::ReceiverAnswer { site, from, generation, input });
    }

    fn begin_join(&mut self, site: SiteId, join: Join) {
        if self.sabotage == Some(Sabotage::AckBeforeDurable) {
            self.answer_join(site, &join);
        }
        let (life, delay) = (self.sites[site].life, self.rng.random_range(0..20 * MILLISECOND));
        self.schedule(delay, Event::Join { site, life, join });
    }

    /// The transaction: waits for the locks, joins, drops own spent entries, stores the position, commits, answers.
    pub fn join(&mut self, site: SiteId, join: Join) {
        let life = self.sites[site].life;
        if join.carried.iter().any(|(cart, _)| self.sites[site].is_locked(*cart)) {
            return self.schedule(MILLISECOND, Event::Join { site, life, join });
        }
        for (cart, payload) in &join.carried {
            let whole = matches!(join.of, JoinOf::States { .. });
            if let Err(error) = self.join_one(site, *cart, payload, whole) {
                return self.fail(Verdict::Refused, || format!("site {site}, cart {cart}: {error}"));
            }
        }
        let touched: BTreeSet<CartId> = join.carried.iter().map(|(cart, _)| *cart).collect();
        self.retire(site, &touched);
        if let JoinOf::Deltas { log, through } = join.of {
            let before = self.sites[site].disk.through(log);
            self.sites[site].disk.through.insert(log, before.max(through));
            self.check_through(site, join.from, log, before);
        }
        touched.into_iter().for_each(|cart| self.check_view(site, cart));
        if self.sabotage != Some(Sabotage::AckBeforeDurable) {
            self.answer_join(site, &join);
        }
    }

    fn join_one(&mut self, site: SiteId, cart: CartId, payload: &Payload, whole: bool) -> Result<(), String> {
        let disk = &mut self.sites[site].disk;
        let delta: Delta = decode_delta(&payload.bytes).map_err(|error| error.to_string())?;
        let stored = disk.carts.entry(cart).or_default();
        let own = crdt::ReplicaId(disk.number.0);
        crdt::validate_from_peer(&delta, own, stored.state.context()).map_err(|error| error.to_string())?;
        match self.sabotage {
            Some(Sabotage::JoinWithoutContext) => join_without_context(&mut stored.state, &delta),
            Some(Sabotage::RepairAsDelta) => stored.state.join_delta(&delta),
            _ if whole => stored.state.join(&State::from_parts(delta.context, delta.lines)),
            _ => stored.state.join_delta(&delta),
        }
        stored.seen.extend(&payload.operations);
        stored.heard.extend(&payload.heard);
        Ok(())
    }

    /// Drops this replica's spent entries, which nobody else may, and logs that.
    fn retire(&mut self, site: SiteId, carts: &BTreeSet<CartId>) {
        let own = crdt::ReplicaId(self.sites[site].disk.number.0);
        let disk = &mut self.sites[site].disk;
        let mut retired: Vec<Carried> = Vec::new();
        for (cart, stored) in disk.carts.iter_mut().filter(|(cart, _)| carts.contains(cart)) {
            let deltas = stored.state.retire(own);
            retired.extend(deltas.iter().map(|delta| (*cart, Payload::delta(delta, Vec::new(), stored))));
        }
        if retired.is_empty() {
            return;
        }
        let transaction = disk.begin();
        for entry in retired {
            let position = self.sites[site].disk.position(transaction);
            self.append(site, position, entry);
        }
        self.log_grew(site);
    }

    fn answer_join(&mut self, site: SiteId, join: &Join) {
        let input = match join.of {
            JoinOf::Deltas { log, through } => {
                receiver::Input::Joined { log, through: self.sites[site].disk.through(log).max(through) }
            }
            JoinOf::States { request } => receiver::Input::StatesJoined { request },
        };
        let (from, generation) = (join.from, join.generation);
        self.schedule(0, Event::ReceiverAnswer { site, from, generation, input });
    }

    /// Some of these hints get lost.
    pub fn log_grew(&mut self, site: SiteId) {
        for to in 0..self.plan.sites {
            if self.rng.random_bool(0.9) {
                self.shipper_input(site, to, None, shipper::Input::LogGrew);
            }
        }
    }

    /// Trims what every other region has.
    pub fn trim(&mut self, site: SiteId) {
        if self.sites[site].up {
            let disk = &self.sites[site].disk;
            let others = (0..self.plan.sites).filter(|other| *other != site);
            let all_have = others.map(|other| disk.acked(other)).min().unwrap_or_default();
            let through = match self.sabotage {
                Some(Sabotage::TrimBeforeAck) => disk.log.keys().next_back().copied().unwrap_or_default(),
                _ => all_have,
            };
            self.check_trim(site, through);
            self.sites[site].disk.trim(through);
        }
        let pause = self.rng.random_range(100 * MILLISECOND..1_000 * MILLISECOND);
        self.schedule(pause, Event::Trim { site });
    }
}

/// A naive union: what was removed comes back.
fn join_without_context(state: &mut State, delta: &Delta) {
    let blind = crdt::CausalContext::new();
    let mut lines: std::collections::BTreeMap<_, _> = state.lines().map(|(k, l)| (*k, l.clone())).collect();
    for (item, line) in &delta.lines {
        lines.entry(*item).or_default().join(&blind, line, &blind);
    }
    let mut context = state.context().clone();
    context.join(&delta.context);
    *state = State::from_parts(context, lines);
}
