//! The other region's answer to a request for rights.

use std::collections::{BTreeMap, BTreeSet};

use ids::OfferId;

use super::Lines;

/// What the other region granted of what it was asked for: only offers that were asked, 1 unit to what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant(BTreeMap<OfferId, i64>);

/// The answer cannot be true. Crediting it would make stock out of nothing, so it is not credited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("granted {granted} of {offer_id} where {asked} were asked for")]
pub struct GrantExceedsAsk {
    /// The offer.
    pub offer_id: OfferId,
    /// Units asked for; 0 if the offer was not asked for.
    pub asked: i64,
    /// Units granted according to the answer.
    pub granted: i64,
}

impl Grant {
    /// Checks the other side's answer against the question (a pair assertion: the other side bounds its grant as well).
    ///
    /// # Errors
    /// [`GrantExceedsAsk`] for the first offer that was granted twice, below 1 or beyond what was asked.
    pub fn check(asked: &Lines, granted: impl IntoIterator<Item = (OfferId, i64)>) -> Result<Self, GrantExceedsAsk> {
        let asked: BTreeMap<_, _> = asked.iter().map(|line| (&line.offer_id, line.units)).collect();
        let mut checked = BTreeMap::new();
        for (offer_id, units) in granted {
            let asked = asked.get(&offer_id).copied().unwrap_or(0);
            if units < 1 || units > asked || checked.contains_key(&offer_id) {
                return Err(GrantExceedsAsk { offer_id, asked, granted: units });
            }
            checked.insert(offer_id, units);
        }
        Ok(Self(checked))
    }

    /// Offers of which less was granted than asked: the other region had no more of them at that moment.
    pub fn exhausted(&self, asked: &Lines) -> BTreeSet<OfferId> {
        let short = asked.iter().filter(|line| self.0.get(&line.offer_id).copied().unwrap_or(0) < line.units);
        short.map(|line| line.offer_id.clone()).collect()
    }

    /// The offers granted, in order: the first of two parallel arrays for a statement.
    pub fn offer_ids(&self) -> Vec<&str> {
        self.0.keys().map(OfferId::as_str).collect()
    }

    /// The units granted, in the order of [`Self::offer_ids`].
    pub fn units(&self) -> Vec<i64> {
        self.0.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(granted: &[(&str, i64)]) -> Result<Grant, GrantExceedsAsk> {
        let asked = Lines::parse([("a", 3), ("b", 2)].into_iter()).unwrap();
        Grant::check(&asked, granted.iter().map(|(id, units)| (id.parse().unwrap(), *units)))
    }

    #[test]
    fn less_than_asked_is_a_grant_and_says_what_is_exhausted() {
        let asked = Lines::parse([("a", 3), ("b", 2)].into_iter()).unwrap();
        assert!(check(&[("a", 3), ("b", 2)]).unwrap().exhausted(&asked).is_empty());
        assert_eq!(check(&[("a", 2)]).unwrap().exhausted(&asked), ["a", "b"].map(|id| id.parse().unwrap()).into());
    }

    #[test]
    fn units_out_of_nothing_are_refused() {
        for granted in [&[("a", 4)][..], &[("c", 1)], &[("a", 0)], &[("a", -1)], &[("a", 1), ("a", 1)]] {
            assert!(check(granted).is_err(), "{granted:?}");
        }
    }
}
