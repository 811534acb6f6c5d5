//! An order's id, or the beginning of one. Pure.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Hexadecimal digits of a UUID.
const DIGITS: usize = 32;

/// The ids that begin as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As it was written.
    text: String,
    /// The smallest of them.
    pub first: Uuid,
    /// The largest.
    pub last: Uuid,
}

/// The text does not begin like an order's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order's id is a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057, or the beginning of one")]
pub struct InvalidId;

impl FromStr for Wanted {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits: String = text.chars().filter(|symbol| *symbol != '-').collect();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if digits.is_empty() || digits.len() > DIGITS || !is_hex {
            return Err(InvalidId);
        }
        let filled = |filler: &str| format!("{digits}{}", filler.repeat(DIGITS - digits.len()));
        let uuid = |digits: String| Uuid::try_parse(&digits).map_err(|_| InvalidId);
        Ok(Self { text: text.to_owned(), first: uuid(filled("0"))?, last: uuid(filled("f"))? })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_means_itself_and_a_beginning_all_that_begin_so() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let whole: Wanted = id.parse().unwrap();
        assert_eq!((whole.first, whole.last), (id.parse().unwrap(), id.parse().unwrap()));
        let beginning: Wanted = "01890a5d-ac9".parse().unwrap();
        assert_eq!(beginning.first.to_string(), "01890a5d-ac90-0000-0000-000000000000");
        assert_eq!(beginning.last.to_string(), "01890a5d-ac9f-ffff-ffff-ffffffffffff");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for refused in ["", "-", "order", "01890a5d-ac96-774b-bcce-b302099a80571", "01890a5d ac96"] {
            assert_eq!(refused.parse::<Wanted>(), Err(InvalidId), "{refused:?}");
        }
    }
}
