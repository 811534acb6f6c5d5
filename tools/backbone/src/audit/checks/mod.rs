//! The checks: one file each, a pure function of what was read. Their tests doctor a sound world (`world`) and see them fail.

mod carts;
mod charged;
mod conserved;
mod converged;
mod dead_letters;
#[cfg(test)]
mod edited_cart;
mod ledger;
mod one_home;
mod orders;
mod published;
mod reservations;
mod returns;
mod settled;
mod shown;
mod stock;
#[cfg(test)]
mod world;

use super::report::{Finding, conclude, skipped};
use super::sources::Stores;
use super::sources::link::Link;

/// The check that is only made while the regions can talk.
const IN_BOTH_REGIONS: &str = "carts in both regions";

/// All checks. One that needs a store that could not be read is inconclusive.
pub fn judge(stores: &Stores) -> Vec<Finding> {
    let Stores { orders, payments, inventory, carts, events, provider, link } = stores;
    let provider = || provider.as_ref().map_err(Clone::clone);
    vec![
        conclude("ledger", || Ok(ledger::check(payments.all()?))),
        conclude("charged once", || Ok(charged::check(payments.all()?, provider()?))),
        conclude("one home", || {
            Ok(one_home::check(&one_home::Input {
                orders: orders.all()?,
                payments: payments.all()?,
                inventory: inventory.all()?,
                provider: provider()?,
                link: *link,
            }))
        }),
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
        conclude("units of carts", || Ok(conserved::check(orders.all()?, carts.all()?))),
        conclude("charged as shown", || Ok(shown::check(orders.all()?, carts.all()?))),
        match link {
            Link::Open => conclude(IN_BOTH_REGIONS, || Ok(converged::check(carts.all()?))),
            Link::Cut => skipped(IN_BOTH_REGIONS, "the link between them is cut: they agree again after it is healed"),
        },
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
            assert_eq!(finding.verdict, Verdict::Ok, "{finding:?}");
        }
    }

    fn not_ok(stores: &Stores) -> Vec<(&'static str, Verdict)> {
        let findings = judge(stores).into_iter().filter(|finding| finding.verdict != Verdict::Ok);
        findings.map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[test]
    fn carts_may_differ_between_the_regions_only_while_the_link_is_cut() {
        for (link, verdict) in [(Link::Open, Verdict::Failed), (Link::Cut, Verdict::Skipped)] {
            let mut world = world::sound();
            world.carts.east.carts.extend([(ids::CartId::generate(), world::cart_before_checkout())]);
            world.link = link;
            assert_eq!(not_ok(&world.stores()), [(IN_BOTH_REGIONS, verdict)]);
        }
    }

    #[test]
    fn carts_that_cannot_be_read_are_not_the_same_in_both_regions() {
        let mut stores = world::sound().stores();
        stores.carts.west = Err(Unreadable::new("the west cart database", "no answer"));
        assert!(not_ok(&stores).contains(&(IN_BOTH_REGIONS, Verdict::Inconclusive)));
    }

    #[test]
    fn an_unreachable_store_makes_inconclusive_what_needs_it_and_nothing_else() {
        let mut stores = world::sound().stores();
        stores.provider = Err(Unreadable::new("the provider's ledger", "no answer"));
        stores.events.west = Err(Unreadable::new("the west Kafka", "no answer"));
        let inconclusive =
            ["charged once", "one home", "events", "dead letters"].map(|check| (check, Verdict::Inconclusive));
        assert_eq!(not_ok(&stores), inconclusive);
    }
}
