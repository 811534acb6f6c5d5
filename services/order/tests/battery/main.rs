//! The battery that every saga passes: each step repeated, each call lost on either way, each step and compensation refused, a crash
//! at every crash point; after each the client's request once more gets its answer, and a clean slate is looked at table by table.
//!
//! One file a saga says what its scenes are; what is done to them stands here. A new saga passes it by being a [`Scene`], and a new
//! crash point is covered by being passed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod crashes;
mod place;
mod returns;
mod slate;

use std::fmt;
use std::time::Duration;

use ids::OrderId;
use order::domain::{Decision, OperatorAction, PlaceRequest, ReturnRequest};
use sqlx::PgPool;
use support::world::refusal;
use support::{App, Fault, Method};
use tokio::sync::{Mutex, MutexGuard};

use slate::Slate;

/// Longer than any case takes, by far.
const CASE_MAX: Duration = Duration::from_secs(30);

/// What the client is told when it is to send the same request again.
const AGAIN: &str = "again";

/// A request and how it is meant to end.
trait Scene: Copy + fmt::Debug {
    /// A world, everything in it that comes before the saga, and the request.
    async fn set(self, pool: &PgPool) -> Case;
    /// Sends the client's request once; the answer in a word.
    async fn ask(self, case: &Case) -> String;
    /// What the client is told in the end, however often it asks.
    fn answer(self) -> &'static str;
    /// What is left in the end.
    fn slate(self) -> Slate;
    /// The scene it becomes when this call is refused. A compensation, and what follows a pivot, has to come to the same end in spite
    /// of it. `None`: the callee stores its refusals, which the world does not.
    fn when_refused(self, method: Method) -> Option<Self>;
}

/// A scene that is set.
struct Case {
    app: App,
    place: PlaceRequest,
    give_back: Option<ReturnRequest>,
}

impl Case {
    /// The order it is about, once the cart is cut.
    fn order(&self) -> Option<OrderId> {
        self.app.world.order_of(self.place.cart)
    }

    /// Does all that remains to be done without the client, and lets an operator retry what is parked.
    async fn finish(&self) {
        while self.app.finish().await > 0 {
            let order = self.order().unwrap();
            let decision = Decision {
                order,
                action: OperatorAction::Retry,
                operator: "ada".to_owned(),
                reason: "the callee is mended".to_owned(),
                // One retry must do: under the same key the next changes nothing, and it does not come to an end.
                idempotency_key: format!("retry {order}"),
            };
            self.app.sagas.store.operate(&decision).await.unwrap();
        }
    }
}

/// Crash points are the whole process's, so its tests take turns.
async fn my_turn() -> MutexGuard<'static, ()> {
    static TURNS: Mutex<()> = Mutex::const_new(());
    TURNS.lock().await
}

/// The client asks until it gets an answer, and all that remains is done.
async fn run<S: Scene>(scene: S, case: &Case) {
    for _ in 0..5 {
        let answer = scene.ask(case).await;
        case.finish().await;
        if answer != AGAIN {
            return;
        }
    }
    panic!("{scene:?}: no answer");
}

async fn assert_ended<S: Scene>(scene: S, case: &Case, what: &str) {
    assert_eq!(scene.ask(case).await, scene.answer(), "{scene:?}, {what}: the answer");
    assert_eq!(Slate::of(case).await, scene.slate(), "{scene:?}, {what}: what is left");
}

/// All of it.
async fn pass<S: Scene>(pool: PgPool, scenes: &[S]) {
    let _turn = my_turn().await;
    support::migrate(&pool).await;
    for scene in scenes {
        let calls = it_ends_as_it_should(*scene, &pool).await;
        it_ends_the_same_when_every_call_comes_twice(*scene, &pool).await;
        for (index, method) in calls.iter().enumerate() {
            it_ends_the_same_when_a_call_is_lost(*scene, &pool, index).await;
            it_ends_when_a_call_is_refused(*scene, &pool, index, *method).await;
        }
        crashes::it_ends_the_same_when_a_driver_dies_at_any_point(*scene, &pool).await;
    }
}

async fn it_ends_as_it_should<S: Scene>(scene: S, pool: &PgPool) -> Vec<Method> {
    let case = scene.set(pool).await;
    let before = case.app.world.calls().len();
    run(scene, &case).await;
    assert_ended(scene, &case, "undisturbed").await;
    let calls = case.app.world.calls();
    assert_ended(scene, &case, "asked again").await;
    assert_eq!(case.app.world.calls(), calls, "{scene:?}: a repeat of the request calls nobody");
    calls[before..].to_vec()
}

async fn it_ends_the_same_when_every_call_comes_twice<S: Scene>(scene: S, pool: &PgPool) {
    let case = scene.set(pool).await;
    case.app.world.deliver_everything_twice();
    run(scene, &case).await;
    assert_ended(scene, &case, "every call twice").await;
}

async fn it_ends_the_same_when_a_call_is_lost<S: Scene>(scene: S, pool: &PgPool, index: usize) {
    for fault in [Fault::LoseRequest, Fault::LoseAnswer] {
        let case = scene.set(pool).await;
        case.app.world.fail_call(case.app.world.calls().len() + index, fault.clone());
        run(scene, &case).await;
        assert_ended(scene, &case, &format!("{fault:?} of call {index}")).await;
    }
}

async fn it_ends_when_a_call_is_refused<S: Scene>(scene: S, pool: &PgPool, index: usize, method: Method) {
    let Some(other) = scene.when_refused(method) else { return };
    let case = scene.set(pool).await;
    case.app.world.fail_call(case.app.world.calls().len() + index, Fault::Refuse(refusal("NO")));
    run(scene, &case).await;
    assert_ended(other, &case, &format!("{method:?} refused")).await;
}
