//! Dead letters: there are none. Each is an event whose effect somebody still waits for.

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::events::Events;

/// Checks that the dead-letter topic of every topic is empty, in both regions.
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
        let described =
            vec!["order.shipped.v1.dlq partition 2 offset 0: event 1 refused by payment: poison".to_owned()];
        world.events.west.dead_letters.insert("order.shipped.v1", Odd { total: 1, described });
        assert_named(
            &check(world.events.as_ref()),
            &["west Kafka", "order.shipped.v1.dlq partition 2", "refused by payment"],
        );
    }
}
