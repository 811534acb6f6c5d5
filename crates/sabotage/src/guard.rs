//! Guards that can be taken away, to see that the drills notice.

use std::fmt;
use std::str::FromStr;

/// A guard of "exactly one effect". Each is named for what is missing without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// A consumer skips events whose inbox row it finds. Without it, each delivery has its effect.
    InboxCheck,
    /// A driver's write is refused when its lease has gone to another. Without it, a zombie writes.
    FencingCheck,
    /// Repeats of a call reach the provider under the same key. Without it, under a new one each time.
    ProviderKey,
    /// Events leave only after their transaction has committed. Without it, before.
    PublishAfterCommit,
}

/// There is no guard of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no guard is called {0:?}; there are {all}", all = Guard::ALL.map(Guard::name).join(", "))]
pub struct UnknownGuard(String);

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 4] = [Self::InboxCheck, Self::FencingCheck, Self::ProviderKey, Self::PublishAfterCommit];

    /// The name on command lines and in the environment.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InboxCheck => "inbox-check",
            Self::FencingCheck => "fencing-check",
            Self::ProviderKey => "provider-key",
            Self::PublishAfterCommit => "publish-after-commit",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Guard {
    type Err = UnknownGuard;

    fn from_str(text: &str) -> Result<Self, UnknownGuard> {
        Self::ALL.into_iter().find(|guard| guard.name() == text).ok_or_else(|| UnknownGuard(text.to_owned()))
    }
}

/// Whether `guard` is taken away in this process ([`crate::GUARDS_VARIABLE`]). Always false unless the feature `armed` is on.
#[inline]
pub fn is_removed(guard: Guard) -> bool {
    #[cfg(feature = "armed")]
    return crate::armed::is_removed(guard);
    #[cfg(not(feature = "armed"))]
    {
        let _ = guard;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_found_by_its_name() {
        for guard in Guard::ALL {
            assert_eq!(guard.name().parse(), Ok(guard));
        }
        let error = "luck".parse::<Guard>().map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("\"luck\"") && text.contains("inbox-check")));
    }
}
