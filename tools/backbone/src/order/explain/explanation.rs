//! The answer, for people and as JSON. Pure.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::facts::Facts;
use super::heading;
use super::heading::clock;
use super::timeline::{self, Moment};
use super::waits::{self, Verdict};

/// What is told of an order.
#[derive(Debug, Serialize)]
pub struct Explanation {
    order_id: String,
    state: String,
    verdict: Verdict,
    /// Names and what there is to say of each; a name may come again, and an empty one goes on with the last.
    heading: Vec<(&'static str, String)>,
    traces: Vec<String>,
    timeline: Vec<Moment>,
    /// What could not be read.
    unread: Vec<String>,
    /// What was read in part.
    notes: Vec<String>,
}

/// Explains the order.
pub fn of(facts: &Facts) -> Explanation {
    let partly = facts.partly_read.iter().map(|(region, topic)| {
        format!("not all of {region} {topic} since the order could be read; events may be missing here")
    });
    let logs = (facts.logs_more > 0).then(|| format!("{} earlier log lines are not shown", facts.logs_more));
    let moved = facts.moved.then(|| "it moved while it was read: what it waits for may have come meanwhile".to_owned());
    Explanation {
        order_id: facts.order_id.to_string(),
        state: facts.order.state.clone(),
        verdict: waits::verdict(facts),
        heading: heading::of(facts),
        traces: facts.traces().into_iter().map(|(trace, _)| trace).collect(),
        timeline: timeline::of(facts),
        unread: facts.unread.clone(),
        notes: partly.chain(logs).chain(moved).collect(),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "order {}", self.order_id)?;
        for (name, what) in &self.heading {
            writeln!(f, "  {name:<9} {what}")?;
        }
        if let Some(first) = self.timeline.first() {
            writeln!(f, "\n{} UTC", first.at.format("%Y-%m-%d"))?;
        }
        let widest = self.timeline.iter().map(|moment| moment.place.len()).max().unwrap_or_default();
        for moment in &self.timeline {
            let (place, since) = (&moment.place, self.since_begin(moment.at));
            writeln!(f, "  {}  {since:>11}  {place:<widest$}  {}", clock(moment.at), moment.what)?;
        }
        writeln!(f)?;
        for line in self.unread.iter().chain(&self.notes) {
            writeln!(f, "  {line}")?;
        }
        match &self.verdict {
            Verdict::Settled => write!(f, "settled: {}, and nothing is left to happen by itself", self.state),
            Verdict::Unknown => write!(f, "cannot tell whether it is settled: not everything could be read"),
            Verdict::Waits(waits) => {
                write!(f, "not settled; it waits for")?;
                waits.iter().try_for_each(|wait| write!(f, "\n  {wait}"))
            }
        }
    }
}

impl Explanation {
    fn since_begin(&self, at: DateTime<Utc>) -> String {
        let begin = self.timeline.first().map_or(at, |first| first.at);
        format!("+{:.3} s", (at - begin).as_seconds_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::captured;
    use super::*;

    #[test]
    fn it_ends_with_what_it_comes_to() {
        let mut facts = captured();
        let text = of(&facts).to_string();
        assert_eq!(text.lines().last(), Some("settled: shipped, and nothing is left to happen by itself"));
        facts.order.captured = false;
        let text = of(&facts).to_string();
        assert!(
            text.ends_with("not settled; it waits for\n  its money: shipped, and not known to be captured"),
            "{text}"
        );
        facts.order.captured = true;
        facts.unread.push("cannot read the west Kafka: away".to_owned());
        let text = of(&facts).to_string();
        assert!(text.contains("\n  cannot read the west Kafka: away\ncannot tell whether"), "{text}");
    }

    #[test]
    fn times_are_told_from_the_first_moment_on() {
        let text = of(&captured()).to_string();
        let first = text.lines().find(|line| line.contains("checkout begun")).unwrap();
        assert!(first.contains("+0.000 s"), "{text}");
        assert!(text.contains("+0.020 s"), "{text}");
    }

    #[test]
    fn as_json_it_is_the_same() {
        let facts = captured();
        let written: serde_json::Value = serde_json::to_value(of(&facts)).unwrap();
        assert_eq!(written["verdict"], "settled");
        assert_eq!(written["order_id"], facts.order_id.to_string());
        assert_eq!(written["traces"][0], "ab".repeat(16));
        assert!(written["timeline"].as_array().unwrap().len() > 10);
    }
}
