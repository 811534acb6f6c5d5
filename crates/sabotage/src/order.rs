//! What a crash point is ordered to do.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// What happens to who passes the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process dies on the spot, as by `kill -9`: nothing unwinds, nothing is flushed.
    Kill,
    /// The whole process is frozen, as by `kill -STOP`, until somebody continues it. It wakes as a zombie: with leases that have lapsed, and
    /// unaware of it.
    Freeze,
    /// The task is held up for this long while the rest of the process goes on, so that it wakes with an old lease.
    Pause(Duration),
    /// The task never goes on. For tests, which then drop it: a crash of the task without one of the process.
    Hang,
}

/// One use of one point: `order.place.before-commit=kill`, `…=freeze`, `…=pause:3000` (milliseconds), `…=hang`, each also with `@n` for the
/// n-th time that the point is passed from now on; without it, the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The point's name.
    pub point: String,
    /// What happens there.
    pub action: Action,
    /// At which passing, the next being 1. Then the order is done.
    pub passing: NonZeroU32,
}

/// The text is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not <point>=kill, <point>=freeze, <point>=pause:<milliseconds> or <point>=hang, each with or without @<passing>"
)]
pub struct InvalidOrder(String);

impl FromStr for Order {
    type Err = InvalidOrder;

    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        let invalid = || InvalidOrder(text.to_owned());
        let (point, what) = text.split_once('=').ok_or_else(invalid)?;
        let (action, passing) = what.split_once('@').unwrap_or((what, "1"));
        let action = match action.split_once(':') {
            None if action == "kill" => Action::Kill,
            None if action == "freeze" => Action::Freeze,
            None if action == "hang" => Action::Hang,
            Some(("pause", ms)) => Action::Pause(Duration::from_millis(ms.parse().map_err(|_| invalid())?)),
            _ => return Err(invalid()),
        };
        if point.is_empty() {
            return Err(invalid());
        }
        Ok(Self { point: point.to_owned(), action, passing: passing.parse().map_err(|_| invalid())? })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, action, passing } = self;
        match action {
            Action::Kill => write!(f, "{point}=kill@{passing}"),
            Action::Freeze => write!(f, "{point}=freeze@{passing}"),
            Action::Pause(time) => write!(f, "{point}=pause:{}@{passing}", time.as_millis()),
            Action::Hang => write!(f, "{point}=hang@{passing}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_back_as_it_is_written() {
        for text in ["a.b.before-commit=kill@1", "a.b.after-call=pause:3000@7", "x=freeze@3", "x=hang@2"] {
            assert_eq!(text.parse::<Order>().unwrap().to_string(), text);
        }
        assert_eq!("x=kill".parse::<Order>().unwrap().passing.get(), 1);
    }

    #[test]
    fn what_is_no_order_is_refused_with_the_form_of_one() {
        for text in ["", "x", "=kill", "x=die", "x=pause", "x=pause:soon", "x=kill@0", "x=kill@"] {
            assert!(text.parse::<Order>().is_err(), "{text:?}");
        }
    }
}
