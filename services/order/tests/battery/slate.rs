//! What is left of a case, in every table and at every neighbour.

use super::Case;

/// All of it. Default: nothing at all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Slate {
    /// `customer_order`: state, refunded_minor, and whether it has anything that only a saga under way may have.
    pub order: Option<(String, i64, bool)>,
    /// `order_line`: offer, units, units returned.
    pub lines: Vec<(String, i64, i64)>,
    /// `order_return`: state, amount, and whether it has anything that only a refund under way may have.
    pub returns: Vec<(String, i64, bool)>,
    /// `order_return_line`: offer, units.
    pub return_lines: Vec<(String, i64)>,
    /// `outbox`: the order's events.
    pub events: Vec<String>,
    /// At the cart, the inventory and payment: whether the cut, the stock and the money are held for it.
    pub held: (bool, bool, bool),
    /// Paid back by payment.
    pub paid_back_minor: i64,
}

impl Slate {
    /// Looks everywhere.
    pub async fn of(case: &Case) -> Self {
        let Some(id) = case.order() else { return Self::default() };
        let (pool, order) = (&case.app.pool, id.as_uuid());
        let row = sqlx::query_as(
            "select state, refunded_minor,
                    card_token is not null or unwind_from is not null or drive_after is not null or parked_at is not null
             from customer_order where order_id = $1",
        );
        let lines = sqlx::query_as(
            "select offer_id, quantity, returned_quantity from order_line where order_id = $1 order by offer_id",
        );
        let returns = sqlx::query_as(
            "select state, amount_minor, drive_after is not null or parked_at is not null
             from order_return where order_id = $1",
        );
        let return_lines = sqlx::query_as(
            "select offer_id, quantity from order_return_line join order_return using (return_id)
             where order_id = $1 order by offer_id",
        );
        Self {
            order: row.bind(order).fetch_optional(pool).await.unwrap(),
            lines: lines.bind(order).fetch_all(pool).await.unwrap(),
            returns: returns.bind(order).fetch_all(pool).await.unwrap(),
            return_lines: return_lines.bind(order).fetch_all(pool).await.unwrap(),
            events: case.app.outbox(id).await,
            held: case.app.world.held(id),
            paid_back_minor: case.app.world.refunded_minor(),
        }
    }

    /// Of the usual order of six mugs and a bowl, in a final state with these events.
    pub fn of_order(state: &str, events: &[&str]) -> Self {
        let is_rejected = state == "rejected";
        Self {
            order: Some((state.to_owned(), 0, false)),
            lines: vec![("bowl".to_owned(), 1, 0), ("mug".to_owned(), 6, 0)],
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            held: (!is_rejected, !is_rejected, !is_rejected),
            ..Self::default()
        }
    }
}
