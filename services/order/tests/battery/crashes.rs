//! A driver that dies at any crash point: its task stops there and is dropped, and a restarted process goes on.

use std::collections::BTreeMap;

use sabotage::{Action, Order};
use sqlx::PgPool;

use super::{CASE_MAX, Case, Scene, assert_ended, run};

/// Every point that an undisturbed run passes, each time that it passes it.
pub async fn it_ends_the_same_when_a_driver_dies_at_any_point<S: Scene>(scene: S, pool: &PgPool) {
    let case = scene.set(pool).await;
    let before = passings();
    run(scene, &case).await;
    let passed = passings().into_iter().map(|(point, count)| {
        let count = count - before.get(&point).copied().unwrap_or_default();
        (point, count)
    });
    let passed: Vec<_> = passed.filter(|(_, count)| *count > 0).collect();
    assert!(passed.len() > 3, "{scene:?} passes {passed:?}");
    for (point, count) in passed {
        for passing in 1..=count {
            for is_client_first in [true, false] {
                let case = scene.set(pool).await;
                die_at(scene, &case, &point, passing).await;
                // What a restarted process finds: the same stores and neighbours, nothing in memory.
                let case = Case { app: case.app.restarted(), ..case };
                if is_client_first {
                    case.app.let_leases_lapse().await;
                } else {
                    case.finish().await;
                }
                tokio::time::timeout(CASE_MAX, run(scene, &case)).await.unwrap();
                assert_ended(scene, &case, &format!("died at {point}, passing {passing}")).await;
            }
        }
    }
}

async fn die_at<S: Scene>(scene: S, case: &Case, point: &str, passing: u64) {
    let before = carried_out(point);
    let passing = u32::try_from(passing).ok().and_then(std::num::NonZeroU32::new).unwrap();
    sabotage::arm(Order { point: point.to_owned(), action: Action::Hang, passing });
    let hung = async {
        while carried_out(point) == before {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let outcome = tokio::time::timeout(CASE_MAX, async {
        tokio::select! {
            () = run(scene, case) => panic!("{scene:?} did not die at {point}, passing {passing}"),
            () = hung => {}
        }
    });
    outcome.await.unwrap();
    sabotage::disarm();
}

fn passings() -> BTreeMap<String, u64> {
    sabotage::points().into_iter().map(|point| (point.name, point.passings)).collect()
}

fn carried_out(name: &str) -> u64 {
    sabotage::points().into_iter().find(|point| point.name == name).map_or(0, |point| point.carried_out)
}
