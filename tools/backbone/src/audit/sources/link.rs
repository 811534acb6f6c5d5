//! Whether the regions can talk: what the link itself says.

use wan::wire::View;
use wan::{Directed, Direction};

use crate::platform::Layout;
use crate::wan::Panel;

/// The link between the regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// What one region has, the other gets.
    Open,
    /// Cut on command in one direction at least: nothing gets across for good, since it is not acknowledged.
    Cut,
}

impl Link {
    /// Asks it. One that does not answer counts as open: only a cut that somebody ordered excuses the regions from agreeing.
    pub async fn read(layout: &Layout) -> Self {
        let Ok(panel) = Panel::of(layout) else { return Self::Open };
        panel.show().await.map_or(Self::Open, |link| Self::of(&link))
    }

    fn of(link: &Directed<View>) -> Self {
        let is_cut = |direction| link.of(direction).cut_for_ms.is_some();
        if Direction::ALL.into_iter().any(is_cut) { Self::Cut } else { Self::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_of_one_direction_is_a_cut_and_slowness_is_none() {
        let slow = View { delay_us: 10_000_000, loss: 0.5, ..View::default() };
        let cut = View { cut_for_ms: Some(0), ..View::default() };
        assert_eq!(Link::of(&Directed { east_west: slow, west_east: slow }), Link::Open);
        assert_eq!(Link::of(&Directed { east_west: cut, west_east: slow }), Link::Cut);
        assert_eq!(Link::of(&Directed { east_west: slow, west_east: cut }), Link::Cut);
    }
}
