//! Cancelling a placed order.

use order::store::Cancelled;
use sqlx::PgPool;

use super::slate::Slate;
use super::support::{App, Fault, Method, request};
use super::{Case, Scene, pass};

#[sqlx::test(migrations = false)]
async fn cancelling_an_order_passes_the_battery(pool: PgPool) {
    pass(pool, &[Cancel::AtOnce, Cancel::AfterAFailedTurn, Cancel::AfterParking]).await;
}

#[derive(Debug, Clone, Copy)]
enum Cancel {
    /// The void is answered the first time.
    AtOnce,
    /// It is put off and claimed again.
    AfterAFailedTurn,
    /// It is refused, parked, and retried by an operator.
    AfterParking,
}

impl Scene for Cancel {
    async fn set(self, pool: &PgPool) -> Case {
        let (app, place) = (App::new(pool), request());
        app.place(&place).await.unwrap();
        match self {
            Self::AtOnce => {}
            Self::AfterAFailedTurn => app.world.fail(Method::Void, Fault::LoseAnswer),
            Self::AfterParking => app.world.fail(Method::Void, Fault::Refuse(super::refusal("NO"))),
        }
        Case { app, place, give_back: None }
    }

    async fn ask(self, case: &Case) -> String {
        match case.app.sagas.cancel.cancel(case.order().unwrap(), case.place.customer).await.unwrap() {
            Cancelled::Now | Cancelled::Before => "CANCELLED".to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn answer(self) -> &'static str {
        "CANCELLED"
    }

    fn slate(self) -> Slate {
        // The cut is the order's own; the stock goes back by the event.
        let held = (true, true, false);
        Slate { held, ..Slate::of_order("cancelled", &["order.placed.v1", "order.cancelled.v1"]) }
    }

    fn when_refused(self, _: Method) -> Option<Self> {
        match self {
            Self::AfterParking => None,
            _ => Some(self),
        }
    }
}
