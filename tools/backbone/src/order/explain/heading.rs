//! How the order stands, in a few lines. Pure.

use money::{Currency, Money};

use super::databases::order::Twins;
use super::facts::{Facts, In};

/// Lines of the order told one by one; an order may have 1,500.
const LINES_MAX: usize = 5;
/// Characters of a list of items.
const ITEMS_MAX: usize = 160;

/// Names and what there is to say of each.
pub fn of(facts: &Facts) -> Vec<(&'static str, String)> {
    let order = &facts.order;
    let mut heading = vec![("state", state(facts))];
    heading.extend(twins(facts).into_iter().map(|twin| ("twin", twin)));
    heading.push(("request", format!("key {:?}, from cart {}", order.idempotency_key, order.cart_id)));
    heading.push(("total", money(order.total_minor, &order.currency)));
    heading.extend(lines(facts).into_iter().map(|line| ("", line)));
    heading.push(("saga", saga(facts)));
    if let Some(reason) = &order.refusal_reason {
        heading.push(("refused", format!("{reason}: {}", order.refusal_message.as_deref().unwrap_or_default())));
    }
    heading.push(("driven", driven(facts)));
    if order.refunded_minor > 0 {
        heading.push(("refunded", money(order.refunded_minor, &order.currency)));
    }
    heading.extend(facts.traces().into_iter().map(|(id, what)| ("trace", format!("{id}  {what}"))));
    heading
}

fn state(facts: &Facts) -> String {
    let captured = if facts.order.captured { ", captured" } else { "" };
    format!("{}{captured}, home {}", facts.order.state, facts.order.home_region)
}

/// Both regions may make an order of one request while they cannot talk; then one stands.
fn twins(facts: &Facts) -> Vec<String> {
    let told = |one: &In<Twins>| {
        let Twins { order_id, by_order_id, undone_at } = &one.is;
        let undone = match undone_at {
            Some(at) => format!("undone since {}", clock(*at)),
            None => "still to be undone".to_owned(),
        };
        match *order_id == facts.order_id.as_uuid() {
            true => format!("{by_order_id}, made of the same request, stands in its place; this one is {undone}"),
            false => {
                format!("stands in the place of {order_id} of {}, made of the same request and {undone}", one.region)
            }
        }
    };
    facts.twins.iter().map(told).collect()
}

fn lines(facts: &Facts) -> Vec<String> {
    let mut lines: Vec<String> = facts
        .lines
        .iter()
        .take(LINES_MAX)
        .map(|line| {
            let price = |minor_units| money(minor_units, &facts.order.currency);
            let returned = match line.returned_quantity {
                0 => String::new(),
                units => format!(", {units} returned"),
            };
            let prices = match &line.prices {
                None => price(line.unit_price_minor),
                Some(prices) => {
                    let several = prices.iter().map(|(each, units)| format!("{} ({units})", price(*each)));
                    several.collect::<Vec<_>>().join(" and ")
                }
            };
            format!("{} × {} at {prices}{returned}", line.quantity, line.offer_id)
        })
        .collect();
    if facts.lines.len() > LINES_MAX {
        lines.push(format!("… and {} more lines", facts.lines.len() - LINES_MAX));
    }
    lines
}

/// The steps of the saga, as far as the stores show them: what the other services hold of the order is what its steps did.
fn saga(facts: &Facts) -> String {
    let home = |region| region == facts.home;
    let cut = facts.checkouts.iter().find(|one| home(one.region)).map(|one| match one.is.state.as_str() {
        "abandoned" => "undone",
        _ => "done",
    });
    let reserved = facts.reservations.iter().find(|one| home(one.region)).map(|one| match one.is.state.as_str() {
        "released" => "undone",
        _ => "done",
    });
    let authorised = facts.payments.iter().find(|one| home(one.region)).map(|one| match one.is.state.as_str() {
        "authorising" | "abandoning" => "in doubt",
        "declined" => "declined",
        "voiding" | "voided" => "undone",
        _ => "done",
    });
    let placed = matches!(facts.order.state.as_str(), "placed" | "shipped" | "cancelled").then_some("done");
    let steps = [("cut_cart", cut), ("reserve_stock", reserved), ("authorise_payment", authorised), ("place", placed)];
    let steps: Vec<String> =
        steps.iter().map(|(step, state)| format!("{step} {}", state.unwrap_or("not done"))).collect();
    let unwinding = facts.order.unwind_from.as_ref().map(|step| format!("; unwinding from {step}")).unwrap_or_default();
    format!("{}{unwinding}", steps.join(", "))
}

/// Who drives it, and until when nobody else may.
fn driven(facts: &Facts) -> String {
    let order = &facts.order;
    let until = match (order.parked_at, order.drive_after) {
        (Some(at), _) => format!("by nobody: parked since {}", clock(at)),
        (None, None) => "by nobody: nothing is left to drive".to_owned(),
        (None, Some(after)) if after <= facts.now => {
            format!("by nobody since {}: anybody may take it up", clock(after))
        }
        (None, Some(after)) => {
            format!("held, or put off, until {} (for {} more)", clock(after), span(after - facts.now))
        }
    };
    format!("{until}; fencing token {}; {} turns did not reach the end", order.fence, order.attempts)
}

/// An amount as people write it.
pub fn money(minor: i64, currency: &str) -> String {
    // An unknown currency is shown as it is.
    let known = currency.to_uppercase().parse::<Currency>();
    known.map_or_else(|_| format!("{minor} {currency}"), |currency| Money::new(minor, currency).to_string())
}

/// A list of items, not all of a long one.
pub fn items(list: Option<&str>) -> String {
    let list = list.unwrap_or("nothing");
    match list.char_indices().nth(ITEMS_MAX) {
        None => list.to_owned(),
        Some((end, _)) => format!("{} …", &list[..end]),
    }
}

/// A time of day, in UTC.
pub fn clock(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%H:%M:%S%.3f").to_string()
}

/// A length of time: `3.2 s`, or `2h 5m 1s` from a minute on.
pub fn span(length: chrono::TimeDelta) -> String {
    let length = length.abs().to_std().unwrap_or_default();
    if length.as_secs() < 60 {
        return format!("{:.1} s", length.as_secs_f64());
    }
    humantime::format_duration(std::time::Duration::from_secs(length.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::sample::captured;
    use super::*;

    fn said(facts: &Facts, name: &str) -> String {
        of(facts).into_iter().find(|(other, _)| *other == name).map(|(_, what)| what).unwrap_or_default()
    }

    #[test]
    fn an_order_says_how_it_stands() {
        let facts = captured();
        assert_eq!(said(&facts, "state"), "shipped, captured, home east");
        assert_eq!(said(&facts, ""), "2 × board at 34.50 EUR");
        let steps = "cut_cart done, reserve_stock done, authorise_payment done, place done";
        assert_eq!(said(&facts, "saga"), steps);
        assert_eq!(
            said(&facts, "driven"),
            "by nobody: nothing is left to drive; fencing token 1; 0 turns did not reach the end"
        );
        assert_eq!(said(&facts, "trace"), format!("{}  the request", "ab".repeat(16)));
    }

    #[test]
    fn two_orders_of_one_request_name_each_other() {
        let mut facts = captured();
        let (this, other) = (facts.order_id.as_uuid(), uuid::Uuid::from_u128(7));
        let twins = |order_id, by_order_id| In {
            region: ids::Region::West,
            is: Twins { order_id, by_order_id, undone_at: None },
        };
        facts.twins = vec![twins(this, other)];
        assert!(said(&facts, "twin").starts_with(&format!("{other}, made of the same request, stands in its place")));
        facts.twins = vec![twins(other, this)];
        assert!(said(&facts, "twin").starts_with(&format!("stands in the place of {other} of west")));
    }

    #[test]
    fn a_driven_order_says_until_when() {
        let mut facts = captured();
        facts.order.drive_after = Some(facts.now + TimeDelta::milliseconds(2_500));
        facts.order.fence = 7;
        facts.order.attempts = 3;
        let driven = said(&facts, "driven");
        assert!(driven.contains("(for 2.5 s more); fencing token 7; 3 turns"), "{driven}");
        facts.order.drive_after = Some(facts.now - TimeDelta::seconds(1));
        assert!(said(&facts, "driven").starts_with("by nobody since "));
    }

    #[test]
    fn a_long_order_is_cut() {
        let mut facts = captured();
        facts.lines = vec![facts.lines[0].clone(); 700];
        let lines: Vec<String> =
            of(&facts).into_iter().filter(|(name, _)| name.is_empty()).map(|(_, what)| what).collect();
        assert_eq!((lines.len(), lines[5].as_str()), (6, "… and 695 more lines"));
        assert_eq!(items(Some(&"é".repeat(500))).chars().count(), ITEMS_MAX + 2);
    }
}
