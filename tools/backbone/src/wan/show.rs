//! The link in words. Pure.

use std::time::Duration;

use comfy_table::{Table, presets};
use wan::wire::View;
use wan::{Directed, Direction};

use super::quantity::bandwidth;

/// What there is to say of a direction, if anything.
type Say = fn(&View) -> Option<String>;

/// One line: `wan: 80 ms round trip, both ways open`.
pub fn summary(link: &Directed<View>) -> String {
    let properties: [(&str, Say); 4] = [
        ("jitter", |way| (way.jitter_us > 0).then(|| milliseconds(way.jitter_us))),
        ("loss", |way| (way.loss > 0.0).then(|| percent(way.loss))),
        ("reorder", |way| (way.reorder > 0.0).then(|| percent(way.reorder))),
        ("bandwidth", |way| (way.bandwidth_bits_per_s > 0).then(|| bandwidth(way.bandwidth_bits_per_s))),
    ];
    let mut parts = vec![format!("{} round trip", milliseconds(link.east_west.delay_us + link.west_east.delay_us))];
    for (name, of) in properties {
        parts.extend(both_or_each(link, of).into_iter().map(|(ways, value)| format!("{name} {value} {ways}")));
    }
    let cuts = both_or_each(link, cut);
    if cuts.is_empty() {
        parts.push("both ways open".to_owned());
    }
    parts.extend(cuts.into_iter().map(|(ways, since)| format!("CUT {ways} {since}")));
    format!("wan: {}", parts.join(", "))
}

/// What there is to say of each direction, with its name; what is so in both is said once.
fn both_or_each(link: &Directed<View>, say: Say) -> Vec<(String, String)> {
    let [there, back] = Direction::ALL.map(|direction| say(link.of(direction)));
    if there == back {
        return there.map(|said| ("both ways".to_owned(), said)).into_iter().collect();
    }
    let each = Direction::ALL.into_iter().zip([there, back]);
    each.filter_map(|(direction, said)| Some((direction.to_string(), said?))).collect()
}

fn cut(way: &View) -> Option<String> {
    let since = seconds(way.cut_for_ms?);
    let heals = way.heals_in_ms.map(|ms| format!(" (heals in {})", seconds(ms))).unwrap_or_default();
    Some(format!("for {since}{heals}"))
}

/// Everything, a direction per line.
pub fn table(link: &Directed<View>) -> String {
    let mut table = Table::new();
    let header =
        ["DIRECTION", "STATE", "DELAY", "JITTER", "LOSS", "REORDER", "BANDWIDTH", "DIALLED", "CARRIED", "HELD"];
    table.load_style(presets::NOTHING).set_header(header);
    for direction in Direction::ALL {
        let way = link.of(direction);
        table.add_row([
            direction.to_string(),
            cut(way).map_or_else(|| "open".to_owned(), |since| format!("CUT {since}")),
            milliseconds(way.delay_us),
            milliseconds(way.jitter_us),
            percent(way.loss),
            percent(way.reorder),
            bandwidth(way.bandwidth_bits_per_s),
            way.connections_open.to_string(),
            bytes(way.bytes_carried),
            bytes(way.bytes_held),
        ]);
    }
    table.to_string()
}

fn milliseconds(us: u64) -> String {
    format!("{} ms", us as f64 / 1_000.0)
}

fn seconds(ms: u64) -> String {
    humantime::format_duration(Duration::from_secs(ms / 1_000)).to_string()
}

fn percent(share: f64) -> String {
    format!("{}%", (share * 10_000.0).round() / 100.0)
}

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(east_west: View, west_east: View) -> Directed<View> {
        Directed { east_west, west_east }
    }

    #[test]
    fn a_line_says_how_slow_it_is_and_whether_it_is_cut() {
        let good = View { delay_us: 40_000, ..View::default() };
        assert_eq!(summary(&link(good, good)), "wan: 80 ms round trip, both ways open");
        let cut = View { cut_for_ms: Some(12_345), ..good };
        assert_eq!(summary(&link(cut, good)), "wan: 80 ms round trip, CUT east->west for 12s");
        let healing = View { cut_for_ms: Some(999), heals_in_ms: Some(30_000), ..good };
        let expected = "wan: 80 ms round trip, CUT both ways for 0s (heals in 30s)";
        assert_eq!(summary(&link(healing, healing)), expected);
        let poor = View { loss: 0.01, bandwidth_bits_per_s: 10_000_000, delay_us: 500, ..View::default() };
        let expected = "wan: 40.5 ms round trip, loss 1% east->west, bandwidth 10mbit east->west, both ways open";
        assert_eq!(summary(&link(poor, good)), expected);
        assert!(table(&link(poor, cut)).contains("CUT for 12s"));
    }
}
