//! Which letters are open. Pure.
//!
//! A letter is open as long as its effect is missing: until its consumer's inbox knows the event. Nothing is written down about a
//! replay, so nothing can say that a letter was replayed while its effect is not there. What nobody can replay a person closes, by name
//! and with a reason: see [`settlement`](super::settlement). That is told apart from what was applied. Inboxes remember longer than topics keep
//! records, which every consumer checks at its start; so a letter never looks open again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ids::{EventId, Region};

use super::letter::Letter;
use super::settlement::{Settlement, Settlements};

/// What consumers have applied: when, by region, consumer and event.
pub type AppliedAt = BTreeMap<(Region, String, EventId), DateTime<Utc>>;

/// Letters by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Their effect is missing. Of each matter the last letter; those refused first stand first.
    pub open: Vec<Open>,
    /// Matters whose effect came after all.
    pub applied: usize,
    /// Matters that a person has closed: of each the last letter, in the order in which they were closed.
    pub settled: Vec<(Letter, Settlement)>,
    /// Where the records of those matters lie: topic, partition and offset. One that was replayed in vain lies in several places.
    pub settled_at: BTreeSet<(&'static str, i32, i64)>,
}

/// An open letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub letter: Letter,
    /// How often it was refused: after a replay in vain, or a crash, there are several letters of it.
    pub times: usize,
}

/// Sorts letters by what became of them.
pub fn stand(letters: Vec<Letter>, applied: &AppliedAt, settlements: &Settlements) -> Standing {
    let mut by_matter = BTreeMap::<_, Vec<Letter>>::new();
    for letter in letters {
        by_matter.entry(letter.matter()).or_default().push(letter);
    }
    let mut standing = Standing::default();
    for letters in by_matter.into_values() {
        let times = letters.len();
        let places: Vec<_> = letters.iter().filter_map(|letter| place_of_origin(letter)).collect();
        let last = letters.into_iter().max_by_key(|letter| (letter.refused_at, letter.position));
        let Some(letter) = last else { continue };
        match (applied_at(&letter, applied), settlements.of(&letter).cloned()) {
            (Some(_), _) => standing.applied += 1,
            (None, Some(settlement)) => {
                standing.settled_at.extend(places);
                standing.settled.push((letter, settlement));
            }
            (None, None) => standing.open.push(Open { letter, times }),
        }
    }
    standing.open.sort_by_key(|open| (open.letter.refused_at, open.letter.position));
    standing.settled.sort_by_key(|(letter, settlement)| (settlement.at, letter.position));
    standing
}

fn place_of_origin(letter: &Letter) -> Option<(&'static str, i32, i64)> {
    letter.origin.map(|(partition, offset)| (letter.position.place.topic, partition, offset))
}

/// When the letter's effect came after all; `None` as long as it is missing.
pub fn applied_at(letter: &Letter, applied: &AppliedAt) -> Option<DateTime<Utc>> {
    let event = letter.event?;
    applied.get(&(letter.position.region, letter.consumer.clone(), event)).copied()
}

/// The events that the letters are about, each once.
pub fn events(letters: &[Letter]) -> Vec<EventId> {
    let events: BTreeSet<EventId> = letters.iter().filter_map(|letter| letter.event).collect();
    events.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    fn offsets(standing: &Standing) -> Vec<(i64, usize)> {
        standing.open.iter().map(|open| (open.letter.position.place.offset, open.times)).collect()
    }

    fn none() -> Settlements {
        Settlements::default()
    }

    #[test]
    fn what_a_person_closed_is_not_open_and_not_counted_as_applied() {
        let stray = Letter { event: None, origin: Some((0, 1)), ..letter(0, EventId::generate(), 10) };
        let mut settlements = none();
        let at = stray.refused_at.unwrap_or_default();
        let by_whom = Settlement { refused_until: at, at, by: "ann".into(), reason: "a foreign producer".into() };
        settlements.add(&stray, by_whom.clone());
        let standing = stand(vec![stray.clone()], &AppliedAt::new(), &settlements);
        assert_eq!((standing.open.len(), standing.applied), (0, 0));
        assert_eq!(standing.settled, [(stray, by_whom)]);
    }

    #[test]
    fn a_record_that_was_replayed_in_vain_is_settled_wherever_it_lies() {
        let event = EventId::generate();
        let letters = [(0, 10, 7), (1, 20, 8)]
            .map(|(offset, seconds, origin)| Letter { origin: Some((2, origin)), ..letter(offset, event, seconds) });
        let mut settlements = none();
        let at = letters[1].refused_at.unwrap_or_default();
        let by_whom = Settlement { refused_until: at, at, by: "ann".into(), reason: "a foreign producer".into() };
        settlements.add(&letters[1], by_whom);
        let topic = letters[0].position.place.topic;
        let standing = stand(letters.into(), &AppliedAt::new(), &settlements);
        assert_eq!((standing.open.len(), standing.settled.len()), (0, 1));
        assert_eq!(standing.settled_at, BTreeSet::from([(topic, 2, 7), (topic, 2, 8)]));
    }

    fn applied(consumer: &str, event: EventId) -> AppliedAt {
        AppliedAt::from([((Region::East, consumer.to_owned(), event), DateTime::<Utc>::MIN_UTC)])
    }

    #[test]
    fn a_letter_is_open_until_its_own_consumer_has_applied_the_event() {
        let (event, other) = (EventId::generate(), EventId::generate());
        let letters = || vec![letter(0, event, 10)];
        assert_eq!(offsets(&stand(letters(), &AppliedAt::new(), &none())), [(0, 1)]);
        assert_eq!(offsets(&stand(letters(), &applied("inventory", event), &none())), [(0, 1)]);
        assert_eq!(offsets(&stand(letters(), &applied("payment", other), &none())), [(0, 1)]);
        let settled = stand(letters(), &applied("payment", event), &none());
        assert_eq!((settled.open.len(), settled.applied), (0, 1));
        let there = AppliedAt::from([((Region::West, "payment".to_owned(), event), DateTime::<Utc>::MIN_UTC)]);
        assert_eq!(offsets(&stand(letters(), &there, &none())), [(0, 1)]);
    }

    #[test]
    fn an_event_refused_again_is_one_open_letter_and_its_last_one() {
        let (event, other) = (EventId::generate(), EventId::generate());
        let letters = vec![letter(0, event, 10), letter(1, other, 20), letter(2, event, 30)];
        assert_eq!(offsets(&stand(letters, &AppliedAt::new(), &none())), [(1, 1), (2, 2)]);
    }

    #[test]
    fn what_has_no_event_id_is_told_apart_by_where_it_came_from_and_stays_open() {
        let event = EventId::generate();
        let stray = |offset, origin| Letter { event: None, origin: Some(origin), ..letter(offset, event, 10) };
        let letters = vec![stray(0, (0, 1)), stray(1, (0, 1)), stray(2, (0, 2))];
        assert_eq!(offsets(&stand(letters, &applied("payment", event), &none())), [(1, 2), (2, 1)]);
    }
}
