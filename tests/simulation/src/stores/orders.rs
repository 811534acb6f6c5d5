//! `customer_order`, `order_line` and `order_return`: `services/order/src/store`.
//!
//! The guards of the statements are `OrderState::apply`, as its own test says they are, and the fence: it grows with every claim and
//! each write of a driver names the one that it got.

use std::collections::{BTreeMap, BTreeSet};

use cart::domain::total;
use ids::{OrderId, RefundId};
use money::Money;
use order::domain::{
    AcceptedReturn, CardToken, Fate, Order, OrderEvent, OrderState, Refusal, ReturnLine, ReturnState, decide_return,
};
use order::sagas::place_order::Step;

use crate::checks;
use crate::coverage::Seen;
use crate::sabotage::Sabotage;
use crate::services::order::PlaceRequest;
use crate::world::{RegionId, World};
use crate::{Micros, Verdict};

/// Grows with every claim of its row.
pub type Fence = u64;

#[derive(Default)]
pub struct Orders {
    pub rows: BTreeMap<OrderId, Row>,
    pub returns: BTreeMap<RefundId, ReturnRow>,
    pub by_request: BTreeMap<u64, OrderId>,
    /// `forwarded_request`.
    pub handed_on: BTreeSet<u64>,
    /// `decided_away`.
    pub decided_away: BTreeMap<u64, OrderId>,
    /// `superseded_order`.
    pub superseded: BTreeMap<OrderId, Superseded>,
    return_by_request: BTreeMap<u64, RefundId>,
}

/// Who drives a row. None of it when nothing is left to drive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drive {
    pub fence: Fence,
    pub is_held: bool,
    pub after: Option<Micros>,
    pub attempts: u32,
}

pub struct Row {
    pub order: Order,
    pub request: u64,
    pub cart: u64,
    /// What the cart cost, as its shopper was shown it.
    pub costs: Option<Money>,
    pub card: CardToken,
    pub drive: Drive,
    pub unwind_from: Option<Step>,
    pub ship_at: Option<Micros>,
    /// When to tell the owner's home of it next, and when that was done first.
    pub tell_home_after: Option<Micros>,
    pub told_home_at: Option<Micros>,
}

/// The later order of two of one request.
#[derive(Clone, Copy, Debug)]
pub struct Superseded {
    /// The key under which it is taken back.
    pub request: u64,
    /// When to look at it next; none when it is undone.
    pub next_look: Option<Micros>,
}

pub struct ReturnRow {
    pub order: OrderId,
    pub lines: Vec<ReturnLine>,
    pub accepted: AcceptedReturn,
    pub state: ReturnState,
    pub drive: Drive,
}

/// What a claimed row asks of its driver: `store::lease::Duty`.
pub enum Duty {
    Forward(Box<Order>, CardToken),
    Back(Box<Order>, Step, Refusal),
    Void,
}

pub struct Claimed {
    pub order: OrderId,
    pub fence: Fence,
    pub attempts: u32,
    pub duty: Duty,
}

impl Drive {
    fn claim(&mut self, now: Micros, lease: Micros) -> bool {
        let is_taken_over = self.is_held;
        self.fence += 1;
        self.is_held = true;
        self.after = Some(now + lease);
        is_taken_over
    }

    fn put_off(&mut self, until: Micros) {
        self.is_held = false;
        self.after = Some(until);
        self.attempts += 1;
    }

    fn rest(&mut self) {
        self.is_held = false;
        self.after = None;
    }

    fn is_due(&self, now: Micros) -> bool {
        self.after.is_some_and(|after| after < now)
    }
}

impl Orders {
    /// `GetOrderFate`; none for an order that is unknown here.
    pub fn fate(&self, order: OrderId) -> Option<Fate> {
        self.rows.get(&order).map(|row| row.order.state.fate())
    }

    pub fn is_cancelled(&self, order: OrderId) -> bool {
        self.rows.get(&order).is_some_and(|row| row.order.state == OrderState::Cancelled)
    }

    pub(super) fn row(&mut self, order: OrderId) -> &mut Row {
        self.rows.get_mut(&order).expect("rows are never deleted")
    }
}

/// Moves an order by the table; whether it could.
fn step(order: &mut Order, event: OrderEvent) -> bool {
    let next = order.state.clone().apply(event);
    let moved = next.is_ok();
    if let Ok(next) = next {
        order.state = next;
    }
    moved
}

impl World {
    pub(super) fn orders(&mut self, at: RegionId) -> &mut Orders {
        &mut self.regions[at].orders
    }

    /// The fencing check of a driver's write, and the eye on it: whether it may write.
    fn may_write(&mut self, what: &str, order: OrderId, ours: Fence, current: Fence) -> bool {
        if ours == current {
            return true;
        }
        if !self.removed(Sabotage::FencingCheck) {
            self.saw(Seen::ZombieRefused);
            return false;
        }
        self.fail(Verdict::ZombieWrote, format!("{what} of order {order} under fence {ours}, which is at {current}"));
        true
    }

    /// `insert_pending`: the key decides between two requests, and `not_after` between a repeat and a cut that was put back.
    pub fn insert_pending(
        &mut self,
        at: RegionId,
        (order, asked): (&Order, &PlaceRequest),
        not_after: Micros,
    ) -> Option<Fence> {
        let request = asked.number;
        let (now, lease, is_unkeyed) = (self.now, self.plan.lease, self.removed(Sabotage::RequestKey));
        let orders = self.orders(at);
        let is_known = orders.by_request.contains_key(&request) && !is_unkeyed;
        if now >= not_after || is_known || orders.rows.contains_key(&order.id) {
            return None;
        }
        if let Err((verdict, what)) = checks::shown_lines(order, &asked.shown) {
            self.fail(verdict, format!("order {}: {what}", order.id));
        }
        let mut drive = Drive::default();
        drive.claim(now, lease);
        let row = Row {
            order: order.clone(),
            request,
            cart: asked.cart.cart,
            costs: total(&asked.shown),
            card: asked.card.clone(),
            drive,
            unwind_from: None,
            ship_at: None,
            tell_home_after: (asked.home() != at).then_some(now),
            told_home_at: None,
        };
        let orders = self.orders(at);
        orders.by_request.insert(request, order.id);
        orders.rows.insert(order.id, row);
        if asked.home() != at {
            self.saw(Seen::DecidedAway);
        }
        self.touch(at, order.id);
        Some(drive.fence)
    }

    /// `claim`: orders that nobody drives, those that wait longest first.
    pub fn claim_orders(&mut self, at: RegionId, limit: usize) -> Vec<Claimed> {
        let now = self.now;
        let orders = self.orders(at);
        let mut due: Vec<_> = orders
            .rows
            .iter()
            .filter(|(_, row)| row.drive.is_due(now))
            .map(|(id, row)| (row.drive.after, *id))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        due.into_iter().filter_map(|(_, id)| self.claim_this(at, id)).collect()
    }

    /// `claim_order`: one undecided order, if nobody drives it.
    pub fn claim_order(&mut self, at: RegionId, id: OrderId) -> Option<Claimed> {
        let now = self.now;
        let row = self.orders(at).rows.get(&id)?;
        let is_undecided = matches!(row.order.state, OrderState::Pending | OrderState::Compensating(_));
        if is_undecided && row.drive.is_due(now) { self.claim_this(at, id) } else { None }
    }

    fn claim_this(&mut self, at: RegionId, id: OrderId) -> Option<Claimed> {
        let (now, lease) = (self.now, self.plan.lease);
        let row = self.orders(at).row(id);
        let is_taken_over = row.drive.claim(now, lease);
        let order = || Box::new(row.order.clone());
        let duty = match &row.order.state {
            OrderState::Pending => Duty::Forward(order(), row.card.clone()),
            OrderState::Compensating(refusal) => Duty::Back(order(), row.unwind_from?, refusal.clone()),
            OrderState::Cancelled => Duty::Void,
            OrderState::Placed | OrderState::Shipped | OrderState::Rejected(_) => return None,
        };
        let claimed = Claimed { order: id, fence: row.drive.fence, attempts: row.drive.attempts, duty };
        if is_taken_over {
            self.saw(Seen::TakenOver);
        }
        Some(claimed)
    }

    /// `renew`. False when the order is not this driver's any more.
    pub fn renew(&mut self, at: RegionId, id: OrderId, fence: Fence) -> bool {
        let until = self.now + self.plan.lease;
        let drive = &mut self.orders(at).row(id).drive;
        let is_ours = drive.fence == fence && drive.is_held && drive.after.is_some();
        if is_ours {
            drive.after = Some(until);
        }
        is_ours
    }

    /// `put_off`.
    pub fn put_off(&mut self, at: RegionId, id: OrderId, fence: Fence, delay: Micros) {
        let until = self.now + delay;
        let drive = &mut self.orders(at).row(id).drive;
        if drive.fence == fence && drive.is_held && drive.after.is_some() {
            drive.put_off(until);
        }
    }

    /// `mark_placed`: the pivot, whose event is in the same transaction.
    pub fn mark_placed(&mut self, at: RegionId, id: OrderId, fence: Fence) -> bool {
        if self.removed(Sabotage::PivotGuard) {
            let row = self.orders(at).row(id);
            row.order.state = OrderState::Placed;
            row.drive.rest();
            return true;
        }
        let current = self.orders(at).row(id).drive.fence;
        let placed = self.may_write("pivot", id, fence, current) && {
            let row = self.orders(at).row(id);
            let placed = step(&mut row.order, OrderEvent::Placed);
            if placed {
                row.drive.rest();
            }
            placed
        };
        if !placed {
            self.saw(Seen::PivotLost);
        }
        placed
    }

    /// `mark_compensating`: durable before the first compensation.
    pub fn mark_compensating(
        &mut self,
        at: RegionId,
        id: OrderId,
        fence: Fence,
        (from, why): (Step, &Refusal),
    ) -> bool {
        let until = self.now + self.plan.lease;
        let current = self.orders(at).row(id).drive.fence;
        if !self.may_write("turning round", id, fence, current) {
            return false;
        }
        let row = self.orders(at).row(id);
        let turned = step(&mut row.order, OrderEvent::Refused(why.clone()));
        if turned {
            row.unwind_from = Some(from);
            row.drive.attempts = 0;
            row.drive.after = Some(until);
        }
        self.touch(at, id);
        turned
    }

    /// `mark_rejected`.
    pub fn mark_rejected(&mut self, at: RegionId, id: OrderId, fence: Fence) -> bool {
        let current = self.orders(at).row(id).drive.fence;
        if !self.may_write("rejecting", id, fence, current) {
            return false;
        }
        let row = self.orders(at).row(id);
        let ended = step(&mut row.order, OrderEvent::Unwound);
        if ended {
            row.drive.rest();
            row.unwind_from = None;
        }
        self.touch(at, id);
        ended
    }

    /// `cancel`: races shipping for the row. `Some(true)`: now; `Some(false)`: before; none: as it stands it cannot be.
    pub fn cancel(&mut self, at: RegionId, id: OrderId) -> Option<bool> {
        let now = self.now;
        let row = self.orders(at).row(id);
        if row.order.state == OrderState::Cancelled {
            return Some(false);
        }
        let cancelled = step(&mut row.order, OrderEvent::Cancelled);
        if cancelled {
            row.ship_at = None;
            row.drive.after = Some(now);
        }
        cancelled.then_some(true)
    }

    /// `mark_voided`.
    pub fn mark_voided(&mut self, at: RegionId, id: OrderId, fence: Fence) {
        let current = self.orders(at).row(id).drive.fence;
        if self.may_write("marking voided", id, fence, current) {
            let row = self.orders(at).row(id);
            if row.order.state == OrderState::Cancelled {
                row.drive.rest();
            }
            self.touch(at, id);
        }
    }

    /// `schedule`, in the inbox's transaction.
    pub fn schedule(&mut self, at: RegionId, id: OrderId) -> Result<(), String> {
        let ship_at = self.now + rand::Rng::random_range(&mut self.rng, 0..3 * crate::SECOND);
        if let Some(row) = self.orders(at).rows.get_mut(&id)
            && row.order.state == OrderState::Placed
            && row.ship_at.is_none()
        {
            row.ship_at = Some(ship_at);
        }
        Ok(())
    }

    /// The orders that `ship_due` would lock.
    pub fn due_to_ship(&mut self, at: RegionId) -> Vec<OrderId> {
        let now = self.now;
        let due = self.orders(at).rows.iter().filter(|(_, row)| {
            row.order.state == OrderState::Placed && row.ship_at.is_some_and(|ship_at| ship_at <= now)
        });
        due.map(|(id, _)| *id).collect()
    }

    /// `ship_due`, of one order.
    pub fn ship(&mut self, at: RegionId, id: OrderId) -> bool {
        step(&mut self.orders(at).row(id).order, OrderEvent::Shipped)
    }

    /// `mark_captured`, in the inbox's transaction.
    pub fn mark_captured(&mut self, at: RegionId, id: OrderId, amount_minor: i64) -> Result<(), String> {
        let row = self.orders(at).rows.get_mut(&id).ok_or("no such order")?;
        if row.order.total.minor_units() != amount_minor {
            return Err(format!("captured {amount_minor} of {:?}", row.order.total));
        }
        row.order.captured = true;
        Ok(())
    }

    /// `mark_refunded`: by the answer of the call or by the event, whichever is first.
    pub fn mark_refunded(&mut self, at: RegionId, id: RefundId) -> Option<i64> {
        let orders = self.orders(at);
        let row = orders.returns.get_mut(&id)?;
        let (order, amount_minor) = (row.order, row.accepted.amount_minor);
        if row.state == ReturnState::Requested {
            row.state = ReturnState::Refunded;
            row.drive.rest();
            orders.row(order).order.refunded_minor += amount_minor;
        }
        self.touch(at, order);
        Some(amount_minor)
    }

    /// `take_back`: decided on the lines as they stand under the order's lock. The fence is that of a fresh return, which the caller
    /// refunds; none when it is a repeat.
    pub fn take_back(
        &mut self,
        at: RegionId,
        (order, request): (OrderId, u64),
        wanted: &[ReturnLine],
        seen: Option<&[order::domain::OrderLine]>,
    ) -> Result<(RefundId, Option<Fence>), String> {
        if let Some(known) = self.orders(at).return_by_request.get(&request) {
            return Ok((*known, None));
        }
        let (now, id) = (self.now, self.new_refund_id());
        let orders = self.orders(at);
        let row = orders.row(order);
        if row.order.state != OrderState::Shipped {
            return Err(row.order.state.name().to_owned());
        }
        let accepted = decide_return(seen.unwrap_or(&row.order.lines), wanted).map_err(|error| error.to_string())?;
        for line in &mut row.order.lines {
            let returned = wanted.iter().filter(|wanted| wanted.offer == line.offer).map(|wanted| wanted.quantity);
            line.returned_quantity += returned.sum::<i64>();
        }
        let mut drive = Drive::default();
        drive.claim(now, crate::services::order::RETURN_LEASE);
        let lines = wanted.to_vec();
        orders.returns.insert(id, ReturnRow { order, lines, accepted, state: ReturnState::Requested, drive });
        orders.return_by_request.insert(request, id);
        self.touch(at, order);
        Ok((id, Some(drive.fence)))
    }

    /// `claim_refunds`.
    pub fn claim_refunds(&mut self, at: RegionId) -> Vec<(RefundId, Fence, u32)> {
        let now = self.now;
        let due = self.orders(at).returns.iter_mut().filter(|(_, row)| row.drive.is_due(now));
        due.map(|(id, row)| {
            row.drive.claim(now, crate::services::order::RETURN_LEASE);
            (*id, row.drive.fence, row.drive.attempts)
        })
        .collect()
    }

    /// `put_off_refund`.
    pub fn put_off_refund(&mut self, at: RegionId, id: RefundId, fence: Fence, delay: Micros) {
        let until = self.now + delay;
        if let Some(row) = self.orders(at).returns.get_mut(&id)
            && row.drive.fence == fence
            && row.drive.is_held
            && row.state == ReturnState::Requested
        {
            row.drive.put_off(until);
        }
    }
}
