//! One request is one order, wherever it is repeated: what the region that is not the home does.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::status::{self, reasons};
use contracts::order::v1 as wire;
use contracts::order::v1::order_service_server::OrderService as _;
use ids::{CustomerId, OrderId, Region};
use order::domain::{Fate, Link, OrderState};
use order::grpc::{OrderGrpc, PeerOrders};
use order::sagas::CallError;
use order::sagas::one_intention::{Home, OneIntention};
use order::store::Untold;
use sqlx::PgPool;
use support::{App, Method, cut_line, migrate};
use tonic::{Code, Request, Status, async_trait};
use uuid::Uuid;

const HERE: Region = Region::West;
const THERE: Region = Region::East;

/// The other region's order service: answers as it is told to, and counts what it is asked.
struct Peer {
    link: Mutex<Link>,
    answers: Mutex<VecDeque<Result<wire::Order, Status>>>,
    /// What it has of the customer's orders, newest first.
    orders: Mutex<Vec<wire::Order>>,
    /// Its order of the request that is reported.
    own: Mutex<Option<(OrderId, Fate)>>,
    asked: Mutex<Vec<&'static str>>,
}

impl Peer {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            link: Mutex::new(Link::Up),
            answers: Mutex::default(),
            orders: Mutex::default(),
            own: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    fn answers(&self, answer: Result<wire::Order, Status>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn set_link(&self, link: Link) {
        *self.link.lock().unwrap() = link;
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer(&self, what: &'static str) -> Result<Option<wire::Order>, Status> {
        self.asked.lock().unwrap().push(what);
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Err(silence())).map(Some)
    }
}

/// What the real client makes of an answer that never came.
fn silence() -> Status {
    status::unavailable("HOME_REGION_UNREACHABLE", "region east cannot be reached", Duration::from_secs(2))
}

#[async_trait]
impl PeerOrders for Peer {
    fn region(&self) -> Region {
        THERE
    }

    fn link(&self) -> Link {
        *self.link.lock().unwrap()
    }

    async fn place_order(&self, _: wire::PlaceOrderRequest, _: Duration) -> Result<wire::PlaceOrderResponse, Status> {
        Ok(wire::PlaceOrderResponse { order: self.answer("place")? })
    }

    async fn get_order(&self, _: wire::GetOrderRequest, _: Duration) -> Result<wire::GetOrderResponse, Status> {
        Ok(wire::GetOrderResponse { order: self.answer("get")? })
    }

    async fn list_orders(&self, _: wire::ListOrdersRequest, _: Duration) -> Result<wire::ListOrdersResponse, Status> {
        let orders = self.orders.lock().unwrap().clone();
        Ok(wire::ListOrdersResponse { orders, ..Default::default() })
    }

    async fn cancel_order(
        &self,
        _: wire::CancelOrderRequest,
        _: Duration,
    ) -> Result<wire::CancelOrderResponse, Status> {
        Ok(wire::CancelOrderResponse { order: self.answer("cancel")? })
    }

    async fn return_order(
        &self,
        _: wire::ReturnOrderRequest,
        _: Duration,
    ) -> Result<wire::ReturnOrderResponse, Status> {
        Ok(wire::ReturnOrderResponse { order: self.answer("return")?, ..Default::default() })
    }
}

#[async_trait]
impl Home for Peer {
    async fn report(&self, _: &Untold, _: Duration) -> Result<Option<(OrderId, Fate)>, CallError> {
        if self.link() == Link::Down {
            return Err(CallError::Unknown { callee: "order", detail: "cut".to_owned() });
        }
        Ok(*self.own.lock().unwrap())
    }
}

fn place_request(customer: CustomerId, key: &str) -> wire::PlaceOrderRequest {
    wire::PlaceOrderRequest {
        customer_id: customer.to_string(),
        idempotency_key: key.to_owned(),
        cart_id: OrderId::generate().to_string(),
        cart_version: "v1".to_owned(),
        card_token: "tok_visa".to_owned(),
        delivery: Some(wire::DeliveryAddress { country: "France".to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

fn theirs() -> wire::Order {
    let order_id = OrderId::generate_in(THERE).to_string();
    wire::Order { order_id, home_region: THERE.to_string(), ..Default::default() }
}

async fn region(pool: &PgPool) -> (App, OrderGrpc, Arc<Peer>) {
    migrate(pool).await;
    let (app, peer) = (App::of_region(pool, HERE), Peer::new());
    app.world.sell(vec![cut_line("mug", "potter", 250, "GBP", 2)]);
    let edge = OrderGrpc::new(app.sagas.clone()).with_peer(peer.clone());
    (app, edge, peer)
}

async fn place(edge: &OrderGrpc, request: &wire::PlaceOrderRequest) -> Result<wire::Order, Status> {
    Ok(edge.place_order(Request::new(request.clone())).await?.into_inner().order.unwrap())
}

fn is_unreachable(status: &Status) -> bool {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("east"), "names the home: {status:?}");
    assert!(status::retry_delay(status).is_some(), "says when to ask again");
    status::reason(status).as_deref() == Some("HOME_REGION_UNREACHABLE")
}

#[sqlx::test(migrations = false)]
async fn the_home_decides_and_its_answer_is_handed_on_a_refusal_too(pool: PgPool) {
    let (app, edge, peer) = region(&pool).await;
    let request = place_request(CustomerId::generate_in(THERE), "k");
    let order = theirs();
    peer.answers(Ok(order.clone()));
    assert_eq!(place(&edge, &request).await.unwrap(), order);
    let declined = [status::Violation::new("CARD_DECLINED", "card", "declined")];
    peer.answers(Err(status::failed_precondition("CARD_DECLINED", "the card was declined", &declined)));
    let refused = place(&edge, &request).await.unwrap_err();
    assert_eq!(status::reason(&refused).as_deref(), Some("CARD_DECLINED"));
    assert_eq!(status::violations(&refused), declined);
    assert!(app.world.calls().is_empty(), "nothing is started here: {:?}", app.world.calls());
}

#[sqlx::test(migrations = false)]
async fn a_home_that_may_have_decided_is_waited_for_and_nothing_is_started(pool: PgPool) {
    let (app, edge, peer) = region(&pool).await;
    let request = place_request(CustomerId::generate_in(THERE), "k");
    // The answer is lost: did the request arrive?
    assert!(is_unreachable(&place(&edge, &request).await.unwrap_err()));
    peer.set_link(Link::Down);
    for _ in 0..2 {
        let cut_off = place(&edge, &request).await.unwrap_err();
        assert!(is_unreachable(&cut_off) && cut_off.message().contains("may have been done there"), "{cut_off}");
    }
    assert_eq!(peer.asked(), ["place"]);
    assert!(app.world.calls().is_empty(), "{:?}", app.world.calls());
    // It had.
    let order = theirs();
    peer.set_link(Link::Up);
    peer.answers(Ok(order.clone()));
    assert_eq!(place(&edge, &request).await.unwrap(), order);
}

#[sqlx::test(migrations = false)]
async fn a_new_request_is_decided_here_while_the_home_is_away_and_stays_here(pool: PgPool) {
    let (_, edge, peer) = region(&pool).await;
    let request = place_request(CustomerId::generate_in(THERE), "k");
    peer.set_link(Link::Down);
    let order = place(&edge, &request).await.unwrap();
    assert_eq!(order.order_id.parse::<OrderId>().unwrap().home(), Some(HERE));
    peer.set_link(Link::Up);
    assert_eq!(place(&edge, &request).await.unwrap().order_id, order.order_id);
    assert!(peer.asked().is_empty());
}

#[sqlx::test(migrations = false)]
async fn a_cut_that_the_other_region_made_is_asked_about_and_never_driven(pool: PgPool) {
    let (app, edge, peer) = region(&pool).await;
    // One of our own owners, whose request the other region has cut the cart for.
    let request = place_request(CustomerId::generate_in(HERE), "k");
    app.world.cuts_belong_to(OrderId::generate_in(THERE));
    let order = theirs();
    peer.answers(Ok(order.clone()));
    assert_eq!(place(&edge, &request).await.unwrap(), order);
    peer.set_link(Link::Down);
    assert!(is_unreachable(&place(&edge, &request).await.unwrap_err()));
    assert!(app.world.calls().iter().all(|call| *call == Method::BeginCheckout), "{:?}", app.world.calls());
    // Handed on by the region that it belongs to, it is answered and goes no further.
    let mut handed_on = Request::new(request);
    handed_on.metadata_mut().insert("x-handed-on-by", "east".parse().unwrap());
    let elsewhere = edge.place_order(handed_on).await.unwrap_err();
    assert_eq!(status::reason(&elsewhere).as_deref(), Some(reasons::ORDER_HOME_ELSEWHERE));
    assert_eq!(peer.asked(), ["place"]);
}

#[sqlx::test(migrations = false)]
async fn an_order_is_read_cancelled_and_returned_by_its_home_alone(pool: PgPool) {
    let (_, edge, peer) = region(&pool).await;
    let (order_id, customer_id) = (OrderId::generate_in(THERE).to_string(), CustomerId::generate().to_string());
    let get = wire::GetOrderRequest { order_id: order_id.clone(), customer_id: customer_id.clone() };
    let cancel = wire::CancelOrderRequest { order_id: order_id.clone(), customer_id: customer_id.clone() };
    let lines = vec![wire::ReturnLine { offer_id: "mug".to_owned(), quantity: 1 }];
    let give_back = wire::ReturnOrderRequest { order_id, customer_id, idempotency_key: "r".to_owned(), lines };
    for _ in 0..3 {
        peer.answers(Ok(theirs()));
    }
    assert!(edge.get_order(Request::new(get.clone())).await.unwrap().into_inner().order.is_some());
    assert!(edge.cancel_order(Request::new(cancel.clone())).await.unwrap().into_inner().order.is_some());
    assert!(edge.return_order(Request::new(give_back.clone())).await.unwrap().into_inner().order.is_some());
    assert_eq!(peer.asked(), ["get", "cancel", "return"]);
    peer.set_link(Link::Down);
    assert!(is_unreachable(&edge.get_order(Request::new(get)).await.unwrap_err()));
    assert!(is_unreachable(&edge.cancel_order(Request::new(cancel)).await.unwrap_err()));
    assert!(is_unreachable(&edge.return_order(Request::new(give_back)).await.unwrap_err()));
    assert!(peer.asked().is_empty());
}

#[sqlx::test(migrations = false)]
async fn a_list_shows_both_regions_and_says_which_could_not_be_asked(pool: PgPool) {
    let (_, edge, peer) = region(&pool).await;
    let customer = CustomerId::generate_in(HERE);
    let ours = place(&edge, &place_request(customer, "k")).await.unwrap();
    let newer = theirs();
    *peer.orders.lock().unwrap() = vec![newer.clone()];
    let list = |page_size, page_token: &str| {
        let request =
            wire::ListOrdersRequest { customer_id: customer.to_string(), page_size, page_token: page_token.to_owned() };
        edge.list_orders(Request::new(request))
    };
    let both = list(0, "").await.unwrap().into_inner();
    let ids: Vec<_> = both.orders.iter().map(|order| &order.order_id).collect();
    assert_eq!(ids, [&newer.order_id, &ours.order_id]);
    assert!(both.unreachable_regions.is_empty() && both.next_page_token.is_empty());
    let first = list(1, "").await.unwrap().into_inner();
    assert_eq!((first.orders.len(), first.next_page_token.is_empty()), (1, false));
    peer.set_link(Link::Down);
    let half = list(0, "").await.unwrap().into_inner();
    assert_eq!((half.orders.len(), half.unreachable_regions), (1, vec!["east".to_owned()]));
}

/// Superseded orders that are not undone, taken by somebody or not, each with the one that stands.
async fn to_undo(pool: &PgPool) -> Vec<(OrderId, OrderId)> {
    let rows: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select order_id, by_order_id from superseded_order where settled_at is null")
            .fetch_all(pool)
            .await
            .unwrap();
    rows.into_iter().map(|(order, by)| (OrderId::from_uuid(order), OrderId::from_uuid(by))).collect()
}

/// Decided here under a cut; then the home turns out to have `own` of the same request.
async fn healed(pool: &PgPool, own: Option<OrderId>) -> (App, OneIntention, OrderId) {
    let (app, edge, peer) = region(pool).await;
    peer.set_link(Link::Down);
    let order = place(&edge, &place_request(CustomerId::generate_in(THERE), "k")).await.unwrap();
    let id: OrderId = order.order_id.parse().unwrap();
    let intentions = OneIntention::new(app.sagas.clone(), Some(peer.clone()));
    let mut taken = app.sagas.store.take_untold(10).await.unwrap();
    assert!(app.sagas.store.take_untold(10).await.unwrap().is_empty(), "what is taken is taken once");
    let untold = taken.remove(0).unwrap();
    assert_eq!((untold.order, taken.len()), (id, 0));
    intentions.tell_home(&untold).await.unwrap();
    assert!(to_undo(pool).await.is_empty(), "nothing is known while the link is down");
    peer.set_link(Link::Up);
    *peer.own.lock().unwrap() = own.map(|own| (own, Fate::Placed));
    intentions.tell_home(&untold).await.unwrap();
    (app, intentions, id)
}

#[sqlx::test(migrations = false)]
async fn the_later_of_two_orders_of_one_request_is_cancelled_once(pool: PgPool) {
    let earlier = OrderId::generate_in(THERE);
    let (app, intentions, id) = healed(&pool, Some(earlier)).await;
    assert_eq!(to_undo(&pool).await, [(id, earlier)]);
    for _ in 0..2 {
        intentions.undo(id, earlier).await.unwrap();
        app.recover().await;
    }
    let order = app.sagas.store.order(id).await.unwrap().unwrap();
    assert_eq!((order.state, order.superseded_by), (OrderState::Cancelled, Some(earlier)));
    assert!(!app.world.held(id).2, "the money is let go");
    assert!(to_undo(&pool).await.is_empty());
}

#[sqlx::test(migrations = false)]
async fn the_later_of_two_orders_is_paid_back_whole_once_it_has_shipped(pool: PgPool) {
    let earlier = OrderId::generate_in(THERE);
    let (app, intentions, id) = healed(&pool, Some(earlier)).await;
    app.ship(id).await;
    for _ in 0..2 {
        intentions.undo(id, earlier).await.unwrap();
        app.recover().await;
    }
    assert_eq!(app.world.refunded_minor(), 500);
    assert!(to_undo(&pool).await.is_empty());
}

#[sqlx::test(migrations = false)]
async fn the_earlier_of_two_orders_stands(pool: PgPool) {
    let (app, _, id) = healed(&pool, None).await;
    // A later one over there changes nothing here.
    let told = Untold {
        order: id,
        customer: CustomerId::generate_in(THERE),
        key: "k".parse().unwrap(),
        fate: Fate::Placed,
        told_home_at: None,
    };
    let peer = Peer::new();
    *peer.own.lock().unwrap() = Some((OrderId::generate_in(THERE), Fate::Placed));
    OneIntention::new(app.sagas.clone(), Some(peer)).tell_home(&told).await.unwrap();
    assert!(to_undo(&pool).await.is_empty());
    assert_eq!(app.sagas.store.order(id).await.unwrap().unwrap().state, OrderState::Placed);
}

#[sqlx::test(migrations = false)]
async fn a_home_that_was_told_starts_nothing_under_that_key_and_undoes_its_own_later_order(pool: PgPool) {
    let (app, edge, peer) = region(&pool).await;
    let customer = CustomerId::generate_in(HERE);
    let intentions = OneIntention::new(app.sagas.clone(), None);
    // Told before the request is repeated here.
    let told = OrderId::generate_in(THERE);
    assert_eq!(intentions.told(customer, &"k".parse().unwrap(), (told, Fate::Placed)).await.unwrap(), None);
    let order = theirs();
    peer.answers(Ok(order.clone()));
    assert_eq!(place(&edge, &place_request(customer, "k")).await.unwrap(), order);
    assert!(app.world.calls().is_empty(), "{:?}", app.world.calls());
    // Told after: ours is later.
    let earlier = OrderId::generate_in(THERE);
    let repeated = place_request(customer, "l");
    let ours: OrderId = place(&edge, &repeated).await.unwrap().order_id.parse().unwrap();
    let answer = intentions.told(customer, &"l".parse().unwrap(), (earlier, Fate::Placed)).await.unwrap();
    assert_eq!(answer, Some((ours, Fate::Placed)));
    assert_eq!(to_undo(&pool).await, [(ours, earlier)]);
    // From here on the order that stands answers the request, undone or not.
    let stands = theirs();
    for _ in 0..2 {
        peer.answers(Ok(stands.clone()));
        assert_eq!(place(&edge, &repeated).await.unwrap(), stands);
        intentions.undo(ours, earlier).await.unwrap();
    }
    peer.set_link(Link::Down);
    assert!(is_unreachable(&place(&edge, &repeated).await.unwrap_err()));
}

#[sqlx::test(migrations = false)]
async fn an_order_that_the_other_region_made_answers_a_request_that_was_refused_here(pool: PgPool) {
    let (app, edge, peer) = region(&pool).await;
    let customer = CustomerId::generate_in(HERE);
    let intentions = OneIntention::new(app.sagas.clone(), None);
    let request =
        wire::PlaceOrderRequest { card_token: "tok_chargeDeclined".to_owned(), ..place_request(customer, "k") };
    place(&edge, &request).await.unwrap_err();
    let refused = app.world.order_of(request.cart_id.parse().unwrap()).unwrap();
    let stands = theirs();
    let told = (stands.order_id.parse().unwrap(), Fate::Placed);
    let answer = intentions.told(customer, &"k".parse().unwrap(), told).await.unwrap();
    assert_eq!(answer, Some((refused, Fate::Ended)));
    peer.answers(Ok(stands.clone()));
    assert_eq!(place(&edge, &request).await.unwrap(), stands);
    // Nothing of it is left to undo.
    intentions.undo(refused, told.0).await.unwrap();
    assert!(to_undo(&pool).await.is_empty());
    assert!(matches!(app.sagas.store.order(refused).await.unwrap().unwrap().state, OrderState::Rejected(_)));
}
