//! A small sound system for the tests, which doctor it and see the checks fail.
//!
//! Home in east: an order of two teapots and a cup, shipped, captured, the cup returned; and an order of a cup, placed. Home in west:
//! an order of a teapot, cancelled; and one that the card declined. East gave west three cups. The carts are in both regions.

use std::collections::BTreeMap;

use crdt::ReplicaId;
use crdt::codec::{encode_address, encode_context, encode_delta, encode_line};
use ids::{CartId, CustomerId, EventId, OrderId, RefundId, Region, TransferId};
use uuid::Uuid;

use super::carts::{Address, Cut, Snapshot, State};
use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::Stores;
use crate::audit::sources::carts::{Carts, Checkout, CheckoutState, Logged, Mend, Shown, StoredCart};
use crate::audit::sources::events::{Events, Odd, Topic};
use crate::audit::sources::inventory::{
    Inventory, Level, Reservation, ReservationState, TransferIn, TransferOut, Units,
};
use crate::audit::sources::link::Link;
use crate::audit::sources::orders::{Order, OrderLine, OrderState, Orders, Return, ReturnState};
use crate::audit::sources::payments::{Entry, Payment, PaymentState, Payments, Posting, Refund, RefundState};
use crate::audit::sources::provider::{Intent, Provider, ProviderRefund};
use crate::platform::TOPICS;

/// All stores, and the ids of what is in them.
pub struct World {
    pub orders: Both<Orders>,
    pub payments: Both<Payments>,
    pub inventory: Both<Inventory>,
    pub carts: Both<Carts>,
    pub events: Both<Events>,
    pub provider: Provider,
    pub link: Link,
    pub shipped: OrderId,
    pub placed: OrderId,
    pub cancelled: OrderId,
    pub rejected: OrderId,
    pub refund: RefundId,
    pub transfer: TransferId,
}

impl World {
    /// As if all of it had been read.
    pub fn stores(self) -> Stores {
        let Self { orders, payments, inventory, carts, events, provider, link, .. } = self;
        Stores {
            orders: Both { east: Ok(orders.east), west: Ok(orders.west) },
            payments: Both { east: Ok(payments.east), west: Ok(payments.west) },
            inventory: Both { east: Ok(inventory.east), west: Ok(inventory.west) },
            carts: Both { east: Ok(carts.east), west: Ok(carts.west) },
            events: Both { east: Ok(events.east), west: Ok(events.west) },
            provider: Ok(provider),
            link,
        }
    }
}

/// Some offending row has all these words.
pub fn assert_named(examined: &Examined, words: &[&str]) {
    let has_all = |row: &String| words.iter().all(|word| row.contains(word));
    assert!(examined.offenders().iter().any(has_all), "{words:?} not in {:#?}", examined.offenders());
}

/// The same every time: ids are numbered.
pub fn sound() -> World {
    let order = |number| OrderId::from_uuid(Uuid::from_u128(number));
    let (shipped, placed, cancelled, rejected) = (order(1), order(2), order(3), order(4));
    let refund = RefundId::from_uuid(Uuid::from_u128(5));
    let transfer = TransferId::from_uuid(Uuid::from_u128(6));
    let mut world = World {
        orders: Both::default(),
        payments: Both::default(),
        inventory: stock(transfer),
        carts: Both::default(),
        events: Both { east: silent(), west: silent() },
        provider: Provider::default(),
        link: Link::Open,
        shipped,
        placed,
        cancelled,
        rejected,
        refund,
        transfer,
    };
    let (teapots, cup, teapot) = (("teapot", 500, 2), ("cup", 300, 1), ("teapot", 500, 1));
    world.add(Region::East, shipped, OrderState::Shipped, &[teapots, cup]);
    world.add(Region::East, placed, OrderState::Placed, &[cup]);
    world.add(Region::West, cancelled, OrderState::Cancelled, &[teapot]);
    world.add(Region::West, rejected, OrderState::Rejected, &[teapot]);
    world.capture(shipped);
    world.take_back_a_cup(shipped, refund);
    world.replicate_carts();
    world
}

/// The cart of the placed order, as it was: its cup in it.
pub fn cart_before_checkout() -> StoredCart {
    stored(&filled(Region::East, &[("cup", 300, 1)]).0)
}

fn stock(transfer: TransferId) -> Both<Inventory> {
    let units = |offer: &str, units| Units::from([(offer.to_owned(), units)]);
    let level = |available, sold| Level { available, reserved: 0, sold };
    let levels = |teapot, cup| BTreeMap::from([("teapot".to_owned(), teapot), ("cup".to_owned(), cup)]);
    let to_region = "west".to_owned();
    Both {
        east: Inventory {
            levels: levels(level(8, 2), level(5, 2)),
            received: Units::from([("teapot".to_owned(), 10), ("cup".to_owned(), 10)]),
            transfers_out: [(transfer, TransferOut { to_region, granted_units: 3, granted: units("cup", 3) })].into(),
            ..Inventory::default()
        },
        west: Inventory {
            levels: levels(level(4, 0), level(3, 0)),
            received: units("teapot", 4),
            transfers_in: [(transfer, TransferIn { is_pending: false, granted: units("cup", 3) })].into(),
            ..Inventory::default()
        },
    }
}

fn silent() -> Events {
    let topics = TOPICS.map(|topic| (topic, Topic::new(Vec::new()))).into();
    Events { topics, dead_letters: TOPICS.map(|topic| (topic, Odd::default())).into() }
}

type Wanted<'a> = (&'a str, i64, i64);

/// The snapshot of an offer.
pub fn snapshot(offer: &str, price: i64) -> Snapshot {
    Snapshot {
        price_minor: price.unsigned_abs(),
        currency: "GBP".to_owned(),
        seller: "potter".to_owned(),
        title: format!("A {offer}"),
    }
}

/// A cart with an address and these lines, put together in `region`; and its log.
fn filled(region: Region, lines: &[Wanted<'_>]) -> (State, Vec<Logged>) {
    let replica = ReplicaId(region.replica());
    let mut cart = State::default();
    let address = Address(["Ada", "1 Home Lane", "", "", "France"].map(str::to_owned));
    let mut log = vec![logged(replica, "client:address", &done(cart.assign_address(replica, address)))];
    for (offer, price, quantity) in lines {
        let added = cart.add(replica, (*offer).to_owned(), quantity.unsigned_abs(), snapshot(offer, *price));
        log.push(logged(replica, &format!("client:{offer}"), &done(added)));
    }
    (cart, log)
}

pub fn done<T, E>(outcome: Result<T, E>) -> T {
    let Ok(done) = outcome else { unreachable!("a new cart has counters left") };
    done
}

pub fn logged(replica: ReplicaId, key: &str, delta: &Cut) -> Logged {
    Logged { key: key.to_owned(), replica, delta: encode_delta(delta) }
}

pub fn stored(cart: &State) -> StoredCart {
    let lines: BTreeMap<_, _> = cart.lines().map(|(offer, line)| (offer.clone(), encode_line(line))).collect();
    let line_count = i32::try_from(lines.len()).unwrap_or_default();
    let owner = CustomerId::from_uuid(Uuid::from_u128(7));
    let (context, address) = (encode_context(cart.context()), encode_address(cart.address()));
    StoredCart { owner, context, address, line_count, lines }
}

impl World {
    /// An order that went its whole way to `state`, but for the capture.
    fn add(&mut self, region: Region, id: OrderId, state: OrderState, wanted: &[Wanted<'_>]) {
        let total_minor = wanted.iter().map(|(_, price, quantity)| price * quantity).sum();
        let line = |(offer, price, quantity): &Wanted<'_>| OrderLine {
            offer: (*offer).to_owned(),
            unit_price_minor: *price,
            quantity: *quantity,
            prices: Vec::new(),
            returned_quantity: 0,
        };
        let cart = CartId::from_uuid(id.as_uuid());
        let order = Order {
            customer: CustomerId::from_uuid(Uuid::from_u128(7)),
            key: id.to_string(),
            state,
            home_region: region.name().to_owned(),
            cart,
            currency: "GBP".to_owned(),
            total_minor,
            line_count: i32::try_from(wanted.len()).unwrap_or_default(),
            captured: false,
            refunded_minor: 0,
            is_driven: false,
            is_due_to_ship: false,
            lines: wanted.iter().map(line).collect(),
        };
        self.reserve(region, id, &order);
        self.authorise(region, id, &order);
        self.check_out(region, id, state, cart, wanted);
        let said: &[&'static str] = match state {
            OrderState::Placed => &["order.placed.v1"],
            OrderState::Shipped => &["order.placed.v1", "order.shipped.v1"],
            OrderState::Cancelled => &["order.placed.v1", "order.cancelled.v1"],
            _ => &[],
        };
        said.iter().for_each(|topic| self.say(topic, id));
        self.orders.of_mut(region).orders.insert(id, order);
    }

    /// In both Kafkas, and twice in one: delivery is at least once.
    fn say(&mut self, topic: &'static str, order: OrderId) {
        let event = EventId::from_uuid(Uuid::new_v5(&order.as_uuid(), topic.as_bytes()));
        for region in Region::ALL {
            if let Some(known) = self.events.of_mut(region).topics.get_mut(topic) {
                let mut pairs = known.pairs_mut().clone();
                pairs.extend([(order, event), (order, event)]);
                *known = Topic::new(pairs);
            }
        }
    }

    fn reserve(&mut self, region: Region, id: OrderId, order: &Order) {
        let state = if matches!(order.state, OrderState::Placed | OrderState::Shipped) {
            ReservationState::Committed
        } else {
            ReservationState::Released
        };
        let lines = order.lines.iter().map(|line| (line.offer.clone(), line.quantity)).collect();
        self.inventory.of_mut(region).reservations.insert(id, Reservation { state, lines });
    }

    fn authorise(&mut self, region: Region, id: OrderId, order: &Order) {
        let is_declined = order.state == OrderState::Rejected;
        let intent = (!is_declined).then(|| format!("pi_{id}"));
        let state = match order.state {
            OrderState::Rejected => PaymentState::Declined,
            OrderState::Cancelled => PaymentState::Voided,
            _ => PaymentState::Authorised,
        };
        let payment = Payment {
            state,
            amount_minor: Some(order.total_minor),
            currency: Some(order.currency.clone()),
            intent: intent.clone(),
            refunded_minor: 0,
            short_minor: 0,
            shares_minor: order.total_minor,
        };
        self.payments.of_mut(region).payments.insert(id, payment);
        let (account, reference) = (region.name().to_owned(), id.to_string());
        match intent {
            None => self.provider.declined.push((account, reference)),
            Some(intent) => {
                let theirs = Intent {
                    account,
                    reference,
                    amount_minor: order.total_minor,
                    currency: "gbp".to_owned(),
                    authorisations: 1,
                    captures: Vec::new(),
                    cancellations: usize::from(state == PaymentState::Voided),
                };
                self.provider.intents.insert(intent, theirs);
            }
        }
    }

    fn check_out(&mut self, region: Region, order: OrderId, state: OrderState, id: CartId, wanted: &[Wanted<'_>]) {
        let replica = ReplicaId(region.replica());
        let (mut cart, mut log) = filled(region, wanted);
        let seen = encode_context(cart.context());
        let (operation, cut) = done(cart.cut(replica));
        let begun = crdt::Delta::tick(operation);
        cart.join_delta(&begun);
        log.push(logged(replica, &format!("checkout:{order}"), &begun));
        if state.was_placed() {
            cart.join_delta(&cut);
            log.push(logged(replica, &format!("ordered:{order}"), &cut));
        }
        let carts = self.carts.of_mut(region);
        carts.carts.insert(id, stored(&cart));
        carts.log.insert(id, log);
        let state = if state.was_placed() { CheckoutState::Ordered } else { CheckoutState::Abandoned };
        let cut = encode_delta(&cut);
        let ordered = wanted.iter().map(|(offer, _, quantity)| ((*offer).to_owned(), *quantity)).collect();
        let shown = |(offer, price, quantity): &Wanted<'_>| Shown {
            offer: (*offer).to_owned(),
            quantity: *quantity,
            amount_minor: i128::from(price * quantity),
            currency: "GBP".to_owned(),
        };
        let shown = Some(Ok(wanted.iter().map(shown).collect()));
        let begun_here = true;
        let checkout =
            Checkout { cart: id, state, begun_here, cut, operation, seen, is_overdue: false, ordered, shown };
        carts.checkouts.insert(order, checkout);
    }

    /// The checkout of the placed order arrived undecided, with its cut; the others settled, without.
    fn replicate_carts(&mut self) {
        for region in Region::ALL {
            let Carts { carts, checkouts, .. } = self.carts.of(region).clone();
            let begun_here = checkouts.into_iter().filter(|(_, checkout)| checkout.begun_here);
            let replicas = begun_here.map(|(order, checkout)| {
                let cut = if order == self.placed { checkout.cut } else { Vec::new() };
                (order, Checkout { begun_here: false, cut, shown: None, ..checkout })
            });
            let replicas: Vec<_> = replicas.collect();
            let peer = self.carts.of_mut(region.peer());
            peer.carts.extend(carts);
            peer.checkouts.extend(replicas);
        }
    }

    /// What a person noted who mended the cart of an order.
    pub fn mend(&self, order: OrderId, value: String, outcome: &str) -> Mend {
        let cart = self.carts.east.checkouts[&order].cart;
        Mend {
            cart_id: cart.as_uuid(),
            value,
            outcome: outcome.to_owned(),
            at: chrono::DateTime::UNIX_EPOCH,
            by: "ann".to_owned(),
            reason: "a test".to_owned(),
        }
    }

    /// The other region drives an order of `east` as if it were its own, and charges it through its own account.
    pub fn drive_again(&mut self, id: OrderId, region: Region) {
        let order = self.orders.east.orders[&id].clone();
        self.reserve(region, id, &order);
        let payment = Payment { intent: Some(format!("pi_{id}_again")), ..self.payments.east.payments[&id].clone() };
        let account = region.name().to_owned();
        let theirs = Intent { account, ..self.provider.intents[&format!("pi_{id}")].clone() };
        self.provider.intents.extend(payment.intent.clone().map(|intent| (intent, theirs)));
        self.payments.of_mut(region).payments.insert(id, payment);
        self.orders.of_mut(region).orders.insert(id, order);
    }

    fn capture(&mut self, id: OrderId) {
        let Some(payment) = self.payments.east.payments.get_mut(&id) else { return };
        payment.state = PaymentState::Captured;
        let amount = payment.amount_minor.unwrap_or_default();
        let commission = amount / 10;
        self.book(1, id, None, &[amount, commission - amount, -commission]);
        if let Some(intent) = self.provider.intents.get_mut(&format!("pi_{id}")) {
            intent.captures.push(amount);
        }
        if let Some(order) = self.orders.east.orders.get_mut(&id) {
            order.captured = true;
        }
        self.say("payment.captured.v1", id);
    }

    fn take_back_a_cup(&mut self, id: OrderId, refund: RefundId) {
        let (state, lines) = (ReturnState::Refunded, vec![("cup".to_owned(), 1)]);
        let line_amounts_minor = BTreeMap::new();
        let taken_back =
            Return { order: id, state, amount_minor: 300, paid_minor: Some(300), lines, line_amounts_minor };
        self.orders.east.returns.insert(refund, taken_back);
        if let Some(order) = self.orders.east.orders.get_mut(&id) {
            order.refunded_minor = 300;
            order.lines.iter_mut().filter(|line| line.offer == "cup").for_each(|line| line.returned_quantity = 1);
        }
        if let Some(payment) = self.payments.east.payments.get_mut(&id) {
            payment.refunded_minor = 300;
        }
        let receipt = Some("re_1".to_owned());
        let paid = Refund { order: id, state: RefundState::Succeeded, amount_minor: 300, unpaid_minor: 0, receipt };
        self.payments.east.refunds.insert(refund, paid);
        self.book(2, id, Some(refund), &[-300, 270, 30]);
        self.provider.refunds.push(ProviderRefund {
            account: "east".to_owned(),
            id: "re_1".to_owned(),
            reference: refund.to_string(),
            intent: format!("pi_{id}"),
            amount_minor: 300,
        });
        self.say("payment.refunded.v1", id);
    }

    /// An entry, its first posting to psp_receivable.
    fn book(&mut self, number: u128, order: OrderId, refund: Option<RefundId>, amounts: &[i64]) {
        let posting = |(position, amount): (usize, &i64)| Posting {
            is_psp_receivable: position == 0,
            amount_minor: *amount,
            currency: "GBP".to_owned(),
        };
        let postings = amounts.iter().enumerate().map(posting).collect();
        let entry = Entry { order, refund, currency: "GBP".to_owned(), postings };
        self.payments.east.entries.insert(Uuid::from_u128(number), entry);
    }
}
