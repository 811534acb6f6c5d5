use chrono::SubsecRound as _;
use proptest::prelude::*;

use super::*;

const EAST_ORDER: &str = "/regions/east/services/order";

fn row() -> OutboxRow {
    OutboxRow {
        id: EventId::generate().as_uuid(),
        aggregate_id: "0190aaaa".to_owned(),
        event_type: "order.placed.v1".to_owned(),
        payload: vec![8, 1],
        home_region: "east".to_owned(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        created_at: Utc::now().trunc_subsecs(6),
    }
}

fn without(name: &str) -> Record {
    let mut record = encode(row(), EAST_ORDER);
    record.headers.retain(|header| header.name != name);
    record
}

fn with(name: &str, value: &'static [u8]) -> Record {
    let mut record = without(name);
    record.headers.push(Header::new(name, value));
    record
}

#[test]
fn each_header_has_the_name_that_the_kafka_binding_gives_it() {
    let names: Vec<_> = encode(row(), EAST_ORDER).headers.into_iter().map(|header| header.name).collect();
    let expected =
        ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_homeregion", "content-type", "traceparent"];
    assert_eq!(names, expected);
}

#[test]
fn a_record_without_a_required_part_is_refused_by_name() {
    for name in [SPEC_VERSION, ID, TYPE, TIME, HOME_REGION, CONTENT_TYPE] {
        assert_eq!(decode(&without(name)), Err(HeaderError::Missing(name)));
    }
    assert_eq!(decode(&Record { key: None, ..without("") }), Err(HeaderError::Missing("key")));
    assert_eq!(decode(&Record { payload: None, ..without("") }), Err(HeaderError::Missing("payload")));
}

#[test]
fn a_malformed_part_is_refused_by_name() {
    for (name, value) in [
        (SPEC_VERSION, b"0.3".as_slice()),
        (ID, b"17"),
        (TYPE, b""),
        (TIME, b"yesterday"),
        (HOME_REGION, b"north"),
        (CONTENT_TYPE, b"application/json"),
        (TYPE, b"\xff"),
    ] {
        assert_eq!(decode(&with(name, value)), Err(HeaderError::Malformed(name)));
    }
}

#[test]
fn the_version_may_be_written_as_kafka_connect_writes_it() {
    assert!(decode(&with(SPEC_VERSION, b"1")).is_ok());
}

#[test]
fn a_malformed_traceparent_costs_the_trace_and_not_the_event() {
    for value in [b"".as_slice(), b"00-0af7", b"\xff"] {
        assert_eq!(decode(&with(TRACEPARENT, value)).unwrap().traceparent, None);
    }
}

proptest! {
    #[test]
    fn prop_decode_inverts_encode(
        aggregate_id in "\\PC{1,64}",
        event_type in "[a-z]{1,10}\\.[a-z]{1,10}\\.v[1-9]",
        payload in prop::collection::vec(any::<u8>(), 0..256),
        micros in 0i64..4_000_000_000_000_000,
        east in any::<bool>(),
        traced in any::<bool>(),
    ) {
        let home = if east { Region::East } else { Region::West };
        let row = OutboxRow {
            aggregate_id: aggregate_id.clone(),
            event_type: event_type.clone(),
            payload: payload.clone(),
            home_region: home.name().to_owned(),
            traceparent: row().traceparent.filter(|_| traced),
            created_at: DateTime::from_timestamp_micros(micros).unwrap(),
            ..row()
        };
        let expected = Received {
            id: EventId::from_uuid(row.id),
            event_type,
            home_region: home,
            aggregate_id,
            payload: payload.into(),
            traceparent: row.traceparent.clone(),
            occurred_at: row.created_at,
        };
        prop_assert_eq!(decode(&encode(row, EAST_ORDER)), Ok(expected));
    }

    #[test]
    fn prop_decode_never_panics(name in 0usize..8, value in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut record = encode(row(), EAST_ORDER);
        record.headers[name].value = Some(value.into());
        let _ = decode(&record);
    }
}
