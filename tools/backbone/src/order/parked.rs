//! What is parked, as a table.

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use contracts::order::v1::{ListParkedOrdersRequest, OrderStanding};
use ids::Region;

use super::regions::Asked;

/// Orders shown per region; more than a person works through in one sitting.
const SHOWN_MAX: i32 = 100;

/// The parked orders of both regions.
pub(super) async fn list(regions: Vec<Asked>) -> Result<String> {
    let (mut rows, mut total) = (Vec::new(), 0);
    for (region, mut client) in regions {
        let request = ListParkedOrdersRequest { page_size: SHOWN_MAX };
        let listed = client.list_parked_orders(request).await;
        let listed = listed.with_context(|| format!("{region} did not list its parked orders"))?.into_inner();
        total += listed.total;
        rows.extend(listed.orders.into_iter().map(|order| (region, order)));
    }
    if total == 0 {
        return Ok("nothing is parked".to_owned());
    }
    Ok(format!("{}\n{} of {total} orders shown", table(&rows), rows.len()))
}

/// One line for an order, and one more for each of its refunds that is not confirmed.
pub(super) fn table(orders: &[(Region, OrderStanding)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["REGION", "ORDER", "STATE", "ATTEMPTS", "FENCE", "PARKED", "WHY"]);
    for (region, order) in orders {
        let row = |name: String, state: &str, attempts: i32, fence: i64, at: &str, why: &str| {
            let numbers = (attempts.to_string(), fence.to_string());
            [region.to_string(), name, state.to_owned(), numbers.0, numbers.1, parked_since(at), why.to_owned()]
        };
        let OrderStanding { order_id, state, attempts, fence, parked_at, parked_reason, refunds } = order;
        table.add_row(row(order_id.clone(), state, *attempts, *fence, parked_at, parked_reason));
        for refund in refunds {
            let name = format!("  refund {}", refund.return_id);
            table.add_row(row(
                name,
                "requested",
                refund.attempts,
                refund.fence,
                &refund.parked_at,
                &refund.parked_reason,
            ));
        }
    }
    table.to_string()
}

fn parked_since(at: &str) -> String {
    if at.is_empty() { "no".to_owned() } else { at.to_owned() }
}

#[cfg(test)]
mod tests {
    use contracts::order::v1::RefundStanding;

    use super::*;

    #[test]
    fn a_refund_stands_below_its_order() {
        let refund = RefundStanding {
            return_id: "r-1".to_owned(),
            parked_reason: "refund was refused".to_owned(),
            parked_at: "2026-11-24T22:00:00Z".to_owned(),
            ..Default::default()
        };
        let order = OrderStanding {
            order_id: "o-1".to_owned(),
            state: "shipped".to_owned(),
            refunds: vec![refund],
            ..Default::default()
        };
        let shown = table(&[(Region::East, order)]);
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines.len() == 3 && lines[1].contains("o-1") && lines[1].contains("no"), "{shown}");
        assert!(lines[2].contains("refund r-1") && lines[2].contains("refund was refused"), "{shown}");
    }
}
