//! The verdicts, from what the writers were told and what the regions hold. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;

use ids::Region;

use super::ending::{Ending, Held};
use super::history::{History, Operation};
use super::model;
use crate::audit::report::Examined;
use crate::shared_cart::goods;
use crate::shared_cart::{Dot, Kind, LineId};

/// CONVERGED: both regions hold the same bytes of every cart, and show the same.
pub fn converged(carts: &[Ending]) -> Examined {
    let mut examined = Examined::default();
    examined.count(carts.len(), "carts");
    for cart in carts {
        let (east, west) = (&cart.held.east, &cart.held.west);
        examined.count(east.stored.as_ref().map_or(0, |stored| stored.lines.len()), "lines");
        let fault = match (&east.stored, &west.stored) {
            (Some(ours), Some(theirs)) if ours.lines != theirs.lines => {
                let offers =
                    ours.lines.keys().chain(theirs.lines.keys().filter(|offer| !ours.lines.contains_key(*offer)));
                Some(format!(
                    "the regions differ in {}",
                    listed(offers.filter(|offer| ours.lines.get(*offer) != theirs.lines.get(*offer)))
                ))
            }
            (Some(ours), Some(theirs)) if ours.address != theirs.address => {
                Some("the lines are the same, but the regions have different delivery addresses".to_owned())
            }
            (Some(ours), Some(theirs)) if ours.context != theirs.context => {
                Some("lines and address are the same, but the regions have seen different operations".to_owned())
            }
            (Some(_), Some(_)) if east.shown != west.shown || east.shown.is_null() => {
                Some("the stores are the same, but the regions show different carts".to_owned())
            }
            (Some(_), Some(_)) => None,
            (None, _) => Some("east does not have it".to_owned()),
            (_, None) => Some("west does not have it".to_owned()),
        };
        examined.require(fault.is_none(), || format!("cart {}: {}", cart.id, fault.unwrap_or_default()));
    }
    examined
}

/// LOSSLESS: both regions have seen every acknowledged add, and hold its units, unless a removal or a set that saw it took them.
pub fn lossless(history: &History, carts: &[Ending]) -> Examined {
    let mut examined = Examined::default();
    let mut named: BTreeMap<(usize, Dot), &Operation> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.kind != Kind::Remove) {
        examined.count(usize::from(matches!(operation.kind, Kind::Add(_))), "acknowledged adds");
        let Some(dot) = operation.dot() else {
            examined
                .require(false, || told(carts, operation.line, format!("{operation} has no name in its own version")));
            continue;
        };
        if let Some(other) = named.insert((operation.line.cart, dot), operation) {
            examined.require(false, || {
                told(carts, operation.line, format!("{operation} has the name of another operation: {other}"))
            });
        }
        if matches!(operation.kind, Kind::Add(_)) {
            for (region, held) in held(carts, operation.line.cart) {
                let past = held.stored.as_ref().and_then(|stored| stored.past());
                examined.require(past.is_some_and(|past| past.contains(dot)), || {
                    told(carts, operation.line, format!("{operation} is unknown in {region}"))
                });
            }
        }
    }
    for (line, operations) in history.by_line() {
        let standing: Vec<(&Operation, u64)> = model::standing_adds(&operations).collect();
        let units: u64 = standing.iter().map(|(_, units)| units).sum();
        examined.count(usize::try_from(units).unwrap_or(usize::MAX), "units that must be there");
        if history.unknown.contains(&line) {
            continue;
        }
        for (region, held) in held(carts, line.cart) {
            let shown = shown(held, line.offer);
            examined.require(shown >= units, || {
                let adds = listed(standing.iter().map(|(add, _)| add));
                told(carts, line, format!("{region} shows {shown} of at least {units} units; nothing undid {adds}"))
            });
        }
    }
    examined
}

/// INTENT: every line holds what the histories imply, by the reference model.
pub fn intent(history: &History, carts: &[Ending]) -> Examined {
    let mut examined = Examined::default();
    examined.count(history.operations.len(), "acknowledged operations");
    let lines = history.by_line();
    for (cart, ending) in carts.iter().enumerate() {
        for offer in 0..goods::LINES {
            let line = LineId { cart, offer };
            if history.unknown.contains(&line) {
                examined.count(1, "lines not judged (an outcome is unknown)");
                continue;
            }
            let operations = lines.get(&line).map(Vec::as_slice).unwrap_or_default();
            let expected = model::quantity(operations);
            examined.count(1, "lines");
            for (region, held) in ending.held.each() {
                let shown = shown(held, offer);
                examined.require(shown == expected, || {
                    told(carts, line, format!("{region} shows {shown} units, the histories imply {expected}"))
                });
            }
        }
        for (region, held) in ending.held.each() {
            let stranger = held.quantities().into_keys().find(|offer| goods::number(offer).is_none());
            examined.require(stranger.is_none(), || {
                format!("cart {}: {region} shows {}, which nobody added", ending.id, stranger.unwrap_or_default())
            });
        }
    }
    examined
}

fn held(carts: &[Ending], cart: usize) -> impl Iterator<Item = (Region, &Held)> {
    carts.get(cart).into_iter().flat_map(|ending| ending.held.each())
}

fn shown(held: &Held, offer: usize) -> u64 {
    held.quantities().get(goods::offer_id(offer).as_str()).copied().unwrap_or(0)
}

fn told(carts: &[Ending], line: LineId, what: String) -> String {
    let cart = carts.get(line.cart).map(|ending| ending.id.to_string()).unwrap_or_default();
    format!("cart {cart}, {}: {what}", goods::offer_id(line.offer))
}

/// The first three, and how many more.
fn listed<T: Display>(items: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = items.map(|item| item.to_string()).collect();
    let named = all.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > 3 { format!("{named} and {} more", all.len() - 3) } else { named }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
