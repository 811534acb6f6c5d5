//! Bodies of the control panel: what the link is like, and what to change.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::direction::{Directed, Direction};
use crate::link::Link;
use crate::properties::{Cut, Properties};

/// Longest cut that heals by itself: a week. For longer, heal it yourself.
const HEAL_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// `GET /link`: one of these per direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// One way, in microseconds.
    pub delay_us: u64,
    /// Up to this much more.
    pub jitter_us: u64,
    /// Probability per segment.
    pub loss: f64,
    /// Probability per segment.
    pub reorder: f64,
    /// Of payload; 0 is no limit.
    pub bandwidth_bits_per_s: u64,
    /// For how long nothing has passed, in milliseconds; absent when open.
    pub cut_for_ms: Option<u64>,
    /// When the cut heals by itself; absent when open, or on command only.
    pub heals_in_ms: Option<u64>,
    /// Dialled in this direction and open.
    pub connections_open: u64,
    /// Arrived since the process started.
    pub bytes_carried: u64,
    /// Sent and not arrived.
    pub bytes_held: u64,
}

/// `PATCH /link` and `PUT /link`: one of these per direction, where anything may be left out. A patch leaves that as it is; a put sets
/// it to what it was when the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// One way, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// Up to this much more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_us: Option<u64>,
    /// Probability per segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Probability per segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<f64>,
    /// Of payload; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth_bits_per_s: Option<u64>,
    /// Whether nothing passes. Cutting what is cut keeps the time since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<bool>,
    /// With `cut`: it heals by itself after this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heal_after_ms: Option<u64>,
}

/// The changes of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    /// From east to west.
    pub east_west: Change,
    /// From west to east.
    pub west_east: Change,
}

/// The change makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChange {
    /// `heal_after_ms` without `cut: true`.
    #[error("heal_after_ms goes with cut: true, in the same request and direction")]
    NothingToHeal,
    /// `heal_after_ms` is too far away.
    #[error("heal_after_ms is at most a week; for longer, heal on command")]
    TooLong,
}

impl Changes {
    /// The same for each of these directions, nothing for the others.
    pub fn of(directions: &[Direction], change: Change) -> Self {
        let pick = |direction| if directions.contains(&direction) { change } else { Change::default() };
        Self { east_west: pick(Direction::EastWest), west_east: pick(Direction::WestEast) }
    }

    /// Whether both make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), InvalidChange> {
        self.east_west.check().and(self.west_east.check())
    }

    /// Applies both.
    pub fn apply(&self, link: &mut Directed<Properties>, now: Instant) {
        self.east_west.apply(&mut link.east_west, now);
        self.west_east.apply(&mut link.west_east, now);
    }
}

impl Change {
    fn check(&self) -> Result<(), InvalidChange> {
        match self.heal_after_ms {
            Some(_) if self.cut != Some(true) => Err(InvalidChange::NothingToHeal),
            Some(after) if Duration::from_millis(after) > HEAL_AFTER_MAX => Err(InvalidChange::TooLong),
            _ => Ok(()),
        }
    }

    fn apply(&self, properties: &mut Properties, now: Instant) {
        let Properties { delay, jitter, loss, reorder, bandwidth, cut } = properties;
        *delay = self.delay_us.map_or(*delay, Duration::from_micros);
        *jitter = self.jitter_us.map_or(*jitter, Duration::from_micros);
        *loss = self.loss.unwrap_or(*loss);
        *reorder = self.reorder.unwrap_or(*reorder);
        *bandwidth = self.bandwidth_bits_per_s.map_or(*bandwidth, |bits| (bits > 0).then_some(bits));
        *cut = match self.cut {
            None => *cut,
            Some(false) => None,
            Some(true) => Some(Cut {
                since: cut.map_or(now, |cut| cut.since),
                heals_at: self.heal_after_ms.map(|after| now + Duration::from_millis(after)),
            }),
        };
    }
}

/// What the link is like now.
pub fn view(link: &Link, now: Instant) -> Directed<View> {
    let properties = link.properties();
    Directed::from_fn(|direction| {
        let (properties, traffic) = (properties.of(direction), link.traffic(direction));
        let Properties { delay, jitter, loss, reorder, bandwidth, cut } = *properties;
        View {
            delay_us: whole(delay.as_micros()),
            jitter_us: whole(jitter.as_micros()),
            loss,
            reorder,
            bandwidth_bits_per_s: bandwidth.unwrap_or_default(),
            cut_for_ms: cut.map(|cut| whole(now.saturating_duration_since(cut.since).as_millis())),
            heals_in_ms: cut
                .and_then(|cut| cut.heals_at)
                .map(|at| whole(at.saturating_duration_since(now).as_millis())),
            connections_open: traffic.connections(),
            bytes_carried: traffic.carried(),
            bytes_held: traffic.held(),
        }
    })
}

fn whole(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_change_leaves_out_stays() {
        let now = Instant::now();
        let mut link = Directed::<Properties>::default();
        let change: Changes = serde_json::from_str(r#"{"east_west":{"loss":0.1,"cut":true}}"#).unwrap();
        change.apply(&mut link, now);
        let cut = Some(Cut { since: now, heals_at: None });
        assert_eq!(link.east_west, Properties { loss: 0.1, cut, ..Properties::default() });
        assert_eq!(link.west_east, Properties::default());
        // A second cut is the same cut, with another end.
        let again = Changes::of(
            &[Direction::EastWest],
            Change { cut: Some(true), heal_after_ms: Some(5), ..Change::default() },
        );
        again.apply(&mut link, now + Duration::from_secs(1));
        assert_eq!(link.east_west.cut.unwrap().since, now);
    }

    #[test]
    fn a_heal_needs_a_cut() {
        let of = |change| Changes { east_west: Change::default(), west_east: change }.check();
        let cut = Change { cut: Some(true), heal_after_ms: Some(1_000), ..Change::default() };
        assert_eq!(of(cut), Ok(()));
        assert_eq!(of(Change { cut: None, ..cut }), Err(InvalidChange::NothingToHeal));
        assert_eq!(of(Change { heal_after_ms: Some(u64::MAX), ..cut }), Err(InvalidChange::TooLong));
    }
}
