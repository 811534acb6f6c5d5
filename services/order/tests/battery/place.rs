//! Placing an order.

use order::domain::{CardToken, OrderState};
use order::sagas::place_order::PlaceError;
use sqlx::PgPool;

use super::slate::Slate;
use super::support::{App, Method, cut_line, request};
use super::{AGAIN, Case, Scene, pass};

#[sqlx::test(migrations = false)]
async fn placing_an_order_passes_the_battery(pool: PgPool) {
    pass(pool, &[End::Placed, End::OutOfStock, End::Declined]).await;
}

#[derive(Debug, Clone, Copy)]
enum End {
    Placed,
    OutOfStock,
    Declined,
    /// By a callee of the usual order.
    Refused,
}

impl Scene for End {
    async fn set(self, pool: &PgPool) -> Case {
        let (app, mut place) = (App::new(pool), request());
        match self {
            Self::Placed | Self::Refused => {}
            Self::OutOfStock => app.world.sell(vec![cut_line("sold-out", "potter", 255, "GBP", 1)]),
            Self::Declined => place.card_token = CardToken::new("tok_chargeDeclined".to_owned()),
        }
        Case { app, place, give_back: None }
    }

    async fn ask(self, case: &Case) -> String {
        match case.app.place(&case.place).await {
            Ok(order) if order.state == OrderState::Placed => "PLACED".to_owned(),
            // Undecided, or nothing that could be driven on.
            Ok(_) | Err(PlaceError::Unavailable { .. }) => AGAIN.to_owned(),
            Err(PlaceError::Refused(refusal)) => refusal.reason,
            Err(error) => panic!("{error}"),
        }
    }

    fn answer(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::Declined => "CARD_DECLINED",
            Self::Refused => "NO",
        }
    }

    fn slate(self) -> Slate {
        match self {
            Self::Placed => Slate::of_order("placed", &["order.placed.v1"]),
            Self::OutOfStock => {
                let lines = vec![("sold-out".to_owned(), 1, 0)];
                Slate { lines, ..Slate::of_order("rejected", &[]) }
            }
            Self::Declined | Self::Refused => Slate::of_order("rejected", &[]),
        }
    }

    fn when_refused(self, method: Method) -> Option<Self> {
        match (self, method) {
            (_, Method::BeginCheckout) => None,
            // Nothing of it is sold, whoever says so first.
            (Self::OutOfStock, Method::Reserve | Method::Authorise) => None,
            (_, Method::Reserve | Method::Authorise) => Some(Self::Refused),
            _ => Some(self),
        }
    }
}
