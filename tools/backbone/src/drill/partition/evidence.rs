//! Whether the fault really bit. A drill whose fault did nothing has proved nothing. Pure.

use std::time::Duration;

use ids::{CartId, Region};
use serde::Serialize;
use wan::wire::View;
use wan::{Directed, Direction};

use super::history::History;
use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::shared_cart::{Kind, Stored, StoredCarts, differing};

/// The link counts the time of its cut by its own clock and from its own moment.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// What was seen of the fault. Times are from the drill's beginning.
#[derive(Clone, Debug)]
pub struct Looks {
    /// When the link had confirmed the cut.
    pub cut: Duration,
    /// The link soon after that.
    pub link_first: Directed<View>,
    /// When the last look under the cut began.
    pub looked: Duration,
    /// The link then.
    pub link_last: Directed<View>,
    /// Both regions' carts then.
    pub carts: Both<StoredCarts>,
}

/// What a direction of the cut did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// Which.
    pub way: Direction,
    /// For how long the link says that it was cut, in milliseconds.
    pub cut_for_ms: u64,
    /// Bytes that waited in the link at the end of the cut.
    pub bytes_held: u64,
    /// Bytes that arrived although it was cut.
    pub bytes_leaked: u64,
    /// Writes acknowledged before the cut that the other region knew at its end: the way was open before.
    pub writes_before: usize,
    /// Writes acknowledged under the cut that the other region did not know at its end.
    pub writes_withheld: usize,
    /// Writes acknowledged under the cut that it did know.
    pub writes_leaked: usize,
}

/// The region that a direction begins in.
const fn source(way: Direction) -> Region {
    match way {
        Direction::EastWest => Region::East,
        Direction::WestEast => Region::West,
    }
}

/// What the cut did in one direction.
pub fn withheld(way: Direction, looks: &Looks, history: &History, ids: &[CartId]) -> Withheld {
    let (first, last) = (looks.link_first.of(way), looks.link_last.of(way));
    let there = looks.carts.of(source(way).peer());
    let pasts: Vec<_> = ids.iter().map(|id| there.get(id).and_then(Stored::past).unwrap_or_default()).collect();
    let (mut writes_before, mut writes_withheld, mut writes_leaked) = (0, 0, 0);
    for operation in history.operations.iter().filter(|operation| operation.region == source(way)) {
        // A removal of nothing has no name of its own.
        let named = operation.dot().filter(|_| operation.kind != Kind::Remove);
        let Some(dot) = named else { continue };
        let known = pasts.get(operation.line.cart).is_some_and(|past| past.contains(dot));
        let under_cut = operation.due >= looks.cut && operation.acknowledged <= looks.looked;
        writes_before += usize::from(known && operation.acknowledged < looks.cut);
        writes_leaked += usize::from(known && under_cut);
        writes_withheld += usize::from(!known && under_cut);
    }
    Withheld {
        way,
        cut_for_ms: last.cut_for_ms.unwrap_or(0),
        bytes_held: last.bytes_held,
        bytes_leaked: last.bytes_carried.saturating_sub(first.bytes_carried),
        writes_before,
        writes_withheld,
        writes_leaked,
    }
}

/// Judges that the fault bit: writes had passed before, it lasted, nothing passed under it, and both regions really went apart. What is missing makes it inconclusive.
pub fn bit(withheld: &[Withheld], looks: &Looks, ids: &[CartId]) -> Examined {
    let mut examined = Examined::default();
    for seen in withheld {
        let way = seen.way;
        examined.count(seen.writes_withheld, "writes withheld");
        let lasted = Duration::from_millis(seen.cut_for_ms) + CLOCKS_DIFFER >= looks.looked.saturating_sub(looks.cut);
        let doubts = [
            (!lasted, format!("{way} was not cut all the time, but {} ms", seen.cut_for_ms)),
            (seen.bytes_leaked > 0, format!("{} bytes passed {way} under the cut", seen.bytes_leaked)),
            (seen.writes_leaked > 0, format!("{} writes passed {way} under the cut", seen.writes_leaked)),
            (seen.writes_withheld == 0, format!("no write was withheld {way}")),
            (seen.writes_before == 0, format!("no write had passed {way} before the cut either")),
        ];
        for (_, doubt) in doubts.into_iter().filter(|(doubted, _)| *doubted) {
            examined.cannot_tell(doubt);
        }
    }
    let differing = differing(ids, &looks.carts).len();
    examined.count(differing, "carts that differed at the end of the cut");
    if differing == 0 {
        examined.cannot_tell("no cart differed between the regions under the cut");
    }
    examined
}

#[cfg(test)]
mod tests {
    use crdt::codec::encode_context;
    use crdt::{CausalContext, Dot, ReplicaId};

    use super::super::history::tests::operation;
    use super::*;
    use crate::audit::report::{Verdict, conclude};

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn cart(dots: &[(u8, u64)]) -> Stored {
        let context: CausalContext = dots.iter().map(|(r, c)| Dot::new(ReplicaId(*r), *c)).collect();
        Stored { context: encode_context(&context), address: Vec::new(), lines: Default::default() }
    }

    /// Cut from second 4 to 16; each region has written once before it, which both know, and once under it, which is its own.
    fn apart() -> (Looks, History, Vec<CartId>) {
        let id = CartId::generate();
        let link = |cut_for_ms| {
            let view = View { cut_for_ms: Some(cut_for_ms), bytes_carried: 500, bytes_held: 60, ..View::default() };
            Directed { east_west: view, west_east: view }
        };
        let carts = Both {
            east: [(id, cart(&[(1, 1), (1, 2), (2, 1)]))].into(),
            west: [(id, cart(&[(1, 1), (2, 1), (2, 2)]))].into(),
        };
        let looks = Looks { cut: at(4), link_first: link(100), looked: at(16), link_last: link(12_000), carts };
        let written = |region, second, dots: &[(u8, u64)]| {
            let mut written = operation(region, Kind::Add(1), dots);
            (written.due, written.acknowledged) = (at(second), at(second + 1));
            written
        };
        let operations = vec![
            written(Region::East, 1, &[(1, 1)]),
            written(Region::West, 1, &[(2, 1)]),
            written(Region::East, 5, &[(1, 1), (1, 2)]),
            written(Region::West, 5, &[(2, 1), (2, 2)]),
        ];
        (looks, History { operations, ..History::default() }, vec![id])
    }

    fn doubt(looks: &Looks, history: &History, ids: &[CartId]) -> Option<String> {
        let seen = Direction::ALL.map(|way| withheld(way, looks, history, ids));
        let finding = conclude("fault", || Ok(bit(&seen, looks, ids)));
        assert_eq!(finding.verdict == Verdict::Ok, finding.reason.is_none());
        finding.reason
    }

    #[test]
    fn a_cut_that_held_everything_back_bit() {
        let (looks, history, ids) = apart();
        let seen = withheld(Direction::EastWest, &looks, &history, &ids);
        assert_eq!((seen.writes_before, seen.writes_withheld, seen.writes_leaked), (1, 1, 0));
        assert_eq!((seen.bytes_held, seen.bytes_leaked), (60, 0));
        assert_eq!(doubt(&looks, &history, &ids), None);
    }

    #[test]
    fn a_cut_that_did_not_bite_proves_nothing() {
        let (sound, history, ids) = apart();
        let leaked = |spoil: fn(&mut Looks, CartId)| {
            let mut looks = sound.clone();
            spoil(&mut looks, ids[0]);
            doubt(&looks, &history, &ids).unwrap()
        };
        let healed = leaked(|looks, _| looks.link_last.west_east.cut_for_ms = None);
        assert!(healed.contains("west->east was not cut all the time"), "{healed}");
        let bytes = leaked(|looks, _| looks.link_last.east_west.bytes_carried += 9);
        assert!(bytes.contains("9 bytes passed east->west"), "{bytes}");
        let writes = leaked(|looks, id| drop(looks.carts.west.insert(id, cart(&[(1, 1), (1, 2), (2, 1)]))));
        assert!(writes.contains("1 writes passed east->west"), "{writes}");
        let never = leaked(|looks, id| drop(looks.carts.west.insert(id, cart(&[(2, 1), (2, 2)]))));
        assert!(never.contains("no write had passed east->west before the cut either"), "{never}");
        let idle = doubt(&sound, &History::default(), &ids).unwrap();
        assert!(idle.contains("no write was withheld"), "{idle}");
    }
}
