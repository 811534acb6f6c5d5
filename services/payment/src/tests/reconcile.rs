//! Reconciliation against the real stand-in of the provider: each way in which books can differ is planted, found, and gone once it is
//! mended.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chassis::database::DatabaseClock;
use ids::OrderId;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::provider::FakeProvider;
use super::world::{World, client, never_opens, refund, terms};
use crate::psp::{HttpProvider, Span};
use crate::reconcile::{About, Difference, GRACE, Kind, Reconciler, Report};
use crate::workers;

const SHARES: &[(&str, i64)] = &[("acme", 100), ("globex", 200)];
const HOUR: Duration = Duration::from_secs(3_600);

/// The stand-in in this process, called by our service and, past it, by the test.
struct Psp {
    url: String,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Psp {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = psp::Config {
            ledger_file: folder.path().join("ledger.jsonl"),
            accounts: vec![psp::Account { name: "east".into(), api_key: "sk_test".into(), webhook: None }],
            ledger_lines_max: 10_000,
            fault_seed: 1,
        };
        tokio::spawn(psp::serve(listener, config, std::future::pending()));
        Self { url, http: reqwest::Client::new(), _folder: folder }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let key = uuid::Uuid::new_v4().to_string();
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth("sk_test");
        let answer = request.header("idempotency-key", key).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    async fn authorise(&self, reference: &str, amount: i64) -> String {
        let body = json!({"amount": amount, "currency": "GBP", "payment_method": "tok_visa", "reference": reference});
        self.post("/v1/payment_intents", body).await["id"].as_str().unwrap().to_owned()
    }

    async fn capture(&self, intent: &str) {
        self.post(&format!("/v1/payment_intents/{intent}/capture"), json!({})).await;
    }

    async fn cancel(&self, intent: &str) {
        self.post(&format!("/v1/payment_intents/{intent}/cancel"), json!({})).await;
    }

    async fn refund(&self, intent: &str, reference: &str, amount: i64) {
        self.post("/v1/refunds", json!({"payment_intent": intent, "amount": amount, "reference": reference})).await;
    }

    async fn faults(&self, faults: Value) {
        self.http.put(format!("{}/faults", self.url)).json(&faults).send().await.unwrap().error_for_status().unwrap();
    }
}

struct Books {
    world: World,
    psp: Psp,
    reconciler: Reconciler<HttpProvider>,
}

impl Books {
    async fn new(pool: PgPool) -> Self {
        let psp = Psp::start().await;
        // Migrates the database.
        let fake = World::new(pool.clone()).await;
        let world = World::at(pool, FakeProvider::default(), &psp.url);
        // Nothing is in flight here when the books are compared, so nothing needs to be left out.
        let reconciler = Reconciler::new(fake.store().clone(), Arc::clone(world.driver.provider()), Duration::ZERO);
        Self { world, psp, reconciler }
    }

    async fn authorised(&self) -> OrderId {
        let order = OrderId::generate();
        self.world.driver.authorise(order, &terms("tok_visa", SHARES)).await.unwrap();
        order
    }

    async fn intent(&self, order: OrderId) -> String {
        let sql = "select intent_id from payment where order_id = $1";
        sqlx::query_scalar(sql).bind(order.as_uuid()).fetch_one(&self.world.pool).await.unwrap()
    }

    /// Up to this moment.
    fn last_hour(&self) -> Span {
        self.reconciler.span(SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), HOUR)
    }

    async fn run(&self) -> Report {
        self.reconciler.run(self.last_hour()).await.unwrap()
    }

    /// Runs twice, for a run must not find its own findings, and returns what is open.
    async fn open(&self) -> Vec<(Kind, String)> {
        self.run().await;
        let report = self.run().await;
        assert_eq!((report.new, report.resolved), (0, 0), "{report}");
        let mut open: Vec<_> =
            report.open.iter().map(|open| (open.difference.kind, open.difference.reference.to_string())).collect();
        open.sort();
        open
    }

    async fn agree_again(&self, resolved: usize) {
        let report = self.run().await;
        assert!(report.agrees(), "{report}");
        assert_eq!(report.resolved, resolved);
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.world.pool).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn books_that_tell_one_story_agree(pool: PgPool) {
    let books = Books::new(pool).await;
    let captured = books.world.captured(SHARES).await;
    for piece in [&[("acme", 60)][..], &[("acme", 40), ("globex", 200)]] {
        books.world.driver.refund(&refund(captured, piece)).await.unwrap();
    }
    books.authorised().await;
    let voided = books.authorised().await;
    books.world.driver.void(voided).await.unwrap();
    books.world.driver.void(OrderId::generate()).await.unwrap();
    books.world.driver.authorise(OrderId::generate(), &terms("tok_expired", SHARES)).await.unwrap_err();
    // More than a page of the provider's lists.
    for _ in 0..110 {
        books.authorised().await;
    }
    let report = books.run().await;
    assert!(report.agrees(), "{report}");
    assert_eq!((report.intents, report.refunds, report.counted_on), (113, 2, 114));
    assert!(report.to_string().contains("the books agree"), "{report}");
}

#[sqlx::test(migrations = false)]
async fn what_is_only_at_the_provider_is_missing_here(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.world.captured(SHARES).await;
    let stranger = OrderId::generate().to_string();
    let (by_hand, held) = (books.psp.authorise("by hand", 5).await, books.psp.authorise(&stranger, 7).await);
    let expected = vec![(Kind::MissingHere, stranger.clone()), (Kind::MissingHere, "by hand".to_owned())];
    assert_eq!(books.open().await, sorted(expected));
    books.psp.cancel(&by_hand).await;
    books.psp.cancel(&held).await;
    books.agree_again(2).await;
    // Money that went out past us does not come back by itself.
    books.psp.refund(&books.intent(order).await, "by hand too", 1).await;
    assert_eq!(books.open().await, [(Kind::MissingHere, "by hand too".to_owned())]);
}

#[sqlx::test(migrations = false)]
async fn what_the_provider_has_not_is_missing_there(pool: PgPool) {
    let books = Books::new(pool.clone()).await;
    // Captured and refunded at somebody who is not the provider.
    let elsewhere = World::new(pool).await;
    let order = elsewhere.captured(SHARES).await;
    let request = refund(order, &[("acme", 1)]);
    elsewhere.driver.refund(&request).await.unwrap();
    let expected = vec![(Kind::MissingThere, order.to_string()), (Kind::MissingThere, request.refund.to_string())];
    assert_eq!(books.open().await, sorted(expected));
}

#[sqlx::test(migrations = false)]
async fn another_amount_is_a_difference_until_it_is_put_right(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.world.captured(SHARES).await;
    books.sql("update payment set amount_minor = amount_minor + 1").await;
    assert_eq!(books.open().await, [(Kind::Amount, order.to_string())]);
    books.sql("update payment set amount_minor = amount_minor - 1").await;
    books.agree_again(1).await;
}

#[sqlx::test(migrations = false)]
async fn money_taken_past_us_is_a_difference_of_state_until_we_know_of_it(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.authorised().await;
    books.psp.capture(&books.intent(order).await).await;
    assert_eq!(books.open().await, [(Kind::State, order.to_string())]);
    // Its own capture finds it done.
    books.world.ship(order).await.unwrap();
    sqlx::query("update payment set attempts = 1").execute(&books.world.pool).await.unwrap();
    books.world.work_until_idle().await;
    books.agree_again(1).await;
}

#[sqlx::test(migrations = false)]
async fn a_second_charge_is_double_until_its_money_is_back(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.world.captured(SHARES).await;
    let again = books.psp.authorise(&order.to_string(), 300).await;
    assert_eq!(books.open().await, [(Kind::Double, order.to_string())]);
    books.psp.capture(&again).await;
    assert_eq!(books.open().await, [(Kind::Double, order.to_string())]);
    books.psp.refund(&again, "sorry", 300).await;
    // The double charge is gone; the refund that put it right is one that we know nothing of.
    assert_eq!(books.run().await.resolved, 1);
    assert_eq!(books.open().await, [(Kind::MissingHere, "sorry".to_owned())]);
}

#[sqlx::test(migrations = false)]
async fn a_refund_paid_twice_is_double(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.world.captured(SHARES).await;
    let request = refund(order, &[("acme", 10)]);
    books.world.driver.refund(&request).await.unwrap();
    books.psp.refund(&books.intent(order).await, &request.refund.to_string(), 10).await;
    assert_eq!(books.open().await, [(Kind::Double, request.refund.to_string())]);
}

#[sqlx::test(migrations = false)]
async fn a_short_capture_is_reported_though_the_books_agree(pool: PgPool) {
    let books = Books::new(pool).await;
    books.psp.faults(json!({"partial_capture": 1.0})).await;
    let order = books.world.captured(SHARES).await;
    assert_eq!(books.open().await, [(Kind::ShortCapture, order.to_string())]);
}

/// A person may accept a difference as it is: it is reported no more, until it becomes another one.
#[sqlx::test(migrations = false)]
async fn an_accepted_difference_is_reported_again_only_when_it_changes(pool: PgPool) {
    let books = Books::new(pool).await;
    books.psp.faults(json!({"partial_capture": 1.0})).await;
    let order = books.world.captured(SHARES).await;
    books.psp.faults(json!({})).await;
    let held = books.psp.authorise("by hand", 5).await;
    let report = books.run().await;
    assert_eq!(report.open.len(), 2);
    for open in &report.open {
        assert!(
            books
                .world
                .store()
                .settle_difference(open.id, "ada", "the provider's mistake, and paid for")
                .await
                .unwrap()
        );
    }
    books.agree_again(0).await;
    // Paying back what came in changes nothing of what was accepted.
    books.world.driver.refund(&refund(order, SHARES)).await.unwrap();
    books.agree_again(0).await;
    assert!(!books.world.store().settle_difference(uuid::Uuid::now_v7(), "ada", "no such").await.unwrap());
    // Held money that is taken is another difference than money held.
    books.psp.capture(&held).await;
    assert_eq!(books.open().await, [(Kind::MissingHere, "by hand".to_owned())]);
}

/// Also one that has left the span is looked at until it is gone.
#[sqlx::test(migrations = false)]
async fn an_old_difference_is_resolved_too(pool: PgPool) {
    let books = Books::new(pool).await;
    let held = books.psp.authorise("by hand", 5).await;
    assert_eq!(books.open().await.len(), 1);
    let later = Span { from: books.last_hour().to + 10, to: books.last_hour().to + 20 };
    let report = books.reconciler.run(later).await.unwrap();
    assert_eq!((report.intents, report.resolved, report.open.len()), (0, 0, 1));
    books.psp.cancel(&held).await;
    let report = books.reconciler.run(later).await.unwrap();
    assert_eq!((report.resolved, report.open.len()), (1, 0));
}

#[sqlx::test(migrations = false)]
async fn what_has_just_changed_is_left_out(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.authorised().await;
    books.psp.capture(&books.intent(order).await).await;
    let patient = Reconciler::new(books.world.store().clone(), Arc::clone(books.world.driver.provider()), GRACE);
    let report = patient.run(books.last_hour()).await.unwrap();
    assert_eq!((report.fresh, report.open.len()), (1, 0), "{report}");
    // An hour later it is no longer in flight but wrong.
    books.sql("update payment set updated_at = now() - interval '1 hour'").await;
    assert_eq!(patient.run(books.last_hour()).await.unwrap().open.len(), 1);
}

/// A provider that fails one question in three still gets its books compared.
#[sqlx::test(migrations = false)]
async fn a_sick_provider_is_asked_again(pool: PgPool) {
    let books = Books::new(pool).await;
    let order = books.world.captured(SHARES).await;
    books.psp.authorise(&order.to_string(), 300).await;
    books.psp.faults(json!({"server_error": 0.3})).await;
    assert_eq!(books.open().await, [(Kind::Double, order.to_string())]);
}

/// A run looks at so many open differences again. The oldest may stay for good, so it is not they that come first.
#[sqlx::test(migrations = false)]
async fn differences_that_stay_keep_no_other_from_being_looked_at(pool: PgPool) {
    let books = Books::new(pool).await;
    let store = books.world.store();
    let difference = |subject: &str| Difference {
        about: About::Payment,
        kind: Kind::MissingHere,
        subject: subject.into(),
        reference: subject.into(),
        here: String::new(),
        there: String::new(),
    };
    let (stays, newer) = (difference("stays"), difference("newer"));
    store.note_difference(&stays).await.unwrap();
    store.note_difference(&newer).await.unwrap();
    let mut looked_at = Vec::new();
    for _ in 0..4 {
        let [first] = store.longest_unseen_differences(1).await.unwrap().try_into().unwrap();
        store.note_difference(&first.difference).await.unwrap();
        looked_at.push(first.difference.subject);
    }
    assert_eq!(looked_at, ["stays", "newer", "stays", "newer"].map(Box::from));
}

#[sqlx::test(migrations = false)]
async fn the_worker_writes_down_what_differs(pool: PgPool) {
    let books = Books::new(pool).await;
    books.psp.authorise("by hand", 5).await;
    // Made long ago, as far as the worker's own grace is concerned.
    let reconciler =
        Reconciler::new(books.world.store().clone(), client(&books.psp.url, never_opens()), Duration::ZERO);
    let token = CancellationToken::new();
    let worker = tokio::spawn(workers::reconcile(
        Arc::new(reconciler),
        DatabaseClock::unread(),
        Duration::from_millis(50),
        HOUR,
        token.clone(),
    ));
    let noted = async {
        while books
            .world
            .count("select count(*) from reconciliation_difference where last_seen_at > first_seen_at")
            .await
            == 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noted).await.expect("it is noted, and seen again");
    token.cancel();
    worker.await.unwrap().unwrap();
}

fn sorted(mut differences: Vec<(Kind, String)>) -> Vec<(Kind, String)> {
    differences.sort();
    differences
}
