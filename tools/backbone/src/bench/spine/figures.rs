//! The section's text.

use super::drain::{Drain, Size};
use super::flow::Flow;
use super::{Measured, THROUGH};
use crate::bench::aim::Aim;
use crate::bench::table::{Figures, fill};

const SECTION: &str = include_str!("../sections/spine.md");
/// From commit to effect.
const EFFECT_AIM_MS: f64 = 25.0;
/// Of Debezium's latency, and of its memory.
const LATENCY_AIM: f64 = 1.0 / 5.0;
const MEMORY_AIM: f64 = 1.0 / 10.0;
const MIB: f64 = (1 << 20) as f64;

/// The section's text.
pub fn section(measured_with: &str, measured: &Measured) -> String {
    let figures = figures(measured);
    let rate = measured.ours.rate.to_string();
    let values = [("measured_with", measured_with), ("figures", figures.markdown()), ("rate", &rate)];
    fill(SECTION, &values)
}

fn figures(measured: &Measured) -> Figures {
    let Measured { ours, debezium, through_per_second, drain, repeated } = measured;
    let mut figures = Figures::default();
    let rate = ours.rate;
    figures.add_aimed(
        &format!("from commit to effect, {rate} events/s, p50 / p99"),
        p50_p99(ours),
        &format!("p99 < {EFFECT_AIM_MS:.0} ms"),
        Aim::AtMost(EFFECT_AIM_MS).verdict(ours.effect.p99_ms),
    );
    figures.add("changes that really committed in a second", format!("{:.0}", ours.committed_per_second));
    figures.add("how late a change was begun, p99", format!("{:.1} ms", ours.late.p99_ms));
    let lost = ours.lost + ours.failed + debezium.as_ref().map_or(0, |flow| flow.lost + flow.failed);
    for (what, count) in [("events without an effect, and changes that failed", lost), ("effects repeated", *repeated)]
    {
        figures.add_aimed(what, count.to_string(), "0", Aim::AtMost(0.0).verdict(count as f64));
    }
    figures.add("processor time for 1,000 events: relay, consumer", costs(ours, ["relay", "consumer"]));
    figures.add("the same of the servers: PostgreSQL, Kafka", costs(ours, ["postgres", "kafka"]));
    figures.add(
        &format!("through outbox, Kafka and inbox, {THROUGH} events at once"),
        format!("{through_per_second:.0} events/s"),
    );
    match debezium {
        Some(debezium) => add_debezium(&mut figures, ours, debezium),
        None => figures.add("beside Debezium's connector", "not here: `deploy/debezium/fetch`"),
    }
    add_drain(&mut figures, drain);
    figures
}

fn add_debezium(figures: &mut Figures, ours: &Flow, debezium: &Flow) {
    figures.add("Debezium's connector in the relay's place, from commit to effect, p50 / p99", p50_p99(debezium));
    for (what, our, its) in [
        ("our p50, of Debezium's", ours.effect.p50_ms, debezium.effect.p50_ms),
        ("our p99, of Debezium's", ours.effect.p99_ms, debezium.effect.p99_ms),
    ] {
        add_share(figures, what, our / its, LATENCY_AIM);
    }
    let (our, its) = (ours.memory("relay").unwrap_or_default(), debezium.memory("debezium").unwrap_or_default());
    figures.add(
        "memory at the end: our relay, Debezium's connector",
        format!("{:.1} MiB, {:.1} MiB", our as f64 / MIB, its as f64 / MIB),
    );
    add_share(figures, "our relay's memory, of Debezium's", our as f64 / its as f64, MEMORY_AIM);
    figures.add("processor time for 1,000 events: Debezium's connector", costs(debezium, ["debezium"]));
    figures.add("the same of the servers: PostgreSQL, Kafka", costs(debezium, ["postgres", "kafka"]));
}

fn add_share(figures: &mut Figures, what: &str, share: f64, aim: f64) {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    figures.add_aimed(what, percent(share), &percent(aim), Aim::AtMost(aim).verdict(share));
}

fn add_drain(figures: &mut Figures, drain: &Drain) {
    let Drain { rows, seconds, full, drained, vacuumed } = drain;
    figures.add(&format!("an outbox of {rows} rows, drained"), format!("{:.0} rows/s", *rows as f64 / seconds));
    for (what, size) in [("full", full), ("just drained", drained), ("after vacuum", vacuumed)] {
        let Size { table, indexes } = *size;
        let mib = |bytes: i64| bytes as f64 / MIB;
        figures.add(
            &format!("its size, {what}: rows, indexes"),
            format!("{:.1} MiB, {:.1} MiB", mib(table), mib(indexes)),
        );
    }
}

fn p50_p99(flow: &Flow) -> String {
    format!("{:.1} / {:.1} ms", flow.effect.p50_ms, flow.effect.p99_ms)
}

fn costs<const N: usize>(flow: &Flow, who: [&str; N]) -> String {
    let cost =
        |who| flow.milliseconds_per_thousand(who).map_or_else(|| "not known".to_owned(), |ms| format!("{ms:.0} ms"));
    who.map(cost).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::spine::cost::Cost;
    use crate::load::latency::Percentiles;

    fn flow(relay: &str, p50_ms: f64, p99_ms: f64, mib: u64) -> Flow {
        let effect = Percentiles { count: 30_000, p50_ms, p99_ms, p999_ms: p99_ms, max_ms: p99_ms };
        let cost = |(name, processor_seconds): (&str, f64)| Cost {
            name: name.to_owned(),
            processor_seconds,
            memory_bytes: mib << 20,
        };
        Flow {
            rate: 1_000,
            committed: 30_000,
            committed_per_second: 1_000.0,
            effect,
            costs: [(relay, 3.0), ("consumer", 6.0), ("postgres", 9.0), ("kafka", 1.5)].map(cost).into(),
            ..Flow::default()
        }
    }

    fn measured() -> Measured {
        let size = |table: i64, indexes: i64| Size { table: table << 20, indexes: indexes << 20 };
        Measured {
            ours: flow("relay", 5.0, 20.0, 10),
            debezium: Some(flow("debezium", 50.0, 80.0, 200)),
            through_per_second: 5_000.0,
            drain: Drain {
                rows: 1_000_000,
                seconds: 50.0,
                full: size(500, 60),
                drained: size(0, 60),
                vacuumed: size(0, 60),
            },
            repeated: 0,
        }
    }

    #[test]
    fn each_figure_is_held_against_its_aim() {
        let text = section("Measured.", &measured());
        for expected in [
            "1000 events/s, p50 / p99 | 5.0 / 20.0 ms | p99 < 25 ms | met |",
            "relay, consumer | 100 ms, 200 ms |",
            "| our p50, of Debezium's | 10 % | 20 % | met |",
            "| our p99, of Debezium's | 25 % | 20 % | **missed by a factor of 1.25** |",
            "| our relay's memory, of Debezium's | 5 % | 10 % | met |",
            "| an outbox of 1000000 rows, drained | 20000 rows/s |",
            "after vacuum: rows, indexes | 0.0 MiB, 60.0 MiB |",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn a_lost_event_or_a_repeated_effect_is_not_good() {
        let good = measured();
        assert!(good.is_good());
        let lost = Measured { ours: Flow { lost: 1, ..good.ours.clone() }, ..good.clone() };
        let repeated = Measured { repeated: 1, ..good.clone() };
        for measured in [lost, repeated] {
            assert!(!measured.is_good());
            assert!(section("Measured.", &measured).contains("| 1 | 0 | **missed** |"));
        }
    }

    #[test]
    fn without_the_connector_the_rest_is_measured_all_the_same() {
        let text = section("Measured.", &Measured { debezium: None, ..measured() });
        assert!(text.contains("| beside Debezium's connector | not here: `deploy/debezium/fetch` |"), "{text}");
    }
}
