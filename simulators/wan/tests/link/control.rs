//! The panel: what it shows, what it takes, what it refuses and how.

use std::time::Duration;

use serde_json::{Value, json};
use wan::Direction;

use crate::support::{World, expect, send, slow_by, until};

async fn ask(world: &World, method: reqwest::Method, path: &str, body: &str) -> (u16, Value) {
    let request = reqwest::Client::new().request(method, format!("http://{}{path}", world.panel)).body(body.to_owned());
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

async fn patch(world: &World, body: Value) -> (u16, Value) {
    ask(world, reqwest::Method::PATCH, "/link", &body.to_string()).await
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_a_put_goes_back_to_the_start() {
    let world = slow_by(Duration::from_millis(40)).await;
    let (status, _) = patch(&world, json!({"east_west": {"loss": 0.01, "bandwidth_bits_per_s": 10_000_000}})).await;
    assert_eq!(status, 200);
    let (_, shown) = patch(&world, json!({"east_west": {"delay_us": 5_000}, "west_east": {"cut": true}})).await;
    assert_eq!((&shown["east_west"]["delay_us"], &shown["east_west"]["loss"]), (&json!(5_000), &json!(0.01)));
    assert_eq!((&shown["west_east"]["delay_us"], &shown["east_west"]["cut_for_ms"]), (&json!(40_000), &Value::Null));
    assert!(shown["west_east"]["cut_for_ms"].is_u64(), "{shown}");
    let (_, shown) = ask(&world, reqwest::Method::PUT, "/link", "{}").await;
    let expected = json!({
        "delay_us": 40_000, "jitter_us": 0, "loss": 0.0, "reorder": 0.0, "bandwidth_bits_per_s": 0,
        "cut_for_ms": null, "heals_in_ms": null, "connections_open": 0, "bytes_carried": 0, "bytes_held": 0,
    });
    assert_eq!(shown, json!({"east_west": expected, "west_east": expected}));
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason_and_changes_nothing() {
    let world = slow_by(Duration::ZERO).await;
    let before = world.link.properties();
    for (body, reason) in [
        (json!({"east_west": {"delay_us": 10_000_001}}), "at most 10s"),
        (json!({"east_west": {"loss": 0.9}}), "cut the link"),
        (json!({"east_west": {"loss": -0.1}}), "from 0 to"),
        (json!({"east_west": {"bandwidth_bits_per_s": 1}}), "64000"),
        (json!({"east_west": {"heal_after_ms": 1}}), "goes with cut"),
        (json!({"east_west": {"speed": 1}}), "unknown field"),
        (json!({"north_south": {}}), "unknown field"),
        (json!({"west_east": {"delay_us": -1}}), "invalid value"),
        (json!("cut"), "invalid type"),
    ] {
        let (status, answer) = patch(&world, body.clone()).await;
        let told = answer["error"].as_str().unwrap_or_default();
        assert!(status == 400 && told.contains(reason), "{body}: {status} {told:?}");
    }
    assert_eq!(ask(&world, reqwest::Method::PATCH, "/link", &"x".repeat(5_000)).await.0, 413);
    assert_eq!(ask(&world, reqwest::Method::GET, "/nothing", "").await.0, 404);
    assert_eq!(world.link.properties(), before);
}

#[tokio::test]
async fn it_counts_connections_and_bytes() {
    let world = slow_by(Duration::ZERO).await;
    let (mut near, mut far) = world.connect().await;
    send(&mut near, b"12345").await;
    expect(&mut far, b"12345").await;
    world.cut(&Direction::ALL);
    send(&mut far, b"123").await;
    until("held", || world.link.traffic(Direction::WestEast).held() == 3).await;
    let (_, shown) = ask(&world, reqwest::Method::GET, "/link", "").await;
    let of = |way: &str, what: &str| shown[way][what].clone();
    assert_eq!((of("east_west", "connections_open"), of("west_east", "connections_open")), (json!(1), json!(0)));
    assert_eq!((of("east_west", "bytes_carried"), of("west_east", "bytes_carried")), (json!(5), json!(0)));
    assert_eq!((of("east_west", "bytes_held"), of("west_east", "bytes_held")), (json!(0), json!(3)));
}

#[tokio::test]
async fn a_cut_for_a_while_ends_by_itself() {
    let world = slow_by(Duration::ZERO).await;
    let (mut near, mut far) = world.connect().await;
    let (_, shown) = patch(&world, json!({"east_west": {"cut": true, "heal_after_ms": 100}})).await;
    assert!(shown["east_west"]["heals_in_ms"].is_u64(), "{shown}");
    send(&mut near, b"later").await;
    expect(&mut far, b"later").await;
    assert!(world.link.properties().east_west.is_open());
}
