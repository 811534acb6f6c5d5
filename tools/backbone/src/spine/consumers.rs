//! Who consumes what. The same in both regions; each acts on the events of its own.

/// A consumer group.
#[derive(Debug)]
pub struct Consumer {
    /// Its name in Kafka and in the inbox.
    pub group: &'static str,
    /// The database that holds its inbox.
    pub database: &'static str,
    /// Its topics, and what an event of each does there.
    pub effects: &'static [(&'static str, &'static str)],
}

/// All of them. A service that gets another consumer gets a line here: the whole-system tests compare this list with the inboxes.
pub const CONSUMERS: [Consumer; 5] = [
    Consumer {
        group: "inventory",
        database: "inventory",
        effects: &[
            ("order.placed.v1", "the reservation is a sale"),
            ("order.cancelled.v1", "the units are free again"),
        ],
    },
    Consumer { group: "cart", database: "cart", effects: &[("order.placed.v1", "what was ordered has left the cart")] },
    Consumer {
        group: "order-fulfilment",
        database: "order",
        effects: &[("order.placed.v1", "the shipment is scheduled")],
    },
    Consumer { group: "payment", database: "payment", effects: &[("order.shipped.v1", "the capture is asked for")] },
    Consumer {
        group: "order",
        database: "order",
        effects: &[
            ("payment.captured.v1", "noted that the money came in"),
            ("payment.refunded.v1", "noted that money was paid back"),
        ],
    },
];

impl Consumer {
    /// The consumer of that name.
    pub fn named(group: &str) -> Option<&'static Self> {
        CONSUMERS.iter().find(|consumer| consumer.group == group)
    }

    /// Those that act on events of `topic`, with what they do.
    pub fn of_topic(topic: &str) -> impl Iterator<Item = (&'static Self, &'static str)> {
        CONSUMERS.iter().filter_map(move |consumer| consumer.effect(topic).map(|effect| (consumer, effect)))
    }

    /// What an event of `topic` does here; `None` when it does not listen to it.
    pub fn effect(&self, topic: &str) -> Option<&'static str> {
        self.effects.iter().find(|(name, _)| *name == topic).map(|(_, effect)| *effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{TOPICS, secrets};

    #[test]
    fn every_topic_has_a_consumer_and_every_consumer_a_database() {
        for topic in TOPICS {
            assert!(Consumer::of_topic(topic).count() > 0, "nobody consumes {topic}");
        }
        for consumer in &CONSUMERS {
            assert!(secrets::DATABASES.contains(&consumer.database), "{consumer:?}");
            assert!(consumer.effects.iter().all(|(topic, _)| TOPICS.contains(topic)), "{consumer:?}");
        }
    }
}
