use std::io;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store failed")]
struct Store(#[source] io::Error);

/// What is written by these lines.
fn written(lines: impl FnOnce()) -> Vec<serde_json::Value> {
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer()
        .event_format(JsonLine::new("cart", Region::East))
        .fmt_fields(NoSpanFields)
        .with_writer(move || writer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), lines);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_error_is_written_with_its_causes() {
    let error = Store(io::Error::other("cannot write in a read-only transaction"));
    let lines = written(|| tracing::warn!(error = &error as &dyn Error, "replication interrupted"));
    assert_eq!(lines[0]["error"], "the store failed: cannot write in a read-only transaction");
}

#[test]
fn a_warning_that_differs_only_in_how_often_is_written_once() {
    let lines = written(|| {
        for attempts in 1..100_u32 {
            tracing::warn!(callee = "payment", attempts, delay_ms = attempts * 2, "outcome unknown, asking again");
        }
        tracing::warn!(callee = "inventory", attempts = 1, delay_ms = 2, "outcome unknown, asking again");
    });
    let callees: Vec<_> = lines.iter().map(|line| line["callee"].as_str().unwrap()).collect();
    assert_eq!(callees, ["payment", "inventory"]);
}

#[test]
fn what_is_no_trouble_is_written_each_time() {
    let lines = written(|| (0..3).for_each(|_| tracing::info!("relay is active")));
    assert_eq!(lines.len(), 3);
}
