//! As the audit's `stock`: what came in is what is there, per offer, in each region and over both, with what is between them.

use std::collections::BTreeMap;

use ids::OfferId;
use inventory::domain::State;

use super::{Fault, require};
use crate::Verdict;
use crate::world::World;

pub fn check(world: &World) -> Result<(), Fault> {
    let mut everywhere = BTreeMap::<&OfferId, i64>::new();
    for (region, here) in world.regions.iter().enumerate() {
        let stock = &here.stock;
        let (mut held, mut taken) = (BTreeMap::<&OfferId, i64>::new(), BTreeMap::<&OfferId, i64>::new());
        for reservation in stock.reservations.values() {
            let sum = match reservation.stored.state {
                State::Reserved => &mut held,
                State::Committed => &mut taken,
                State::Released(_) => continue,
            };
            reservation.lines.iter().for_each(|(offer, units)| *sum.entry(offer).or_default() += units);
        }
        let mut moved = BTreeMap::<&OfferId, i64>::new();
        for (offer, units) in stock.transfers_in.values().flat_map(|transfer| &transfer.granted) {
            *moved.entry(offer).or_default() += units;
        }
        for (id, granted) in &stock.transfers_out {
            let asked = world.regions[1 - region].stock.transfers_in.get(id);
            for (offer, units) in granted {
                *moved.entry(offer).or_default() -= units;
                if asked.is_some_and(|transfer| transfer.is_pending) {
                    *everywhere.entry(offer).or_default() += units;
                }
            }
        }
        let sum = |of: &BTreeMap<&OfferId, i64>, offer| of.get(offer).copied().unwrap_or_default();
        for (offer, level) in &stock.levels {
            let received = stock.received.get(offer).copied().unwrap_or_default();
            let there = level.available + level.reserved + level.sold;
            *everywhere.entry(offer).or_default() += there - received;
            let in_place = received + sum(&moved, offer) == there
                && (level.reserved, level.sold) == (sum(&held, offer), sum(&taken, offer))
                && level.available >= 0
                && level.reserved >= 0
                && level.sold >= 0;
            require(in_place, Verdict::Stock, || {
                format!(
                    "region {region}, {offer}: received {received}, moved {}, held {}, taken {}, there is {level:?}",
                    sum(&moved, offer),
                    sum(&held, offer),
                    sum(&taken, offer)
                )
            })?;
        }
    }
    require(everywhere.values().all(|units| *units == 0), Verdict::Stock, || {
        format!("in both regions and between them there are more or fewer than came in: {everywhere:?}")
    })
}
