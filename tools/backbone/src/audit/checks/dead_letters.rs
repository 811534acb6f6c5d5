//! Dead letters: none is open. Each open one is an event whose effect somebody still waits for; one that was replayed and applied is
//! settled, as [`crate::dlq`] tells it.

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::events::Events;

/// Checks that no topic has open dead letters, in both regions.
pub fn check(events: Both<&Events>) -> Examined {
    let mut examined = Examined::default();
    for (region, kafka) in events.each() {
        examined.count(kafka.dead_letters.len(), "topics");
        for letters in kafka.dead_letters.values() {
            examined.refuse(letters.total, &letters.described, &format!("{region} Kafka"));
        }
    }
    examined
}

#[cfg(test)]
mod tests {
    use super::super::world::{assert_named, sound};
    use super::*;
    use crate::audit::sources::events::Odd;

    #[test]
    fn a_dead_letter_is_named() {
        let mut world = sound();
        let described = vec!["west/order.shipped.v1/2/0: event 1 refused by payment: poison".to_owned()];
        world.events.west.dead_letters.insert("order.shipped.v1", Odd { total: 1, described });
        assert_named(&check(world.events.as_ref()), &["west Kafka", "west/order.shipped.v1/2/0", "refused by payment"]);
    }
}
