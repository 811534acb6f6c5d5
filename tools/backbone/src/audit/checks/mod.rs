//! The checks: one file each, a pure function of what was read. Their tests doctor a sound world (`world`) and see them fail.

mod carts;
mod charged;
mod dead_letters;
mod ledger;
mod orders;
mod published;
mod reservations;
mod returns;
mod settled;
mod stock;
#[cfg(test)]
mod world;

use super::report::{Finding, conclude, skipped};
use super::sources::Stores;

/// All checks. One that needs a store that could not be read is inconclusive.
pub fn judge(stores: &Stores) -> Vec<Finding> {
    let Stores { orders, payments, inventory, carts, events, provider } = stores;
    let provider = || provider.as_ref().map_err(Clone::clone);
    vec![
        conclude("ledger", || Ok(ledger::check(payments.all()?))),
        conclude("charged once", || Ok(charged::check(payments.all()?, provider()?))),
        conclude("stock", || Ok(stock::check(inventory.all()?))),
        conclude("orders", || Ok(orders::check(orders.all()?, payments.all()?, inventory.all()?))),
        conclude("events", || Ok(published::check(orders.all()?, payments.all()?, events.all()?))),
        conclude("reservations", || Ok(reservations::check(orders.all()?, inventory.all()?))),
        conclude("returns and refunds", || Ok(returns::check(orders.all()?, payments.all()?))),
        conclude("settled", || {
            Ok(settled::check(&settled::Input {
                orders: orders.all()?,
                payments: payments.all()?,
                inventory: inventory.all()?,
                carts: carts.all()?,
            }))
        }),
        conclude("dead letters", || Ok(dead_letters::check(events.all()?))),
        conclude("carts", || Ok(carts::check(orders.all()?, carts.all()?))),
        skipped("carts in both regions", "not applicable yet: carts do not replicate"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::report::Verdict;
    use crate::audit::sources::Unreadable;

    #[test]
    fn a_sound_system_passes_every_check() {
        for finding in judge(&world::sound().stores()) {
            let expected = if finding.check == "carts in both regions" { Verdict::Skipped } else { Verdict::Ok };
            assert_eq!(finding.verdict, expected, "{finding:?}");
        }
    }

    #[test]
    fn an_unreachable_store_makes_inconclusive_what_needs_it_and_nothing_else() {
        let mut stores = world::sound().stores();
        stores.provider = Err(Unreadable::new("the provider's ledger", "no answer"));
        stores.events.west = Err(Unreadable::new("the west Kafka", "no answer"));
        let inconclusive: Vec<&str> = judge(&stores)
            .iter()
            .filter(|finding| finding.verdict == Verdict::Inconclusive)
            .map(|finding| finding.check)
            .collect();
        assert_eq!(inconclusive, ["charged once", "events", "dead letters"]);
    }
}
