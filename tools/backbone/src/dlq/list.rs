//! `backbone dlq list`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use ids::Region;

use super::letter::Letter;
use super::settlement::Settlement;
use super::{Open, Which, ago, judged};
use crate::platform::{Layout, Progress};

/// Letters listed of a topic; the rest are counted.
const LISTED_MAX: usize = 20;

pub(super) async fn run(layout: &Layout, which: &Which, print: Progress<'_>) -> anyhow::Result<ExitCode> {
    let (mut open, mut applied, mut settled, mut cut_short) = (Vec::new(), 0, Vec::new(), Vec::new());
    for region in which.regions() {
        let judged = judged(layout, region, which.topics()).await?;
        open.extend(judged.standing.open);
        applied += judged.standing.applied;
        settled.extend(judged.standing.settled);
        cut_short.extend(judged.cut_short.into_iter().map(|topic| format!("{region} {topic}")));
    }
    print(&text(&open, &settled, applied, Utc::now()));
    for topic in cut_short {
        print(&format!("{topic}: there are more letters than are read at once; these are not all"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The open letters in words.
fn text(open: &[Open], settled: &[(Letter, Settlement)], applied: usize, now: DateTime<Utc>) -> String {
    let mut topics = BTreeMap::<(Region, &str), Vec<&Open>>::new();
    for one in open {
        topics.entry((one.letter.position.region, one.letter.position.place.topic)).or_default().push(one);
    }
    let mut lines = Vec::new();
    for ((region, topic), letters) in topics {
        let oldest = letters.first().and_then(|one| one.letter.refused_at);
        lines.push(format!("{region} {topic}: {} open, the oldest refused {}", letters.len(), ago(oldest, now)));
        lines.push(format!("  {}", causes(&letters)));
        lines.extend(letters.iter().take(LISTED_MAX).map(|one| format!("  {}", line(one, now))));
        if letters.len() > LISTED_MAX {
            lines.push(format!("  … and {} more", letters.len() - LISTED_MAX));
        }
    }
    lines.extend(settled.iter().rev().take(LISTED_MAX).map(|(letter, settlement)| {
        let (Settlement { by, reason, at, .. }, position) = (settlement, letter.position);
        format!("{position}  settled {} by {by}: {reason}", ago(Some(*at), now))
    }));
    let applied = match applied {
        0 => String::new(),
        1 => "; 1 letter was applied since".to_owned(),
        many => format!("; {many} letters were applied since"),
    };
    let closed = match settled.len() {
        0 => String::new(),
        count => format!("; {count} settled by hand"),
    };
    lines.push(match open.len() {
        0 => format!("no open dead letters{applied}{closed}"),
        1 => format!("1 open dead letter{applied}{closed}"),
        many => format!("{many} open dead letters{applied}{closed}"),
    });
    lines.join("\n")
}

/// How many of each class and consumer: `2 poison (payment), 1 retries_exhausted (inventory)`.
fn causes(letters: &[&Open]) -> String {
    let mut causes = BTreeMap::<(&str, &str), usize>::new();
    for one in letters {
        *causes.entry((&one.letter.class, &one.letter.consumer)).or_default() += 1;
    }
    let causes: Vec<String> =
        causes.into_iter().map(|((class, consumer), count)| format!("{count} {class} ({consumer})")).collect();
    causes.join(", ")
}

fn line(one: &Open, now: DateTime<Utc>) -> String {
    let letter = &one.letter;
    let event = letter.event.map_or_else(|| "no event".to_owned(), |event| format!("event {event}"));
    let times = if one.times > 1 { format!(", refused {} times", one.times) } else { String::new() };
    format!("{}  {}{times}  {event}: {}", letter.position, ago(letter.refused_at, now), letter.reason)
}

#[cfg(test)]
mod tests {
    use ids::EventId;

    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn each_topic_says_how_many_how_old_and_why_before_its_letters() {
        let event = EventId::generate();
        let open = [Open { letter: letter(0, event, 10), times: 1 }, Open { letter: letter(4, event, 100), times: 3 }];
        let now = DateTime::from_timestamp(130, 0).unwrap_or_default();
        let expected = format!(
            "east order.shipped.v1: 2 open, the oldest refused 2m ago\n  2 poison (payment)\n  \
             east/order.shipped.v1/2/0  2m ago  event {event}: it was told to be\n  \
             east/order.shipped.v1/2/4  30s ago, refused 3 times  event {event}: it was told to be\n\
             2 open dead letters; 1 letter was applied since"
        );
        assert_eq!(text(&open, &[], 1, now), expected);
    }

    #[test]
    fn what_was_settled_by_hand_says_by_whom_and_why() {
        let at = DateTime::from_timestamp(100, 0).unwrap_or_default();
        let by_whom = Settlement { refused_until: at, at, by: "ann".into(), reason: "a foreign producer".into() };
        let settled = [(letter(0, EventId::generate(), 10), by_whom)];
        let now = DateTime::from_timestamp(130, 0).unwrap_or_default();
        let expected = "east/order.shipped.v1/2/0  settled 30s ago by ann: a foreign producer\n\
                        no open dead letters; 1 settled by hand";
        assert_eq!(text(&[], &settled, 0, now), expected);
    }

    #[test]
    fn nothing_open_is_said_in_a_line() {
        assert_eq!(text(&[], &[], 0, Utc::now()), "no open dead letters");
    }

    #[test]
    fn a_flood_is_counted_and_not_listed() {
        let open: Vec<Open> =
            (0..50).map(|offset| Open { letter: letter(offset, EventId::generate(), 10), times: 1 }).collect();
        let text = text(&open, &[], 0, Utc::now());
        assert_eq!(text.lines().count(), 2 + LISTED_MAX + 2);
        assert!(text.contains("… and 30 more"), "{text}");
    }
}
