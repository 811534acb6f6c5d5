//! Carts and their checkouts: `services/cart/src/store`. What an edit does, what a cart shows, how a version stands to a cart's and what a
//! checkout cuts are the service's own rules (`cart::domain`, `crdt`). The log between the regions is shipped whole and in order; what becomes
//! of it when it is not is simulated in `crates/replication`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use cart::domain::{
    CartDelta, CartState, Compared, Edit, Item, LineState, PlacedCut, Version, ViewLine, decide, total, view,
};
use crdt::{Dot, ReplicaId};
use ids::{OfferId, OrderId, Region};
use money::Money;

use crate::world::RegionId;
use crate::{Micros, Verdict};

/// In the order in which one stands over the other: an order that was placed stays placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckoutState {
    Undecided,
    Abandoned,
    Ordered,
}

#[derive(Clone, Debug)]
pub struct Checkout {
    pub state: CheckoutState,
    pub begun_at: Micros,
    /// The region that began it, and settles it.
    pub begun_in: RegionId,
    pub cart: u64,
    pub taken: Rc<PlacedCut>,
    /// Checkouts that were undecided here when it began.
    pub over: Vec<OrderId>,
}

/// What a shopper is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    pub version: Version,
    pub lines: Rc<Vec<ViewLine>>,
}

impl Shown {
    pub fn total(&self) -> Option<Money> {
        total(&self.lines)
    }
}

/// What is asked of `BeginCheckout`.
#[derive(Clone, Debug)]
pub struct Asked {
    pub request: u64,
    pub cart: u64,
    pub version: Version,
    pub expected_total: Option<Money>,
}

/// The stored reply of `BeginCheckout`.
#[derive(Clone, Debug)]
pub struct Cut {
    pub order: OrderId,
    pub lines: Rc<Vec<ViewLine>>,
}

/// Why a checkout does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCut {
    Stale,
    Ahead,
    Empty,
    TotalChanged,
}

/// A change of a cart, as it is shipped.
#[derive(Clone, Debug)]
pub struct Entry {
    cart: u64,
    delta: CartDelta,
    edit: Option<u64>,
    begun: Option<(u64, Cut, Checkout)>,
    settled: Option<(OrderId, CheckoutState)>,
}

#[derive(Default)]
pub struct Carts {
    pub carts: BTreeMap<u64, CartState>,
    pub checkouts: BTreeMap<OrderId, Checkout>,
    by_request: BTreeMap<u64, Cut>,
    edits: BTreeSet<u64>,
    /// This region's own changes, for the other one.
    pub log: Vec<Rc<Entry>>,
    /// How much of it the other region has.
    pub acknowledged: usize,
}

/// Guards that were taken away.
#[derive(Clone, Copy, Debug)]
pub struct Unguarded {
    pub version: bool,
    pub held: bool,
}

fn replica(region: RegionId) -> ReplicaId {
    ReplicaId(Region::ALL[region].replica())
}

impl Carts {
    fn undecided(&self, cart: u64) -> impl Iterator<Item = (&OrderId, &Checkout)> {
        self.checkouts.iter().filter(move |(_, it)| it.cart == cart && it.state == CheckoutState::Undecided)
    }

    fn held(&self, cart: u64) -> Vec<CartDelta> {
        self.undecided(cart).map(|(_, it)| it.taken.cut.clone()).collect()
    }

    fn visible(&self, cart: u64) -> Option<CartState> {
        self.carts.get(&cart).map(|state| view(state, &self.held(cart)))
    }

    /// What its shopper is shown; none for a cart that is not here.
    pub fn shown(&self, cart: u64) -> Option<Shown> {
        let lines = Rc::new(ViewLine::of(&self.visible(cart)?));
        Some(Shown { version: Version(self.carts[&cart].context().clone()), lines })
    }

    pub fn is_held(&self, cart: u64) -> bool {
        self.undecided(cart).next().is_some()
    }

    fn ship(&mut self, cart: u64, delta: CartDelta) -> &mut Entry {
        self.log.push(Rc::new(Entry { cart, delta, edit: None, begun: None, settled: None }));
        self.log.last_mut().and_then(Rc::get_mut).expect("just pushed")
    }

    /// `store::edit`: decided and stored at once, once per key. A cart is created by its first edit. The lines that it took.
    pub fn edit(
        &mut self,
        here: RegionId,
        (key, cart): (u64, u64),
        item: &Item,
        edit: &Edit,
    ) -> Result<Vec<ViewLine>, String> {
        if self.edits.contains(&key) {
            return Ok(Vec::new());
        }
        let held = self.held(cart);
        let state = self.carts.entry(cart).or_default();
        let seen = ViewLine::of(&view(state, &held));
        let line = state.lines().find(|(known, _)| *known == item).map(|(_, line)| line.clone());
        let before = LineState {
            context: state.context().clone(),
            line: line.unwrap_or_default(),
            undecided_cuts: held,
            line_count: state.lines().len(),
            other_currencies: BTreeSet::new(),
            other_prices: 0,
        };
        let edited = decide(&before, item, edit, replica(here)).map_err(|refused| refused.to_string())?;
        self.edits.insert(key);
        let Some(edited) = edited else { return Ok(Vec::new()) };
        state.join_delta(&edited.delta);
        self.ship(cart, edited.delta).edit = Some(key);
        let is_taken = |line: &ViewLine| matches!(edit, Edit::Remove(_)) && line.offer_id == item.0;
        Ok(seen.into_iter().filter(is_taken).collect())
    }

    /// `CartGrpc::begin`: a repeat gets the first cut and the order it was made for, whatever became of it and wherever it was made.
    pub fn begin(
        &mut self,
        (here, now): (RegionId, Micros),
        asked: &Asked,
        new: OrderId,
        without: Unguarded,
    ) -> Result<Cut, NoCut> {
        let state = self.carts.get(&asked.cart).ok_or(NoCut::Ahead)?;
        let current = match asked.version.compared_to(state.context()) {
            Compared::Current => Ok(()),
            Compared::Stale if without.version => Ok(()),
            Compared::Stale => Err(NoCut::Stale),
            Compared::Ahead => Err(NoCut::Ahead),
        };
        if current.is_err() || without.version {
            if let Some(first) = self.by_request.get(&asked.request) {
                return Ok(first.clone());
            }
            current?;
        }
        let visible = view(state, &self.held(asked.cart));
        let lines = Rc::new(ViewLine::of(&visible));
        if lines.is_empty() {
            return Err(NoCut::Empty);
        }
        if asked.expected_total.is_some_and(|expected| total(&lines) != Some(expected)) {
            return Err(NoCut::TotalChanged);
        }
        let cut_of = if without.held { state } else { &visible };
        let (operation, cut) = cut_of.cut(replica(here)).expect("counters do not end");
        let ordered = lines.iter().map(|line| (line.offer_id.clone(), line.quantity())).collect();
        let seen = state.context().clone();
        let checkout = Checkout {
            state: CheckoutState::Undecided,
            begun_at: now,
            begun_in: here,
            cart: asked.cart,
            taken: Rc::new(PlacedCut { order_id: new, operation, seen, cut, lines: ordered }),
            over: self.undecided(asked.cart).map(|(order, _)| *order).collect(),
        };
        let reply = Cut { order: new, lines };
        self.tick(asked.cart, operation).begun = Some((asked.request, reply.clone(), checkout.clone()));
        self.by_request.insert(asked.request, reply.clone());
        self.checkouts.insert(new, checkout);
        Ok(reply)
    }

    /// Moves a cart's version on by an operation of its own.
    fn tick(&mut self, cart: u64, operation: Dot) -> &mut Entry {
        let tick = CartDelta::tick(operation);
        self.carts.entry(cart).or_default().join_delta(&tick);
        self.ship(cart, tick)
    }

    fn next_operation(&self, cart: u64, here: RegionId) -> Dot {
        self.carts[&cart].context().next_dot(replica(here)).expect("counters do not end")
    }

    /// `consume`: the order was placed. An abandoned cut is consumed all the same.
    pub fn consume(&mut self, here: RegionId, order: OrderId) -> Result<(), String> {
        let checkout = self.checkouts.get_mut(&order).ok_or("no such checkout")?;
        let (was, cart) = (std::mem::replace(&mut checkout.state, CheckoutState::Ordered), checkout.cart);
        if was == CheckoutState::Ordered {
            return Ok(());
        }
        let mut cut = checkout.taken.cut.clone();
        let state = self.carts.get_mut(&cart).ok_or("no such cart")?;
        state.join_delta(&cut);
        let retired = state.retire(replica(here));
        if was == CheckoutState::Abandoned {
            let operation = self.next_operation(cart, here);
            cut.context.insert(operation);
            self.carts.entry(cart).or_default().join_delta(&CartDelta::tick(operation));
        }
        self.ship(cart, cut).settled = Some((order, CheckoutState::Ordered));
        for delta in retired {
            self.ship(cart, delta);
        }
        Ok(())
    }

    /// `abandon`: the lines show again, once, under a version of their own; what was ordered stays so.
    pub fn abandon(&mut self, here: RegionId, order: OrderId) {
        if let Some(checkout) = self.checkouts.get_mut(&order)
            && checkout.state == CheckoutState::Undecided
        {
            checkout.state = CheckoutState::Abandoned;
            let cart = checkout.cart;
            let operation = self.next_operation(cart, here);
            self.tick(cart, operation).settled = Some((order, CheckoutState::Abandoned));
        }
    }

    /// `take_overdue`: begun in `here` before `before`, and undecided.
    pub fn overdue(&self, here: RegionId, before: Micros) -> Vec<OrderId> {
        let overdue = self.checkouts.iter().filter(|(_, checkout)| {
            checkout.state == CheckoutState::Undecided && checkout.begun_in == here && checkout.begun_at < before
        });
        overdue.map(|(order, _)| *order).collect()
    }

    /// `read_log`: what the other region does not have yet.
    pub fn unacknowledged(&self) -> Vec<Rc<Entry>> {
        self.log[self.acknowledged..].to_vec()
    }

    /// `replica::join`: a repeat changes nothing, and a key that this region gave an order itself keeps it.
    pub fn join(&mut self, here: RegionId, entries: &[Rc<Entry>]) {
        for entry in entries {
            let state = self.carts.entry(entry.cart).or_default();
            state.join_delta(&entry.delta);
            let retired = if entry.delta.lines.is_empty() { Vec::new() } else { state.retire(replica(here)) };
            self.edits.extend(entry.edit);
            if let Some((request, reply, checkout)) = &entry.begun {
                self.by_request.entry(*request).or_insert_with(|| reply.clone());
                self.checkouts.entry(reply.order).or_insert_with(|| checkout.clone());
            }
            if let Some((order, theirs)) = entry.settled
                && let Some(checkout) = self.checkouts.get_mut(&order)
            {
                checkout.state = checkout.state.max(theirs);
            }
            for delta in retired {
                self.ship(entry.cart, delta);
            }
        }
    }

    /// Placing an order takes nothing but what was ordered, and nothing that is shown.
    pub fn check_placing(
        &self,
        order: OrderId,
        (before, shown_before): (&CartState, &[ViewLine]),
    ) -> Result<(), (Verdict, String)> {
        let checkout = &self.checkouts[&order];
        let (after, cart) = (&self.carts[&checkout.cart], checkout.cart);
        let units = |state: &CartState, item: &Item| {
            state.lines().find(|(known, _)| *known == item).map_or(0, |(_, line)| line.quantity())
        };
        for (item, line) in before.lines() {
            let taken = line.quantity().saturating_sub(units(after, item));
            let ordered = checkout.taken.lines.get(&item.0).copied().unwrap_or_default();
            if taken > ordered {
                let what = format!("the cut of {order} took {taken} {} of cart {cart}, ordered were {ordered}", item.0);
                return Err((Verdict::Cart, what));
            }
        }
        let shown_after = ViewLine::of(&view(after, &self.held(cart)));
        if shown_after != shown_before {
            let what = format!("placing {order} made {shown_after:?} of {shown_before:?}, which cart {cart} showed");
            return Err((Verdict::Cart, what));
        }
        Ok(())
    }

    pub fn visible_lines(&self, cart: u64) -> Vec<ViewLine> {
        self.visible(cart).map(|state| ViewLine::of(&state)).unwrap_or_default()
    }
}

/// Units of an offer at a price: in the simulation no two adds of one cart have the same.
pub type Batch = (OfferId, i64);

/// The batches that lines show, with their units.
pub fn batches(lines: &[ViewLine]) -> impl Iterator<Item = (Batch, u64)> {
    lines.iter().flat_map(|line| {
        line.prices.iter().map(|(price, units)| ((line.offer_id.clone(), price.minor_units()), *units))
    })
}
