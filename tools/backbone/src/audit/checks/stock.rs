//! Stock, per offer: what came in is what is there, in each region and over both. Units between the regions are counted too.

use std::collections::{BTreeMap, BTreeSet};

use ids::{Region, TransferId};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::inventory::{Inventory, ReservationState, TransferOut, Units};

/// Checks each region's stock, each transfer on both sides, and the totals.
pub fn check(inventory: Both<&Inventory>) -> Examined {
    let mut examined = Examined::default();
    for (region, stock) in inventory.each() {
        levels(&mut examined, region, stock);
    }
    let mut in_transit = BTreeMap::<&str, i128>::new();
    for (region, stock) in inventory.each() {
        let (peer, there) = (region.peer(), inventory.of(region.peer()));
        examined.count(stock.transfers_out.len(), "transfers");
        for (id, out) in &stock.transfers_out {
            sent(&mut examined, (region, peer), (*id, out), there, &mut in_transit);
        }
        for (id, credited) in stock.transfers_in.iter().filter(|(_, transfer)| !transfer.is_pending) {
            let granted = there.transfers_out.get(id).map(|out| &out.granted);
            // The asking side also has lines that were granted nothing.
            let here = non_zero(&credited.granted);
            examined.require(here == granted.map(non_zero).unwrap_or_default(), || {
                format!("transfer {id}: {region} credited {here:?}, {peer} granted {granted:?}")
            });
        }
    }
    totals(&mut examined, inventory, &in_transit);
    examined
}

/// One region: the equation of every offer, and that what is held and sold is held and sold for reservations.
fn levels(examined: &mut Examined, region: Region, stock: &Inventory) {
    let (mut reserved, mut sold) = (BTreeMap::<&str, i128>::new(), BTreeMap::<&str, i128>::new());
    for reservation in stock.reservations.values() {
        let sum = match reservation.state {
            ReservationState::Reserved => &mut reserved,
            ReservationState::Committed => &mut sold,
            ReservationState::Released => continue,
        };
        add(sum, &reservation.lines);
    }
    let (mut credited, mut granted) = (BTreeMap::new(), BTreeMap::new());
    stock.transfers_in.values().for_each(|transfer| add(&mut credited, &transfer.granted));
    stock.transfers_out.values().for_each(|transfer| add(&mut granted, &transfer.granted));

    let offers = offers(stock);
    examined.count(offers.len(), "offers' stock");
    for offer in offers {
        let level = stock.levels.get(offer).copied().unwrap_or_default();
        let sum = |of: &BTreeMap<&str, i128>| of.get(offer).copied().unwrap_or_default();
        let received = stock.received.get(offer).copied().map_or(0, i128::from);
        let (came_in, gone) = (sum(&credited), sum(&granted));
        examined.require(received + came_in - gone == level.total(), || {
            format!(
                "{region} offer {offer}: received {received} + transferred in {came_in} - transferred out {gone} is not \
                 available {} + reserved {} + sold {}",
                level.available, level.reserved, level.sold
            )
        });
        examined.require(level.available >= 0 && level.reserved >= 0 && level.sold >= 0, || {
            format!("{region} offer {offer} is below zero: {level:?}")
        });
        let (held, committed) = (sum(&reserved), sum(&sold));
        examined.require((held, committed) == (i128::from(level.reserved), i128::from(level.sold)), || {
            format!(
                "{region} offer {offer} has reserved {} and sold {}, its reservations hold {held} and took {committed}",
                level.reserved, level.sold
            )
        });
    }
}

/// Units given up here are credited there, or still asked for: then they are in transit.
fn sent<'a>(
    examined: &mut Examined,
    (region, peer): (Region, Region),
    (id, out): (TransferId, &'a TransferOut),
    there: &Inventory,
    in_transit: &mut BTreeMap<&'a str, i128>,
) {
    let lines: i128 = out.granted.values().copied().map(i128::from).sum();
    let is_whole = lines == i128::from(out.granted_units) && out.to_region == peer.name();
    examined.require(is_whole, || {
        format!(
            "transfer {id} of {region}: {} units to {} in the header, {lines} in its lines",
            out.granted_units, out.to_region
        )
    });
    match there.transfers_in.get(&id) {
        Some(asked) if asked.is_pending => add(in_transit, &out.granted),
        Some(credited) => {
            let arrived = non_zero(&credited.granted);
            examined.require(arrived == non_zero(&out.granted), || {
                format!("transfer {id}: {region} granted {:?}, {peer} credited {arrived:?}", out.granted)
            });
        }
        None => examined.require(lines == 0, || {
            format!("transfer {id}: {region} granted {lines} units that {peer} never asked for")
        }),
    }
}

/// Both regions together: what came in from outside is there, or between them.
fn totals(examined: &mut Examined, inventory: Both<&Inventory>, in_transit: &BTreeMap<&str, i128>) {
    let offers: BTreeSet<&str> = inventory.each().into_iter().flat_map(|(_, stock)| offers(stock)).collect();
    for offer in offers {
        let (mut received, mut held) = (0, 0);
        for (_, stock) in inventory.each() {
            received += stock.received.get(offer).copied().map_or(0, i128::from);
            held += stock.levels.get(offer).map_or(0, |level| level.total());
        }
        let moving = in_transit.get(offer).copied().unwrap_or_default();
        examined.require(received == held + moving, || {
            format!("offer {offer}: received {received} in both regions, they hold {held}, {moving} in transit")
        });
    }
    let moving: i128 = in_transit.values().sum();
    examined.count(usize::try_from(moving).unwrap_or_default(), "units in transit");
}

/// Every offer that any row names.
fn offers(stock: &Inventory) -> BTreeSet<&str> {
    let transferred = stock.transfers_in.values().map(|transfer| &transfer.granted);
    let transferred = transferred.chain(stock.transfers_out.values().map(|transfer| &transfer.granted));
    let reserved = stock.reservations.values().map(|reservation| &reservation.lines);
    let named = transferred.chain(reserved).chain([&stock.received]).flat_map(BTreeMap::keys);
    named.chain(stock.levels.keys()).map(String::as_str).collect()
}

fn non_zero(units: &Units) -> Vec<(&str, i64)> {
    units.iter().filter(|(_, units)| **units != 0).map(|(offer, units)| (offer.as_str(), *units)).collect()
}

fn add<'a>(sums: &mut BTreeMap<&'a str, i128>, units: &'a Units) {
    for (offer, units) in units {
        *sums.entry(offer).or_default() += i128::from(*units);
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.inventory.as_ref()), named);
    }

    #[test]
    fn a_unit_that_vanished_is_named() {
        let doctor = |world: &mut World| world.inventory.east.levels.get_mut("teapot").unwrap().available -= 1;
        fails(doctor, &["east offer teapot: received 10", "available 7"]);
        fails(doctor, &["offer teapot: received 14 in both regions, they hold 13"]);
    }

    #[test]
    fn stock_below_zero_is_named_even_if_the_sum_is_right() {
        let doctor = |world: &mut World| {
            let level = world.inventory.west.levels.get_mut("cup").unwrap();
            (level.available, level.reserved) = (-1, 4);
        };
        fails(doctor, &["west offer cup is below zero"]);
    }

    #[test]
    fn units_sold_for_no_reservation_are_named() {
        let doctor = |world: &mut World| {
            let level = world.inventory.east.levels.get_mut("cup").unwrap();
            (level.available, level.sold) = (level.available - 1, level.sold + 1);
        };
        fails(doctor, &["east offer cup has reserved 0 and sold 3, its reservations hold 0 and took 2"]);
    }

    #[test]
    fn a_transfer_that_arrived_as_another_amount_is_named() {
        let transfer = sound().transfer;
        let doctor = |world: &mut World| {
            let arrived = world.inventory.west.transfers_in.get_mut(&transfer).unwrap();
            *arrived.granted.get_mut("cup").unwrap() += 1;
            world.inventory.west.levels.get_mut("cup").unwrap().available += 1;
        };
        fails(doctor, &[&transfer.to_string(), "east granted {\"cup\": 3}, west credited [(\"cup\", 4)]"]);
        fails(doctor, &["offer cup: received 10 in both regions, they hold 11"]);
    }

    #[test]
    fn units_given_up_that_nobody_asked_for_are_named() {
        let transfer = sound().transfer.to_string();
        fails(|world| world.inventory.west.transfers_in.clear(), &[&transfer, "never asked for"]);
        fails(|world| world.inventory.east.transfers_out.clear(), &[&transfer, "east granted None"]);
    }

    #[test]
    fn units_in_transit_are_counted_and_not_missed() {
        let mut world = sound();
        let transfer = world.transfer;
        let asked = world.inventory.west.transfers_in.get_mut(&transfer).unwrap();
        asked.is_pending = true;
        asked.granted.clear();
        world.inventory.west.levels.get_mut("cup").unwrap().available = 0;
        let examined = check(world.inventory.as_ref());
        assert!(examined.offenders().is_empty(), "{examined:?}");
        assert!(format!("{examined:?}").contains("number: 3, of: \"units in transit\""), "{examined:?}");
    }
}
