//! Shoppers: each fills a cart, orders what it shows under a key, repeats what is not answered, in either region, and may cancel or send things
//! back. Some do it from two devices at once, and edit the cart meanwhile.

use std::rc::Rc;

use cart::domain::{Edit, Item, Snapshot};
use ids::{CustomerId, OrderId};
use money::Money;
use order::domain::{CardToken, OrderState, Refusal, ReturnLine};
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::services::cart as carts;
use crate::services::order::{self as service, PlaceAnswer, PlaceRequest};
use crate::stores::carts::{Asked, Shown};
use crate::stores::stock::OFFERS;
use crate::world::{RegionId, Service, World, home_of};
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// How long a request waits, in the service and outside it.
const PATIENCE: Micros = 3 * SECOND;

/// Somebody with a cart.
#[derive(Clone, Copy)]
struct Shopper {
    customer: CustomerId,
    cart: u64,
}

/// One shopper's day.
pub async fn shop(sim: Sim, number: u64) {
    let (begin, region, shopper) = sim.with(|world| {
        let begin = world.rng.random_range(0..world.plan.heal_at);
        let (region, home) = (some_region(world), some_region(world));
        (begin, region, Shopper { customer: world.new_customer_id(home), cart: number })
    });
    sim.sleep(begin / 2).await;
    sim.with(|world| fill(world, shopper));
    // By then the other region has it, or not yet.
    sim.sleep(begin / 2).await;
    if sim.random(0..3) == 0 {
        also_from_another_device(&sim, shopper);
    }
    day(&sim, region, shopper).await;
    sim.with(|world| world.told.shopping -= 1);
}

async fn day(sim: &Sim, region: RegionId, shopper: Shopper) {
    if sim.random(0..4) == 0 {
        edit(sim, shopper).await;
    }
    let Some(request) = looks_and_wants(sim, region, shopper).await else { return };
    if sim.random(0..3) == 0 {
        // Impatient: sends the same request twice at once, such as over two networks.
        let (again, sim_again, region) = (request.clone(), sim.clone(), sim.with(some_region));
        sim.spawn(async move { drop(ask(&sim_again, region, again).await) });
    }
    let repeated = request.clone();
    if sim.random(0..3) == 0 {
        // At any delay, such as a browser that is opened again; whatever has been answered, or may be.
        beside(sim, move |later| async move {
            let pause = later.random(0..12 * SECOND);
            later.sleep(pause).await;
            let region = later.with(some_region);
            order(&later, region, shopper, &repeated).await;
        });
    }
    let placed = order(sim, region, shopper, &request).await;
    if let Some(id) = placed {
        match sim.random(0..5) {
            0 | 1 => cancel(sim, region, id).await,
            2 | 3 => give_back(sim, region, id).await,
            _ => {}
        }
    }
}

/// Something more that a shopper does, at the same time.
fn beside<F: Future<Output = ()> + 'static>(sim: &Sim, what: impl FnOnce(Sim) -> F + 'static) {
    sim.with(|world| world.told.shopping += 1);
    let sim = sim.clone();
    sim.clone().spawn(async move {
        what(sim.clone()).await;
        sim.with(|world| world.told.shopping -= 1);
    });
}

/// Edits the same cart from another device, and orders what that shows, under a key of its own, wherever it is connected.
fn also_from_another_device(sim: &Sim, shopper: Shopper) {
    beside(sim, move |sim| async move {
        let pause = sim.random(0..2 * SECOND);
        sim.sleep(pause).await;
        edit(&sim, shopper).await;
        let region = sim.with(some_region);
        if let Some(request) = looks_and_wants(&sim, region, shopper).await {
            order(&sim, region, shopper, &request).await;
        }
    });
}

fn some_region(world: &mut World) -> RegionId {
    world.rng.random_range(0..world.plan.regions)
}

/// What is in the cart from earlier. It may be on its way to the other region still.
fn fill(world: &mut World, shopper: Shopper) {
    let at = some_region(world);
    for (nth, offer) in OFFERS.into_iter().enumerate() {
        if nth == 0 || world.rng.random_bool(0.4) {
            // The price may have changed between the adds.
            for _ in 0..world.rng.random_range(1..3) {
                let (item, change) = some_units(world, shopper, (nth, offer));
                let key = world.number();
                world.edit(at, (key, shopper.cart), &item, &change);
            }
        }
    }
}

/// Units at a price that no others of the cart have.
fn some_units(world: &mut World, shopper: Shopper, (nth, offer): (usize, &str)) -> (Item, Edit) {
    let adds = world.histories.get(&shopper.cart).map_or(0, |history| history.asked);
    world.histories.entry(shopper.cart).or_default().asked += 1;
    let price = 1 + world.rng.random_range(0..20) + 20 * i64::try_from(adds).expect("a few");
    let units = world.rng.random_range(1..3_i64).try_into().expect("within bounds");
    let snapshot = Snapshot {
        unit_price: Money::new(price, "GBP".parse().expect("a currency")),
        seller_id: ["potter", "turner"][nth % 2].parse().expect("a literal"),
        title: String::new(),
    };
    (Item(offer.parse().expect("a literal")), Edit::Add(units, snapshot))
}

/// Adds units, or removes a line, in either region, and repeats it there until it is answered or given up.
async fn edit(sim: &Sim, shopper: Shopper) {
    let (region, named, (item, change)) = sim.with(|world| {
        let nth = world.rng.random_range(0..OFFERS.len());
        let edit = match world.rng.random_range(0..3) {
            0 => (Item(OFFERS[nth].parse().expect("a literal")), Edit::Remove(None)),
            _ => some_units(world, shopper, (nth, OFFERS[nth])),
        };
        (some_region(world), (world.number(), shopper.cart), edit)
    });
    for _ in 0..5 {
        let (item, change) = (item.clone(), change.clone());
        let edit = move |sim, there| carts::edit(sim, there, named, item.clone(), change.clone());
        if let Some(Ok(())) = call(sim, (region, region), Service::Cart, SECOND, edit).await {
            return;
        }
    }
}

/// What the shopper asks for who looks at the cart. None when it cannot be seen, or shows nothing.
async fn looks_and_wants(sim: &Sim, mut region: RegionId, shopper: Shopper) -> Option<Rc<PlaceRequest>> {
    for _ in 0..10 {
        let cart = shopper.cart;
        let read = move |sim, there| carts::read(sim, there, cart);
        if let Some(shown) = call(sim, (region, region), Service::Cart, SECOND, read).await.flatten() {
            return sim.with(|world| wanted(world, shopper, &shown));
        }
        let pause = sim.random(100 * MILLISECOND..SECOND);
        sim.sleep(pause).await;
        region = sim.with(some_region);
    }
    None
}

fn wanted(world: &mut World, shopper: Shopper, shown: &Shown) -> Option<Rc<PlaceRequest>> {
    if shown.lines.is_empty() {
        return None;
    }
    let (number, names_total) = (world.number(), world.rng.random_bool(0.5));
    let asked = Asked {
        request: number,
        cart: shopper.cart,
        version: shown.version.clone(),
        expected_total: shown.total().filter(|_| names_total),
    };
    let card =
        ["tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_chargeDeclined"].choose(&mut world.rng);
    let card = CardToken::new(card.copied().unwrap_or_default().to_owned());
    let (cart, shown) = (Rc::new(asked), shown.lines.clone());
    Some(Rc::new(PlaceRequest { number, card, customer: shopper.customer, cart, shown }))
}

/// Repeats the request until it is answered, or gives up. A repeat may go to the other region. The order, if the shopper learns that it is
/// placed.
async fn order(sim: &Sim, mut region: RegionId, shopper: Shopper, request: &Rc<PlaceRequest>) -> Option<OrderId> {
    let mut is_new_key_to_try = sim.random(0..2) == 0;
    let tries_max = [1, 3, 40][sim.random(0..3)];
    for _ in 0..tries_max {
        match ask(sim, region, request.clone()).await {
            PlaceAnswer::Placed(id) => {
                sim.with(|world| world.told_placed(id));
                return Some(id);
            }
            PlaceAnswer::Refused(refusal) => {
                sim.with(|world| told_refused(world, region, request.number, &refusal));
                return None;
            }
            PlaceAnswer::HomeUnreachable => {
                sim.with(|world| told_unreachable(world, region, request.number));
                if std::mem::take(&mut is_new_key_to_try) {
                    orders_anew(sim, region, shopper, request);
                }
            }
            PlaceAnswer::Undecided | PlaceAnswer::Unavailable | PlaceAnswer::Elsewhere | PlaceAnswer::VersionAhead => {}
        }
        let pause = sim.random(100 * MILLISECOND..SECOND);
        sim.sleep(pause).await;
        if sim.random(0..3) == 0 {
            region = sim.with(some_region);
        }
    }
    None
}

/// The home cannot be asked what became of the request: the shopper orders the same again where they are, under a new key.
fn orders_anew(sim: &Sim, region: RegionId, shopper: Shopper, request: &Rc<PlaceRequest>) {
    let number = sim.with(World::number);
    let cart = Rc::new(Asked { request: number, ..Asked::clone(&request.cart) });
    let anew = Rc::new(PlaceRequest { number, cart, ..PlaceRequest::clone(request) });
    beside(sim, move |sim| async move {
        order(&sim, region, shopper, &anew).await;
    });
}

async fn ask(sim: &Sim, region: RegionId, request: Rc<PlaceRequest>) -> PlaceAnswer {
    let until = sim.now() + PATIENCE;
    let place = move |sim, me| service::place(sim, me, request.clone(), until);
    call(sim, (region, region), Service::Order, PATIENCE, place).await.unwrap_or(PlaceAnswer::Unavailable)
}

async fn cancel(sim: &Sim, region: RegionId, id: OrderId) {
    let pause = sim.random(0..3 * SECOND);
    sim.sleep(pause).await;
    for _ in 0..10 {
        let cancel = move |sim, me| service::cancel(sim, me, id);
        match call(sim, (region, region), Service::Order, PATIENCE, cancel).await.flatten() {
            Some(true) => {
                sim.with(|world| world.told.cancelled.insert(id));
                return;
            }
            Some(false) => return,
            None => {}
        }
    }
}

/// Sends some of it back, in up to three requests at once, each repeated until it is answered.
async fn give_back(sim: &Sim, region: RegionId, id: OrderId) {
    for _ in 0..20 {
        let pause = sim.random(500 * MILLISECOND..2 * SECOND);
        sim.sleep(pause).await;
        if sim.with(|world| world.regions[home_of(id)].orders.rows[&id].order.state == OrderState::Shipped) {
            break;
        }
    }
    for _ in 0..sim.random(1..4) {
        let lines = sim.with(|world| some_lines(world, id));
        let (number, shopper) = (sim.with(World::number), sim.clone());
        sim.with(|world| world.told.shopping += 1);
        sim.spawn(async move {
            send_back(&shopper, region, (id, number), lines).await;
            shopper.with(|world| world.told.shopping -= 1);
        });
    }
}

async fn send_back(sim: &Sim, region: RegionId, named: (OrderId, u64), lines: Rc<Vec<ReturnLine>>) {
    for _ in 0..5 {
        let lines = lines.clone();
        let take_back = move |sim, me| service::take_back(sim, me, named, lines.clone());
        match call(sim, (region, region), Service::Order, PATIENCE, take_back).await {
            Some(Ok(Ok(refund))) => {
                sim.with(|world| world.told.returned.insert(refund));
                return;
            }
            Some(Ok(Err(_))) => return,
            Some(Err(_)) | None => {}
        }
    }
}

fn some_lines(world: &mut World, id: OrderId) -> Rc<Vec<ReturnLine>> {
    let order = &world.regions[home_of(id)].orders.rows[&id].order;
    let is_whole = world.rng.random_bool(0.5);
    let lines = order.lines.iter().enumerate().filter(|(nth, _)| is_whole || *nth == 0).map(|(_, line)| {
        let quantity = if is_whole { line.quantity() } else { world.rng.random_range(1..=line.quantity()) };
        ReturnLine { offer: line.offer.clone(), quantity }
    });
    Rc::new(lines.collect())
}

/// A refusal is final: whoever was told of it has no order under this key. (But a region that decides in the stead of a home that it
/// cannot reach cannot know what the home refused.)
fn told_refused(world: &mut World, region: RegionId, number: u64, refusal: &Refusal) {
    if let Some(order) = world.told.order_of.get(&number)
        && !world.told.away.contains(&number)
    {
        let what = format!("request {number} was told of {order} and then: {refusal}");
        world.fail(Verdict::Acknowledged, what);
    }
    let now = world.now;
    if let Some((first, _)) = world.told.refused.get(&number) {
        if *first != region {
            world.saw(Seen::RefusedAgain);
        }
    } else {
        world.told.refused.insert(number, (region, now));
    }
    world.saw(match refusal.reason.as_str() {
        "CARD_DECLINED" => Seen::Declined,
        "OUT_OF_STOCK" => Seen::OutOfStock,
        "PLACEMENT_TIMED_OUT" => Seen::TimedOut,
        _ => return,
    });
}

/// Nothing was started in the region that could not ask the home.
fn told_unreachable(world: &mut World, region: RegionId, number: u64) {
    world.saw(Seen::HomeUnreachable);
    let order = world.regions[region].orders.by_request.get(&number).copied();
    if let Some(order) = order.filter(|_| !world.told.away.contains(&number)) {
        let what =
            format!("request {number} was told that its home is unreachable, and region {region} made {order} of it");
        world.fail(Verdict::Acknowledged, what);
    }
}

impl World {
    /// From here on the order must be there for ever.
    pub fn told_placed(&mut self, id: OrderId) {
        let region = home_of(id);
        let row = self.regions[region].orders.rows.get(&id).map(|row| (row.request, row.order.created_at));
        let Some((request, created_at)) = row else {
            return self.fail(Verdict::Acknowledged, format!("order {id} was acknowledged and is not there"));
        };
        let is_away = self.told.away.contains(&request);
        if let Some(first) = self.told.order_of.insert(request, id).filter(|first| *first != id && !is_away) {
            self.fail(Verdict::Acknowledged, format!("request {request} was told of {first} and then of {id}"));
        }
        if let Some((by, at)) = self.told.refused.get(&request).copied()
            && (!is_away || (by == region && created_at > crate::world::date(at)))
        {
            let what = format!("request {request} was refused by region {by} and then became {id} in region {region}");
            self.fail(Verdict::Acknowledged, what);
        }
        self.told.placed.insert(id, request);
        self.touch(region, id);
    }
}
