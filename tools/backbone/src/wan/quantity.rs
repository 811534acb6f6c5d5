//! Quantities as people write them: `80ms`, `1%`, `10mbit`.

use std::str::FromStr;
use std::time::Duration;

use wan::properties::{BANDWIDTH_MAX, BANDWIDTH_MIN, DELAY_MAX, PROBABILITY_MAX};

/// A round trip or a jitter, such as `80ms`.
///
/// # Errors
/// Not a time, or longer than the link takes.
pub fn parse_delay(text: &str) -> Result<Duration, String> {
    let delay = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if delay <= DELAY_MAX * 2 { Ok(delay) } else { Err(format!("at most {:?}", DELAY_MAX * 2)) }
}

/// A share of all segments: `1%` or `0.01`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability(pub f64);

impl FromStr for Probability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
        let share = number.parse::<f64>().map_err(|_| "a share is written like 1% or 0.01".to_owned())? / scale;
        // NaN is in no range.
        if (0.0..=PROBABILITY_MAX).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("from 0 to {}%; to lose everything, cut the link", PROBABILITY_MAX * 100.0))
        }
    }
}

/// Bits per second: `512kbit`, `10mbit`, `1gbit`; 0 stands for unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth(pub u64);

impl FromStr for Bandwidth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self(0));
        }
        let units = [("kbit", 1_000_u64), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];
        let bits = units.into_iter().find_map(|(unit, scale)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(scale)
        });
        match bits {
            Some(bits) if (BANDWIDTH_MIN..=BANDWIDTH_MAX).contains(&bits) => Ok(Self(bits)),
            Some(_) => Err("from 64kbit to 100gbit".to_owned()),
            None => Err("a bandwidth is a whole number with kbit, mbit or gbit, or unlimited".to_owned()),
        }
    }
}

/// A bandwidth as one would write it.
pub fn bandwidth(bits: u64) -> String {
    match bits {
        0 => "unlimited".to_owned(),
        bits if bits.is_multiple_of(1_000_000_000) => format!("{}gbit", bits / 1_000_000_000),
        bits if bits.is_multiple_of(1_000_000) => format!("{}mbit", bits / 1_000_000),
        bits => format!("{}kbit", bits / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_bandwidths_are_read_and_nonsense_is_not() {
        assert_eq!("2.5%".parse(), Ok(Probability(0.025)));
        assert_eq!("0".parse(), Ok(Probability(0.0)));
        for refused in ["", "%", "x", "-1%", "51%", "NaN", "1e3"] {
            assert!(refused.parse::<Probability>().is_err(), "{refused:?}");
        }
        for (text, bits) in [("unlimited", 0), ("64kbit", 64_000), ("10mbit", 10_000_000), ("1gbit", 1_000_000_000)] {
            assert_eq!(text.parse(), Ok(Bandwidth(bits)));
            assert_eq!(bandwidth(bits), text);
        }
        for refused in ["", "10", "1kbit", "mbit", "99999999999999999999mbit", "1.5mbit", "101gbit"] {
            assert!(refused.parse::<Bandwidth>().is_err(), "{refused:?}");
        }
        assert!(parse_delay("21s").is_err());
    }
}
