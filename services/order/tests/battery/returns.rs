//! Returning units of a shipped order.

use order::domain::{ReturnLine, ReturnRequest};
use sqlx::PgPool;

use super::slate::Slate;
use super::support::{App, Fault, Method, request, soon};
use super::{Case, Scene, pass};

#[sqlx::test(migrations = false)]
async fn returning_units_passes_the_battery(pool: PgPool) {
    pass(pool, &[Return::AtOnce, Return::BeforeTheCapture, Return::AfterParking]).await;
}

#[derive(Debug, Clone, Copy)]
enum Return {
    /// The refund is confirmed to the request.
    AtOnce,
    /// It is put off and claimed again.
    BeforeTheCapture,
    /// It is refused, parked, and retried by an operator.
    AfterParking,
}

/// Two mugs.
const AMOUNT_MINOR: i64 = 2 * 255;

impl Scene for Return {
    async fn set(self, pool: &PgPool) -> Case {
        let (app, place) = (App::new(pool), request());
        let order = app.place(&place).await.unwrap();
        app.ship(order.id).await;
        match self {
            Self::AtOnce => {}
            Self::BeforeTheCapture => {
                app.world.fail(Method::Refund, Fault::Refuse(super::refusal("PAYMENT_NOT_CAPTURED")));
            }
            Self::AfterParking => app.world.fail(Method::Refund, Fault::Refuse(super::refusal("NO"))),
        }
        let give_back = ReturnRequest {
            order: order.id,
            customer: order.customer,
            idempotency_key: "r-1".parse().unwrap(),
            lines: vec![ReturnLine { offer: "mug".parse().unwrap(), quantity: 2 }],
        };
        Case { app, place, give_back: Some(give_back) }
    }

    async fn ask(self, case: &Case) -> String {
        let request = case.give_back.as_ref().unwrap();
        let returned = case.app.sagas.give_back.take_back(request, soon()).await.unwrap();
        format!("RETURNED {}", returned.amount_minor)
    }

    fn answer(self) -> &'static str {
        "RETURNED 510"
    }

    fn slate(self) -> Slate {
        Slate {
            order: Some(("shipped".to_owned(), AMOUNT_MINOR, false)),
            lines: vec![("bowl".to_owned(), 1, 0), ("mug".to_owned(), 6, 2)],
            returns: vec![("refunded".to_owned(), AMOUNT_MINOR, false)],
            return_lines: vec![("mug".to_owned(), 2)],
            paid_back_minor: AMOUNT_MINOR,
            ..Slate::of_order("shipped", &["order.placed.v1", "order.shipped.v1"])
        }
    }

    fn when_refused(self, _: Method) -> Option<Self> {
        match self {
            Self::AfterParking => None,
            _ => Some(self),
        }
    }
}
