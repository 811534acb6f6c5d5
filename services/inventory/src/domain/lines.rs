//! The lines of a request: which offers, how many units of each.

use std::collections::HashMap;

use ids::OfferId;
use sha2::{Digest as _, Sha256};

/// Most lines of one request: as many as a cart has.
pub const LINES_MAX: usize = limits::LINES_MAX;

/// Most units of one line. With it, the sum over the lines of any request stays far below `i64::MAX`.
pub const UNITS_MAX: i64 = limits::LINE_UNITS_MAX;

/// Most mistakes reported for one request: enough to fix it by, and the answer stays small.
const MISTAKES_MAX: usize = 20;

/// Units of one offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The offer.
    pub offer_id: OfferId,
    /// Units, 1 to [`UNITS_MAX`].
    pub units: i64,
}

/// Valid lines: 1 to [`LINES_MAX`], each offer once, sorted by offer.
///
/// The order matters twice: rows are locked in it, so that two orders never wait for each other in a circle, and the
/// digest is taken over it, so that a client may repeat a request with its lines in another order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines(Vec<Line>);

/// What is wrong with one field of a request's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLine {
    /// The field, such as `lines[3].units`.
    pub field: String,
    /// What it should be.
    pub description: String,
}

/// SHA-256 of a request, by which a repeat is told from another request under the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The bytes, as stored.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Lines {
    /// Checks the lines of a request, given as offer and units.
    ///
    /// # Errors
    /// Every mistake found (at most 20), each with its field.
    pub fn parse<'a>(lines: impl ExactSizeIterator<Item = (&'a str, i64)>) -> Result<Self, Vec<InvalidLine>> {
        if lines.len() == 0 || lines.len() > LINES_MAX {
            let description = format!("must have 1 to {LINES_MAX} lines, has {}", lines.len());
            return Err(vec![InvalidLine { field: "lines".to_owned(), description }]);
        }
        let mut first_seen = HashMap::with_capacity(lines.len());
        let mut parsed = Vec::with_capacity(lines.len());
        let mut mistakes = Vec::new();
        for (index, (offer_id, units)) in lines.enumerate() {
            let mut mistake = |field, description| {
                mistakes.push(InvalidLine { field: format!("lines[{index}].{field}"), description })
            };
            if !(1..=UNITS_MAX).contains(&units) {
                mistake("units", format!("must be 1 to {UNITS_MAX}, is {units}"));
            }
            match offer_id.parse::<OfferId>() {
                Err(error) => mistake("offer_id", error.to_string()),
                Ok(offer_id) => match first_seen.insert(offer_id.clone(), index) {
                    Some(first) => mistake("offer_id", format!("is the offer of lines[{first}] again")),
                    None => parsed.push(Line { offer_id, units }),
                },
            }
        }
        if !mistakes.is_empty() {
            mistakes.truncate(MISTAKES_MAX);
            return Err(mistakes);
        }
        parsed.sort_unstable_by(|left, right| left.offer_id.cmp(&right.offer_id));
        Ok(Self(parsed))
    }

    /// Lines that are already checked and sorted: a part of other lines, or rows read in order. `None` if there are none.
    pub(crate) fn from_sorted(lines: Vec<Line>) -> Option<Self> {
        debug_assert!(lines.is_sorted_by(|left, right| left.offer_id < right.offer_id), "unsorted lines: {lines:?}");
        if lines.is_empty() { None } else { Some(Self(lines)) }
    }

    /// The lines, by offer.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.0.iter()
    }

    /// The offers, in order: the first of two parallel arrays for a statement.
    pub fn offer_ids(&self) -> Vec<&str> {
        self.0.iter().map(|line| line.offer_id.as_str()).collect()
    }

    /// The units, in the order of [`Self::offer_ids`].
    pub fn units(&self) -> Vec<i64> {
        self.0.iter().map(|line| line.units).collect()
    }

    /// The digest of these lines in a request that also says `context` (empty if it says nothing else).
    ///
    /// Stored: a change of the encoding makes every key in use look reused. Lengths are part of it, so that no two
    /// requests share an encoding.
    pub fn digest(&self, context: &str) -> Digest {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        part(context.as_bytes());
        for line in &self.0 {
            part(line.offer_id.as_str().as_bytes());
            part(&line.units.to_be_bytes());
        }
        Digest(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mistakes(lines: &[(&str, i64)]) -> Vec<String> {
        Lines::parse(lines.iter().copied()).unwrap_err().into_iter().map(|mistake| mistake.field).collect()
    }

    #[test]
    fn every_mistake_is_named_by_its_field() {
        assert_eq!(mistakes(&[]), ["lines"]);
        assert_eq!(mistakes(&vec![("a", 1); LINES_MAX + 1]), ["lines"]);
        assert_eq!(
            mistakes(&[("a", 0), ("b c", 1), ("a", -1)]),
            ["lines[0].units", "lines[1].offer_id", "lines[2].units", "lines[2].offer_id"]
        );
        assert_eq!(mistakes(&[("a", UNITS_MAX + 1)]), ["lines[0].units"]);
        assert_eq!(mistakes(&vec![("a", i64::MIN); LINES_MAX]).len(), MISTAKES_MAX);
    }

    #[test]
    fn the_digest_tells_units_offers_and_context_apart() {
        let digest = |lines: &[(&str, i64)], context| Lines::parse(lines.iter().copied()).unwrap().digest(context);
        let digests = [
            digest(&[("a", 1), ("b", 2)], ""),
            digest(&[("a", 2), ("b", 1)], ""),
            digest(&[("a", 1)], ""),
            digest(&[("a", 1), ("b", 2)], "east"),
        ];
        for (index, one) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(one), "digest {index}");
        }
    }

    proptest! {
        #[test]
        fn prop_the_order_of_lines_changes_nothing(
            lines in prop::collection::btree_map("[a-z]{1,3}", 1..=UNITS_MAX, 1..20).prop_map(Vec::from_iter),
            rotation in 0_usize..20,
        ) {
            let mut rotated = lines.clone();
            rotated.rotate_left(rotation % lines.len());
            let parse = |lines: &[(String, i64)]| Lines::parse(lines.iter().map(|(id, units)| (id.as_str(), *units)));
            prop_assert_eq!(parse(&lines).unwrap().digest(""), parse(&rotated).unwrap().digest(""));
            prop_assert_eq!(parse(&lines), parse(&rotated));
        }
    }
}
