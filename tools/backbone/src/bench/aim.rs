//! A figure, its aim, and the verdict: computed, so that no document flatters itself.

use std::fmt;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// How a figure did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// As it should be.
    Met,
    /// Not so, by this factor, above 1; infinite when there is none, as from nothing to something.
    MissedBy(f64),
}

impl Aim {
    /// Compares. What is not a number meets no aim.
    pub fn verdict(self, measured: f64) -> Verdict {
        let (met, factor) = match self {
            Self::AtMost(aim) => (measured <= aim, measured / aim),
            Self::AtLeast(aim) => (measured >= aim, aim / measured),
        };
        if met { Verdict::Met } else { Verdict::MissedBy(factor) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met => f.write_str("met"),
            Self::MissedBy(factor) if factor.is_finite() => write!(f, "**missed by a factor of {factor:.2}**"),
            Self::MissedBy(_) => f.write_str("**missed**"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_at_its_very_value() {
        assert_eq!(Aim::AtMost(30.0).verdict(30.0), Verdict::Met);
        assert_eq!(Aim::AtLeast(0.5).verdict(0.5), Verdict::Met);
    }

    #[test]
    fn a_missed_aim_says_by_how_much() {
        assert_eq!(Aim::AtMost(30.0).verdict(75.0).to_string(), "**missed by a factor of 2.50**");
        assert_eq!(Aim::AtLeast(0.5).verdict(0.125).to_string(), "**missed by a factor of 4.00**");
    }

    #[test]
    fn what_has_no_factor_is_missed_all_the_same() {
        for verdict in [
            Aim::AtMost(0.0).verdict(3.0),
            Aim::AtLeast(0.5).verdict(0.0),
            Aim::AtMost(1.0).verdict(f64::NAN),
            Aim::AtLeast(1.0).verdict(f64::NAN),
        ] {
            assert_eq!(verdict.to_string(), "**missed**");
        }
    }
}
