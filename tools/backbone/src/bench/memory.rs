//! Memory of each process and of the whole, before the load and after it.

use super::aim::Aim;
use super::table::{Figures, fill};
use crate::platform::PartStatus;
use crate::platform::services::Service;

const SECTION: &str = include_str!("sections/memory.md");
/// A service of ours under load, in bytes.
const SERVICE_BYTES_AIM: f64 = 40e6;
/// Both whole regions, brokers and databases included, in bytes.
const WHOLE_BYTES_AIM: f64 = 2.5e9;

/// The section's text.
///
/// `before` and `after`: the same parts, in the same order.
pub fn section(measured_with: &str, before: &[PartStatus], after: &[PartStatus]) -> String {
    fill(
        SECTION,
        &[
            ("measured_with", measured_with),
            ("figures", figures(before, after).markdown()),
            ("parts", parts(before, after).trim_end()),
        ],
    )
}

fn figures(before: &[PartStatus], after: &[PartStatus]) -> Figures {
    let mut figures = Figures::default();
    // A process that hides its memory makes a sum of the others a lie.
    let whole = |parts: &[PartStatus]| parts.iter().map(|part| part.memory_bytes).sum::<Option<u64>>();
    let verdict = |bytes: Option<u64>, aim| Aim::AtMost(aim).verdict(bytes.map_or(f64::NAN, |bytes| bytes as f64));
    let after_all = whole(after);
    let verdict_whole = verdict(after_all, WHOLE_BYTES_AIM);
    figures.add_aimed(
        "both whole regions and the provider, after the replay",
        mebibytes(after_all),
        "2.5 GB",
        verdict_whole,
    );
    figures.add("the same, before it", mebibytes(whole(before)));
    let largest = after
        .iter()
        .filter(|part| Service::ALL.iter().any(|service| service.name() == part.name.name))
        .max_by_key(|part| part.memory_bytes.unwrap_or(u64::MAX));
    if let Some(part) = largest {
        let bytes = part.memory_bytes;
        let measured = format!("{} ({})", mebibytes(bytes), part.name);
        figures.add_aimed(
            "our largest service, after the replay",
            measured,
            "40 MB",
            verdict(bytes, SERVICE_BYTES_AIM),
        );
    }
    figures
}

fn parts(before: &[PartStatus], after: &[PartStatus]) -> String {
    let mut rows = String::new();
    for (before, after) in before.iter().zip(after) {
        let (name, before, after) = (&after.name, mebibytes(before.memory_bytes), mebibytes(after.memory_bytes));
        rows.push_str(&format!("| {name} | {before} | {after} |\n"));
    }
    rows
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "not known".to_owned(), |bytes| format!("{} MiB", bytes.div_ceil(1024 * 1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, mebibytes: Option<u64>) -> PartStatus {
        PartStatus {
            name: name.parse().unwrap(),
            address: String::new(),
            pid: Some(1),
            trouble: None,
            memory_bytes: mebibytes.map(|mebibytes| mebibytes * 1024 * 1024),
            started_at: None,
        }
    }

    #[test]
    fn the_whole_and_the_largest_service_are_held_against_their_aims() {
        let before = [part("east/kafka", Some(100)), part("east/cart", Some(5)), part("east/bff", Some(4))];
        let after = [part("east/kafka", Some(200)), part("east/cart", Some(50)), part("east/bff", Some(6))];
        let text = section("Measured.", &before, &after);
        for expected in [
            "after the replay | 256 MiB | 2.5 GB | met |",
            "before it | 109 MiB |",
            "50 MiB (east/cart) | 40 MB | **missed by a factor of 1.31** |",
            "| east/kafka | 100 MiB | 200 MiB |",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn a_process_that_hides_its_memory_meets_no_aim() {
        let parts = [part("east/kafka", Some(100)), part("east/cart", None)];
        let text = section("Measured.", &parts, &parts);
        assert!(text.contains("after the replay | not known | 2.5 GB | **missed** |"), "{text}");
        assert!(text.contains("not known (east/cart) | 40 MB | **missed** |"), "{text}");
    }
}
