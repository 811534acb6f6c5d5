//! Counts what is said again instead of writing it: the rule, without a clock of its own.
//!
//! A warning that comes again within its window is counted; the next one after the window is written with the count, and the window
//! doubles. A count that nobody comes to write is written by [`Repeats::overdue`]. So a trouble that lasts costs a line every five
//! minutes, and no line says less than happened.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a line keeps others like it away, at first.
const WINDOW_MIN: Duration = Duration::from_secs(10);
/// The longest that it does.
const WINDOW_MAX: Duration = Duration::from_secs(300);
/// Different lines remembered at once. Beyond them lines are written as they come: some megabyte of memory is enough for this.
const LINES_MAX: usize = 1_024;

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it. So many like it were not written since the last one.
    Write(u64),
    /// Only counted.
    Counted,
}

/// The lines of late.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    lines: HashMap<u64, Line>,
}

#[derive(Debug)]
struct Line {
    text: String,
    written_at: Instant,
    window: Duration,
    counted: u64,
}

impl Repeats {
    /// `key`: the same for lines that say the same. `text`: what a count is written under later.
    pub(super) fn line(&mut self, key: u64, text: impl FnOnce() -> String, now: Instant) -> Verdict {
        if let Some(line) = self.lines.get_mut(&key) {
            if now < line.written_at + line.window {
                line.counted += 1;
                return Verdict::Counted;
            }
            line.written_at = now;
            line.window = (line.window * 2).min(WINDOW_MAX);
            return Verdict::Write(std::mem::take(&mut line.counted));
        }
        if self.lines.len() < LINES_MAX {
            self.lines.insert(key, Line { text: text(), written_at: now, window: WINDOW_MIN, counted: 0 });
        }
        Verdict::Write(0)
    }

    /// Counts whose windows have passed, to be written now; forgets lines that did not come again.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(String, u64)> {
        let mut overdue = Vec::new();
        self.lines.retain(|_, line| {
            if now < line.written_at + line.window {
                return true;
            }
            if line.counted == 0 {
                return false;
            }
            overdue.push((line.text.clone(), std::mem::take(&mut line.counted)));
            line.written_at = now;
            line.window = (line.window * 2).min(WINDOW_MAX);
            true
        });
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn an_hour_of_one_warning_a_second_is_some_lines_that_count_them_all() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let (mut written, mut counted) = (0, 0);
        for second in 0..3600 {
            match repeats.line(1, String::new, start + S * second) {
                Verdict::Write(before) => (written, counted) = (written + 1, counted + before),
                Verdict::Counted => {}
            }
        }
        counted += repeats.overdue(start + S * 7200).iter().map(|(_, count)| count).sum::<u64>();
        assert!((2..=20).contains(&written), "{written} lines");
        assert_eq!(written + counted, 3600);
    }

    #[test]
    fn a_count_is_written_although_the_warning_does_not_come_again() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.line(1, || "no answer".into(), start), Verdict::Write(0));
        assert_eq!(repeats.line(1, || "no answer".into(), start + S), Verdict::Counted);
        assert_eq!(
            repeats.line(2, || "another".into(), start + S),
            Verdict::Write(0),
            "another line is another matter"
        );
        assert_eq!(repeats.overdue(start + 5 * S), []);
        assert_eq!(repeats.overdue(start + 10 * S), [("no answer".to_owned(), 1)]);
        assert_eq!(repeats.overdue(start + 400 * S), [], "and it is forgotten then");
        assert!(repeats.lines.is_empty());
    }

    #[test]
    fn it_remembers_no_more_than_it_may() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for key in 0..5_000 {
            assert_eq!(repeats.line(key, String::new, now), Verdict::Write(0));
        }
        assert_eq!(repeats.lines.len(), LINES_MAX);
    }
}
