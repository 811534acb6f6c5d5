use std::time::Duration;

use chrono::Utc;
use ids::{CustomerId, Region};

use super::*;
use crate::audit::sources::inventory::{Level, Reservation};
use crate::audit::sources::orders::{Order, OrderLine, OrderState};
use crate::audit::sources::provider::Intent;
use crate::client::SessionKey;
use crate::load::carts::Cart;

/// One order of two units at 250 pence, told placed, and every store as it should be.
struct World {
    asked: Vec<Asked>,
    fates: Vec<Fate>,
    orders: Both<Orders>,
    inventory: Both<Inventory>,
    provider: Provider,
    order: OrderId,
}

fn sound() -> World {
    let key = SessionKey::from_hex(&"ab".repeat(32)).unwrap();
    let (order, cart_id) = (OrderId::generate(), CartId::generate());
    let cart = Cart {
        region: Region::East,
        session: key.mint(CustomerId::generate(), Utc::now()),
        cart_id,
        version: String::new(),
        pence: 500,
        key: "key".to_owned(),
    };
    let told = Told::Placed { order, total: Some(500) };
    let asked = Asked { cart, due: Duration::ZERO, latency: Duration::ZERO, told, repeats: 0 };
    let (offer, prices) = ("mug".to_owned(), Vec::new());
    let line = OrderLine { offer, unit_price_minor: 250, quantity: 2, prices, returned_quantity: 0 };
    let stored = Order {
        customer: CustomerId::generate(),
        key: "key".to_owned(),
        state: OrderState::Shipped,
        home_region: "east".to_owned(),
        cart: cart_id,
        currency: "GBP".to_owned(),
        total_minor: 500,
        line_count: 1,
        captured: true,
        refunded_minor: 0,
        is_driven: false,
        is_due_to_ship: false,
        lines: vec![line],
    };
    let intent = Intent {
        account: "east".to_owned(),
        reference: order.to_string(),
        amount_minor: 500,
        currency: "GBP".to_owned(),
        authorisations: 1,
        captures: vec![500],
        cancellations: 0,
    };
    let lines = BTreeMap::from([("mug".to_owned(), 2)]);
    let mut world = World {
        asked: vec![asked],
        fates: vec![Fate::Stands(order)],
        orders: Both::default(),
        inventory: Both::default(),
        provider: Provider::default(),
        order,
    };
    world.orders.east.orders.insert(order, stored);
    let reservation = Reservation { state: ReservationState::Committed, lines };
    world.inventory.east.reservations.insert(order, reservation);
    world.inventory.east.levels.insert("mug".to_owned(), Level { available: 8, reserved: 0, sold: 12 });
    world.provider.intents.insert("pi_1".to_owned(), intent);
    world
}

/// What each judge names, by the judge.
fn named(world: &World) -> Vec<(&'static str, String)> {
    let outcomes = Outcomes::new(&world.asked, &world.fates);
    let sold_before = BTreeMap::from([("mug".to_owned(), 10)]);
    let orders = world.orders.as_ref();
    let judged = [
        ("acknowledged", acknowledged(outcomes)),
        ("placed once", placed_once(outcomes, orders)),
        ("charged once", charged_once(outcomes, &world.provider, false)),
        ("stock", stock_once(outcomes, orders, world.inventory.as_ref(), &sold_before)),
    ];
    judged.iter().flat_map(|(judge, it)| it.offenders().iter().map(|row| (*judge, row.clone()))).collect()
}

fn fails(judge: &str, word: &str, doctor: impl FnOnce(&mut World)) {
    let mut world = sound();
    doctor(&mut world);
    let named = named(&world);
    assert!(named.iter().any(|(which, row)| *which == judge && row.contains(word)), "{word:?} of {judge} in {named:?}");
}

#[test]
fn a_sound_system_offends_nobody() {
    assert_eq!(named(&sound()), []);
}

#[test]
fn each_broken_promise_is_named_by_its_judge() {
    fails("acknowledged", "is placed; now it is", |world| world.fates[0] = Fate::Refused("gone".to_owned()));
    fails("acknowledged", "nobody can tell", |world| world.fates[0] = Fate::Unknown("pending".to_owned()));
    fails("acknowledged", "was told no", |world| world.asked[0].told = Told::Refused("402".to_owned()));
    fails("placed once", "the stores have orders", |world| {
        let twin = world.orders.east.orders[&world.order].clone();
        world.orders.west.orders.insert(OrderId::generate(), twin);
    });
    fails("placed once", "the stores have orders {}", |world| world.orders.east.orders.clear());
    fails("charged once", "took [500, 500]", |world| {
        let twin = world.provider.intents["pi_1"].clone();
        world.provider.intents.insert("pi_2".to_owned(), twin);
    });
    fails("charged once", "authorised 2 times", |world| {
        let twin = Intent { captures: Vec::new(), ..world.provider.intents["pi_1"].clone() };
        world.provider.intents.insert("pi_2".to_owned(), twin);
    });
    fails("charged once", "took []", |world| world.provider.intents.clear());
    fails("stock", "its reservation is", |world| world.inventory.east.reservations.clear());
    fails("stock", "3 left the stock", |world| world.inventory.east.levels.get_mut("mug").unwrap().sold = 13);
}

#[test]
fn a_charge_of_less_passes_only_where_the_provider_is_known_for_it() {
    let mut world = sound();
    world.provider.intents.get_mut("pi_1").unwrap().captures = vec![499];
    let judged = |short_allowed| {
        let outcomes = Outcomes::new(&world.asked, &world.fates);
        charged_once(outcomes, &world.provider, short_allowed).offenders().len()
    };
    assert_eq!((judged(true), judged(false)), (0, 1));
    world.provider.intents.get_mut("pi_1").unwrap().captures = vec![501];
    let more = charged_once(Outcomes::new(&world.asked, &world.fates), &world.provider, true);
    assert!(more.offenders()[0].contains("took [501]"), "{more:?}");
}

fn deliveries(handled: u64, duplicates: u64, dead: u64) -> Deliveries {
    let consumer = (Region::East, "inventory".to_owned());
    let counted = BTreeMap::from([(consumer.clone(), Counts { handled, duplicates, dead })]);
    let (before, after) = (BTreeMap::from([(consumer.clone(), 90)]), BTreeMap::from([(consumer, 100)]));
    Deliveries::new(counted, &before, &after)
}

#[test]
fn an_effect_beyond_the_distinct_events_is_named() {
    assert_eq!(applied_once(&deliveries(10, 3, 0)).offenders(), [] as [&str; 0]);
    // A killed process takes its last counts with it.
    assert_eq!(applied_once(&deliveries(7, 3, 0)).offenders(), [] as [&str; 0]);
    let repeated = applied_once(&deliveries(11, 0, 0));
    assert!(repeated.offenders()[0].contains("acted 11 times on 10 events"), "{repeated:?}");
    assert!(applied_once(&deliveries(10, 0, 1)).offenders()[0].contains("gave up 1"));
}

#[test]
fn redelivery_must_have_been_seen() {
    assert_eq!(deliveries(10, 0, 0).redelivered(), 0);
    assert_eq!(deliveries(10, 3, 0).redelivered(), 3);
    assert_eq!(deliveries(12, 0, 0).redelivered(), 2);
    assert!(format!("{:?}", redelivered(&deliveries(10, 0, 0))).contains("no event was seen"));
}
