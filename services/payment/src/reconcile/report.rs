//! What a run found, as a person reads it.

use std::fmt;

use super::About;
use crate::psp::Span;
use crate::store::OpenDifference;

/// A finished run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The span it looked at.
    pub span: Span,
    /// The provider's authorisations in it.
    pub intents: usize,
    /// The provider's refunds in it.
    pub refunds: usize,
    /// Our payments and refunds that were looked for at the provider.
    pub counted_on: usize,
    /// Left out because they have just changed.
    pub fresh: usize,
    /// Differences that were not known before.
    pub new: usize,
    /// Differences that are gone.
    pub resolved: usize,
    /// All that differs now, the oldest first; bounded.
    pub open: Vec<OpenDifference>,
}

impl Report {
    /// Whether the books agree.
    pub const fn agrees(&self) -> bool {
        self.open.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = (self.span.to - self.span.from) / 3_600;
        writeln!(
            f,
            "looked at {hours} h: {} authorisations and {} refunds of the provider, {} of ours; {} changed just now and were left out",
            self.intents, self.refunds, self.counted_on, self.fresh
        )?;
        for OpenDifference { difference, age, .. } in &self.open {
            let what = match difference.about {
                About::Payment => "order",
                About::Refund => "refund",
            };
            writeln!(f, "\n {} {what} {} ({})", difference.kind.name(), difference.reference, difference.subject)?;
            writeln!(f, "   here:  {}", difference.here)?;
            writeln!(f, "   there: {}", difference.there)?;
            writeln!(f, "   known for {} s", age.as_secs())?;
        }
        if self.agrees() {
            writeln!(f, "the books agree ({} differences resolved)", self.resolved)
        } else {
            writeln!(f, "\n{} differences, {} of them new, {} resolved", self.open.len(), self.new, self.resolved)
        }
    }
}
