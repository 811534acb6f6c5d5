//! `grpc/{service,home}.rs` and `begin.rs`: which region decides a request, and how it becomes an order there, or finds the one it made
//! before.

use std::rc::Rc;
use std::time::Duration;

use ::cart::domain::ViewLine;
use ids::{CartId, CustomerId, OrderId, Region};
use order::domain::{
    CardToken, CutLine, Decider, DeliveryAddress, Link, Order, OrderState, Placement, Prices, Refusal, RefusalKind,
};
use order::sagas::place_order::{Arriving, PLAN};
use uuid::Uuid;

use super::CALL_MAX;
use super::drive::{Placing, Turn, placing, turn};
use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::{Me, cart};
use crate::spine::{Lost, statement};
use crate::stores::carts::{Asked, Cut, NoCut};
use crate::world::{RegionId, Service, date, region_of};
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// `begin::ARRIVAL_MAX`.
const ARRIVAL_MAX: Micros = 2 * SECOND;

/// What a shopper asks for, with its key.
#[derive(Clone)]
pub struct PlaceRequest {
    /// The key: unique.
    pub number: u64,
    pub card: CardToken,
    pub customer: CustomerId,
    pub cart: Rc<Asked>,
    /// What the shopper was shown.
    pub shown: Rc<Vec<ViewLine>>,
}

impl PlaceRequest {
    /// Where the cart's checkouts are decided.
    pub fn home(&self) -> RegionId {
        region_of(self.customer.home())
    }
}

/// What a shopper is told.
#[derive(Clone, Debug)]
pub enum PlaceAnswer {
    Placed(OrderId),
    /// It is driven on without the caller.
    Undecided,
    Refused(Refusal),
    /// Nothing is known; the same request may be sent again.
    Unavailable,
    /// `HOME_REGION_UNREACHABLE`: only the other region can answer, and it does not. Nothing was started.
    HomeUnreachable,
    /// `PlaceError::Elsewhere`: the order is the other region's. For the region that handed the request on.
    Elsewhere,
    /// `CART_VERSION_AHEAD`: this region has not seen yet what the shopper was shown.
    VersionAhead,
}

/// `OrderGrpc::place_order`, as a shopper asks it.
pub async fn place(sim: Sim, me: Me, request: Rc<PlaceRequest>, until: Micros) -> PlaceAnswer {
    let answer = async {
        if let Some(answer) = home_places(&sim, me, &request, until).await? {
            return Ok(answer);
        }
        match place_here(&sim, me, &request, Arriving::Told, until).await? {
            PlaceAnswer::Elsewhere if sim.with(|world| world.link(me.process)) == Link::Down => {
                Ok(PlaceAnswer::HomeUnreachable)
            }
            PlaceAnswer::Elsewhere => {
                sim.saw(Seen::Elsewhere);
                Ok(match hand_on(&sim, me, &request, until).await {
                    PlaceAnswer::Elsewhere => PlaceAnswer::Unavailable,
                    answer => answer,
                })
            }
            answer => Ok(answer),
        }
    };
    let answer: Result<_, Lost> = answer.await;
    answer.unwrap_or(PlaceAnswer::Unavailable)
}

/// `OrderGrpc::place_order`, as the other region asks it: it is answered here.
async fn place_handed_on(sim: Sim, me: Me, request: Rc<PlaceRequest>, until: Micros) -> PlaceAnswer {
    place_here(&sim, me, &request, Arriving::Awaited, until).await.unwrap_or(PlaceAnswer::Unavailable)
}

/// `Homes::place`: what the owner's home said; none when this region decides.
async fn home_places(
    sim: &Sim,
    me: Me,
    request: &Rc<PlaceRequest>,
    until: Micros,
) -> Result<Option<PlaceAnswer>, Lost> {
    if request.home() == me.region || sim.with(|world| world.removed(Sabotage::HandOn)) {
        return Ok(None);
    }
    let placement = statement(sim, |world| {
        let orders = &world.regions[me.region].orders;
        Placement {
            here: Region::ALL[me.region],
            owner_home: request.customer.home(),
            is_handed_on: false,
            is_known_here: orders.by_request.contains_key(&request.number),
            was_handed_on: orders.handed_on.contains(&request.number),
            link: world.link(me.process),
        }
    });
    let placement = placement.await?;
    match placement.decider() {
        Decider::Here => {
            if placement.link == Link::Down {
                sim.with(|world| world.told.away.insert(request.number));
            }
            return Ok(None);
        }
        Decider::Unreachable => return Ok(Some(PlaceAnswer::HomeUnreachable)),
        Decider::Home => {}
    }
    statement(sim, |world| world.regions[me.region].orders.handed_on.insert(request.number)).await?;
    sim.saw(Seen::HandedOn);
    Ok(match hand_on(sim, me, request, until).await {
        // The cut was made here, by a process that died before it stored the order: it is ours to go on with.
        PlaceAnswer::Elsewhere => None,
        answer => Some(answer),
    })
}

/// `PeerRegion::place_order`.
async fn hand_on(sim: &Sim, me: Me, request: &Rc<PlaceRequest>, until: Micros) -> PlaceAnswer {
    let (request, within) = (request.clone(), until.saturating_sub(sim.now()));
    let place = move |sim, there| place_handed_on(sim, there, request.clone(), until);
    let answer = call(sim, (me.region, 1 - me.region), Service::Order, within, place).await;
    answer.unwrap_or(PlaceAnswer::HomeUnreachable)
}

/// `PlaceOrder::place_when`.
async fn place_here(
    sim: &Sim,
    me: Me,
    request: &Rc<PlaceRequest>,
    arriving: Arriving,
    until: Micros,
) -> Result<PlaceAnswer, Lost> {
    match known_request(sim, me, request) {
        Some(known) if is_elsewhere(sim, me, known) => return Ok(PlaceAnswer::Elsewhere),
        Some(known) => return settle(sim, me, known, request, until).await,
        None => {}
    }
    let cut = match cut_arriving(sim, me, request, arriving, until).await {
        Some(Ok(cut)) => cut,
        Some(Err(NoCut::Ahead)) => return Ok(PlaceAnswer::VersionAhead),
        Some(Err(NoCut::Stale)) => {
            sim.saw(Seen::CartMoved);
            return Ok(refused("CART_VERSION_STALE"));
        }
        Some(Err(changed @ (NoCut::Empty | NoCut::TotalChanged))) => {
            // A version names what is shown: at the version that the shopper saw there is nothing else to be seen.
            sim.with(|world| world.fail(Verdict::Shown, format!("request {}: {changed:?}", request.number)));
            return Ok(PlaceAnswer::Unavailable);
        }
        None => return Ok(PlaceAnswer::Unavailable),
    };
    let id = cut.order;
    if is_elsewhere(sim, me, id) {
        return Ok(PlaceAnswer::Elsewhere);
    }
    let Some(order) = pending(sim, me, request, &cut) else { return Ok(PlaceAnswer::Unavailable) };
    let limit = sim.with(|world| world.plan.placement_limit);
    let not_after = deadline(&order, limit);
    let stored = statement(sim, |world| world.insert_pending(me.region, (&order, request), not_after));
    if let Some(fence) = stored.await? {
        let placing = Placing { state: PLAN.start(), card: Some(request.card.clone()), fence, order };
        return Ok(match turn(sim, me, placing, until).await? {
            Turn::Placed => PlaceAnswer::Placed(id),
            Turn::Rejected(refusal) => PlaceAnswer::Refused(refusal),
            Turn::Undecided => PlaceAnswer::Undecided,
            Turn::Superseded => return settle(sim, me, id, request, until).await,
        });
    }
    match known_request(sim, me, request) {
        Some(known) if is_elsewhere(sim, me, known) => return Ok(PlaceAnswer::Elsewhere),
        Some(known) => return settle(sim, me, known, request, until).await,
        None => {}
    }
    // The cut came too late to be an order.
    let abandon = move |sim, there| cart::abandon_checkout(sim, there, id);
    match call(sim, (me.region, me.region), Service::Cart, CALL_MAX, abandon).await {
        Some(Ok(())) => Ok(refused("CHECKOUT_EXPIRED")),
        _ => Ok(PlaceAnswer::Unavailable),
    }
}

fn refused(reason: &str) -> PlaceAnswer {
    PlaceAnswer::Refused(Refusal::new(RefusalKind::FailedPrecondition, reason, "refused"))
}

/// `PlaceOrder::cut_arriving`: the first step, once what the shopper saw has arrived here. None: the outcome is unknown.
async fn cut_arriving(
    sim: &Sim,
    me: Me,
    request: &PlaceRequest,
    arriving: Arriving,
    until: Micros,
) -> Option<Result<Cut, NoCut>> {
    let until_arrived = until.min(sim.now() + ARRIVAL_MAX);
    loop {
        let new_order = sim.with(|world| world.new_order_id(me.region));
        let mut asked = request.cart.clone();
        if sim.with(|world| world.removed(Sabotage::RequestKey)) {
            asked = Rc::new(Asked { request: sim.with(|world| world.number()), ..Asked::clone(&asked) });
        }
        let begin = move |sim, there| cart::begin_checkout(sim, there, asked.clone(), new_order);
        let cut = call(sim, (me.region, me.region), Service::Cart, CALL_MAX, begin).await?.ok()?;
        if !matches!((&cut, arriving), (Err(NoCut::Ahead), Arriving::Awaited)) {
            return Some(cut);
        }
        sim.saw(Seen::VersionAwaited);
        let pause = sim.random(20 * MILLISECOND..400 * MILLISECOND);
        if sim.now() + pause >= until_arrived {
            return Some(cut);
        }
        sim.sleep(pause).await;
    }
}

/// `Order::pending` of the lines that the cart cut out.
fn pending(sim: &Sim, me: Me, request: &PlaceRequest, cut: &Cut) -> Option<Order> {
    let nothing = String::new;
    let delivery = DeliveryAddress {
        recipient: nothing(),
        street: nothing(),
        city: nothing(),
        postal_code: nothing(),
        country: nothing(),
    };
    let parties = (request.customer, CartId::from_uuid(Uuid::from_u128(request.cart.cart.into())));
    let lines = cut.lines.iter().map(cut_line).collect();
    let pending = Order::pending(cut.order, Region::ALL[me.region], parties, lines, delivery, date(sim.now()));
    match pending {
        Ok(order) => Some(order),
        Err(unorderable) => {
            sim.with(|world| world.fail(Verdict::Illegal, format!("cut of {}: {unorderable}", cut.order)));
            None
        }
    }
}

/// `clients::cart::cut_line`.
fn cut_line(line: &ViewLine) -> CutLine {
    let units = |units: u64| i64::try_from(units).expect("a few units");
    let pairs = line.prices.iter().map(|(price, quantity)| (price.minor_units(), units(*quantity)));
    CutLine {
        offer: line.offer_id.clone(),
        seller: line.seller_id.clone(),
        title: line.title.clone(),
        currency: line.dearest().expect("a line has units").currency(),
        prices: Prices::new(pairs).expect("units at prices"),
    }
}

/// `PlaceOrder::is_elsewhere`: an order is driven in the region that its id names.
fn is_elsewhere(sim: &Sim, me: Me, order: OrderId) -> bool {
    order.is_foreign_to(Region::ALL[me.region]) && !sim.with(|world| world.drives_foreign_orders())
}

/// `known_request`: the order of this region, or else the one that the other region told of.
fn known_request(sim: &Sim, me: Me, request: &PlaceRequest) -> Option<OrderId> {
    sim.with(|world| {
        let is_unkeyed = world.removed(Sabotage::RequestKey);
        let orders = &world.regions[me.region].orders;
        let ours = orders.by_request.get(&request.number).copied().filter(|_| !is_unkeyed);
        let may_drive_any = world.drives_foreign_orders();
        let away = orders.decided_away.get(&request.number).copied().filter(|_| !may_drive_any);
        let known = ours.or(away);
        if known.is_some() {
            world.saw(Seen::KnownRequest);
        }
        known
    })
}

/// When the order's time is up, by its own rule.
pub(super) fn deadline(order: &Order, limit: Micros) -> Micros {
    let at = order.placement_deadline(Duration::from_micros(limit));
    let since = at.signed_duration_since(date(0)).num_microseconds().unwrap_or(i64::MAX);
    Micros::try_from(since).unwrap_or(0)
}

/// `begin::settle`: waits until it is decided, and drives it if nobody else does.
async fn settle(sim: &Sim, me: Me, id: OrderId, request: &PlaceRequest, until: Micros) -> Result<PlaceAnswer, Lost> {
    loop {
        let (state, superseded_by) = sim.with(|world| {
            let order = &world.regions[me.region].orders.rows[&id].order;
            (order.state.clone(), order.superseded_by)
        });
        if superseded_by.is_some() {
            return Ok(PlaceAnswer::Elsewhere);
        }
        match state {
            OrderState::Rejected(refusal) => return Ok(PlaceAnswer::Refused(refusal)),
            OrderState::Pending | OrderState::Compensating(_) if sim.now() < until => {}
            OrderState::Pending | OrderState::Compensating(_) => return Ok(PlaceAnswer::Undecided),
            OrderState::Placed | OrderState::Shipped | OrderState::Cancelled => return Ok(PlaceAnswer::Placed(id)),
        }
        let claimed = statement(sim, |world| world.claim_order(me.region, id)).await?;
        if let Some(claimed) = claimed
            && let Some(placing) = placing(claimed)
        {
            debug_assert_eq!(placing.order.customer, request.customer);
            turn(sim, me, placing, until).await?;
            continue;
        }
        let pause = sim.random(0..300 * MILLISECOND);
        sim.sleep(pause).await;
    }
}
