//! What is parked, and what differs, as tables.

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use contracts::payment::v1::{Difference, ListDifferencesRequest, ListParkedPaymentsRequest, ParkedPayment};
use ids::Region;

use super::ask::Asked;

/// Rows shown per region; more than a person works through in one sitting.
const SHOWN_MAX: i32 = 100;

/// The parked payments and refunds of both regions.
pub(super) async fn parked(regions: Vec<Asked>) -> Result<String> {
    let (mut rows, mut total) = (Vec::new(), 0);
    for (region, mut client) in regions {
        let listed = client.list_parked_payments(ListParkedPaymentsRequest { page_size: SHOWN_MAX }).await;
        let listed = listed.with_context(|| format!("{region} did not list its parked payments"))?.into_inner();
        total += listed.total;
        rows.extend(listed.parked.into_iter().map(|parked| (region, parked)));
    }
    if total == 0 {
        return Ok("nothing is parked".to_owned());
    }
    Ok(format!("{}\n{} of {total} shown", table_of_parked(&rows), rows.len()))
}

fn table_of_parked(rows: &[(Region, ParkedPayment)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["REGION", "WHAT", "STATE", "AMOUNT", "ATTEMPTS", "PARKED", "WHY"]);
    for (region, parked) in rows {
        let what = if parked.refund_id.is_empty() {
            format!("order {}", parked.order_id)
        } else {
            format!("refund {} of order {}", parked.refund_id, parked.order_id)
        };
        let amount = format!("{} {}", parked.amount_minor, parked.currency_code);
        let (state, attempts) = (parked.state.clone(), parked.attempts.to_string());
        let (at, why) = (parked.parked_at.clone(), parked.parked_reason.clone());
        table.add_row([region.to_string(), what, state, amount, attempts, at, why]);
    }
    table.to_string()
}

/// The open differences of both regions.
pub(super) async fn differences(regions: Vec<Asked>) -> Result<String> {
    let mut rows = Vec::new();
    for (region, mut client) in regions {
        let listed = client.list_differences(ListDifferencesRequest { page_size: SHOWN_MAX }).await;
        let listed = listed.with_context(|| format!("{region} did not list its differences"))?.into_inner();
        rows.extend(listed.differences.into_iter().map(|difference| (region, difference)));
    }
    if rows.is_empty() {
        return Ok("the books agree, as far as they were compared".to_owned());
    }
    Ok(table_of_differences(&rows))
}

fn table_of_differences(rows: &[(Region, Difference)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["REGION", "DIFFERENCE", "KIND", "OF", "HERE", "THERE", "KNOWN"]);
    for (region, difference) in rows {
        let of = format!("{} {}", difference.about, difference.reference);
        let known = format!("{} s", difference.known_for_seconds);
        let Difference { difference_id, kind, here, there, .. } = difference.clone();
        table.add_row([region.to_string(), difference_id, kind, of, here, there, known]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refund_names_itself_and_its_order_and_a_difference_its_id() {
        let refund = ParkedPayment {
            order_id: "o-1".to_owned(),
            refund_id: "r-1".to_owned(),
            state: "pending".to_owned(),
            parked_reason: "refused: status 400".to_owned(),
            ..Default::default()
        };
        let shown = table_of_parked(&[(Region::East, refund)]);
        assert!(shown.contains("refund r-1 of order o-1") && shown.contains("refused: status 400"), "{shown}");
        let short = Difference {
            difference_id: "d-1".to_owned(),
            kind: "short_capture".to_owned(),
            about: "payment".to_owned(),
            reference: "o-1".to_owned(),
            ..Default::default()
        };
        let shown = table_of_differences(&[(Region::West, short)]);
        assert!(shown.contains("d-1") && shown.contains("payment o-1"), "{shown}");
    }
}
