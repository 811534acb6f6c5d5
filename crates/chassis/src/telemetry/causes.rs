//! An error with its causes, on one line.

use std::error::Error;
use std::fmt;

/// Causes shown at most: a chain that is longer than this goes round in circles.
const CAUSES_MAX: usize = 16;

/// Shows an error and, after it, each of its causes: `replication failed: the store failed: … read-only transaction`. A cause that the text
/// already ends with is not said twice: some errors show theirs themselves.
pub struct Causes<'a>(&'a (dyn Error + 'static));

/// For logs: what went wrong, and why.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> Causes<'a> {
    Causes(error)
}

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        for _ in 0..CAUSES_MAX {
            let Some(cause) = next else { break };
            let text = cause.to_string();
            if !text.is_empty() && !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Fault {
        #[error("replication was interrupted")]
        Interrupted(#[source] Box<Fault>),
        #[error("the store failed: {0}")]
        Store(#[source] Box<Fault>),
        #[error("read-only transaction")]
        ReadOnly,
    }

    #[test]
    fn each_cause_is_said_once() {
        let store = Fault::Store(Box::new(Fault::ReadOnly));
        assert_eq!(causes(&store).to_string(), "the store failed: read-only transaction");
        let whole = Fault::Interrupted(Box::new(store));
        assert_eq!(causes(&whole).to_string(), "replication was interrupted: the store failed: read-only transaction");
    }
}
