//! Shoppers: each orders once, under one key, repeats what is not answered, and may cancel or send things back.

use std::rc::Rc;

use ids::{CartId, CustomerId, OrderId, Region};
use money::Money;
use order::domain::{CardToken, DeliveryAddress, Order, OrderLine, OrderState, Prices, Refusal, ReturnLine};
use rand::Rng;
use rand::seq::IndexedRandom;
use uuid::Uuid;

use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::services::order::{self as service, PlaceAnswer, PlaceRequest};
use crate::stores::stock::OFFERS;
use crate::world::{RegionId, Service, World};
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// How long a request waits, in the service and outside it.
const PATIENCE: Micros = 3 * SECOND;

/// One shopper's day.
pub async fn shop(sim: Sim, number: u64) {
    let (begin, region, request) = sim.with(|world| {
        let begin = world.rng.random_range(0..world.plan.heal_at);
        let region = world.rng.random_range(0..world.plan.regions);
        (begin, region, Rc::new(request(world, region, number)))
    });
    sim.sleep(begin).await;
    if sim.random(0..10) == 0 {
        // Impatient: sends the same request twice at once.
        let (again, sim_again) = (request.clone(), sim.clone());
        sim.spawn(async move { drop(ask(&sim_again, region, again).await) });
    }
    let placed = order(&sim, region, &request).await;
    if let Some(id) = placed {
        match sim.random(0..5) {
            0 => cancel(&sim, region, id).await,
            1 | 2 => give_back(&sim, region, id).await,
            _ => {}
        }
    }
    sim.with(|world| world.told.shopping -= 1);
}

/// Repeats the request until it is answered, or gives up. The order, if the shopper learns that it is placed.
async fn order(sim: &Sim, region: RegionId, request: &Rc<PlaceRequest>) -> Option<OrderId> {
    let tries_max = [1, 3, 40][sim.random(0..3)];
    for _ in 0..tries_max {
        match ask(sim, region, request.clone()).await {
            PlaceAnswer::Placed(id) => {
                sim.with(|world| world.told_placed(region, id));
                return Some(id);
            }
            PlaceAnswer::Refused(refusal) => {
                sim.with(|world| told_refused(world, request.number, &refusal));
                return None;
            }
            PlaceAnswer::Undecided | PlaceAnswer::Unavailable => {
                let pause = sim.random(100 * MILLISECOND..SECOND);
                sim.sleep(pause).await;
            }
        }
    }
    None
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
        if sim.with(|world| world.regions[region].orders.rows[&id].order.state == OrderState::Shipped) {
            break;
        }
    }
    for _ in 0..sim.random(1..4) {
        let lines = sim.with(|world| some_lines(world, region, id));
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

fn some_lines(world: &mut World, region: RegionId, id: OrderId) -> Rc<Vec<ReturnLine>> {
    let order = &world.regions[region].orders.rows[&id].order;
    let is_whole = world.rng.random_bool(0.5);
    let lines = order.lines.iter().enumerate().filter(|(nth, _)| is_whole || *nth == 0).map(|(_, line)| {
        let quantity = if is_whole { line.quantity() } else { world.rng.random_range(1..=line.quantity()) };
        ReturnLine { offer: line.offer.clone(), quantity }
    });
    Rc::new(lines.collect())
}

fn request(world: &mut World, region: RegionId, number: u64) -> PlaceRequest {
    let currency = "GBP".parse().expect("a currency");
    let mut lines = Vec::new();
    for (nth, offer) in OFFERS.iter().enumerate() {
        if nth == 0 || world.rng.random_bool(0.4) {
            let (price, quantity): (i64, i64) = (world.rng.random_range(1..500), world.rng.random_range(1..4));
            // The price may have changed between the adds. No dice are thrown for it: seeds keep their histories.
            let pairs = match quantity {
                2.. if price % 3 == 0 => vec![(price, 1), (price + 7, quantity - 1)],
                _ => vec![(price, quantity)],
            };
            lines.push(OrderLine {
                offer: offer.parse().expect("a literal"),
                seller: ["potter", "turner"][nth % 2].parse().expect("a literal"),
                title: String::new(),
                prices: Prices::new(pairs).expect("units at prices"),
                returned_quantity: 0,
            });
        }
    }
    let total = lines.iter().map(|line| line.prices.worth_minor().expect("small amounts")).sum();
    let card =
        ["tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_chargeDeclined"].choose(&mut world.rng);
    let card = CardToken::new(card.copied().unwrap_or_default().to_owned());
    let nothing = String::new;
    let draft = Order {
        id: OrderId::from_uuid(Uuid::nil()),
        customer: CustomerId::from_uuid(Uuid::from_u128(number.into())),
        cart: CartId::from_uuid(Uuid::from_u128(number.into())),
        home_region: Region::ALL[region],
        state: OrderState::Pending,
        lines,
        total: Money::new(total, currency),
        captured: false,
        refunded_minor: 0,
        delivery: DeliveryAddress {
            recipient: nothing(),
            street: nothing(),
            city: nothing(),
            postal_code: nothing(),
            country: nothing(),
        },
        created_at: crate::world::date(0),
        superseded_by: None,
    };
    PlaceRequest { number, card, draft }
}

/// A refusal is final: whoever was told of it has no order under this key.
fn told_refused(world: &mut World, number: u64, refusal: &Refusal) {
    if let Some(order) = world.told.order_of.get(&number) {
        let what = format!("request {number} was told of {order} and then: {refusal}");
        world.fail(Verdict::Acknowledged, what);
    }
    world.saw(match refusal.reason.as_str() {
        "CARD_DECLINED" => Seen::Declined,
        "OUT_OF_STOCK" => Seen::OutOfStock,
        "PLACEMENT_TIMED_OUT" => Seen::TimedOut,
        _ => return,
    });
}

impl World {
    /// From here on the order must be there for ever.
    pub fn told_placed(&mut self, region: RegionId, id: OrderId) {
        let row = self.regions[region].orders.rows.get(&id).map(|row| row.request);
        let Some(request) = row else {
            return self.fail(Verdict::Acknowledged, format!("order {id} was acknowledged and is not there"));
        };
        if let Some(first) = self.told.order_of.insert(request, id).filter(|first| *first != id) {
            self.fail(Verdict::Acknowledged, format!("request {request} was told of {first} and then of {id}"));
        }
        self.told.placed.insert(id, request);
        self.touch(region, id);
    }
}
