//! Places that clients share: so many in all, so many for one address, so many for one session.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::ClientAddress;

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub struct PlacesMax {
    /// In all.
    pub all: usize,
    /// For one address, behind which there may be many people.
    pub per_address: usize,
    /// For one session.
    pub per_session: usize,
}

/// Who asks for a place. What is not known is not counted: a router that is called directly, in tests, has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Where the request came from.
    pub address: Option<ClientAddress>,
    /// Whose it is, if it said so.
    pub session: Option<u128>,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Everybody together holds all places.
    #[error("all places are taken")]
    All,
    /// The asker's address holds its share.
    #[error("this address holds as many places as one may")]
    Address,
    /// The asker's session holds its share.
    #[error("this session holds as many places as one may")]
    Session,
}

/// Hands out places. Cheap to clone; clones share the count.
#[derive(Debug, Clone)]
pub struct Places {
    max: PlacesMax,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_address: HashMap<ClientAddress, usize>,
    by_session: HashMap<u128, usize>,
}

/// A place; dropping it makes room.
#[derive(Debug)]
pub struct Place {
    asker: Asker,
    held: Arc<Mutex<Held>>,
}

impl Places {
    /// So many places.
    pub fn new(max: PlacesMax) -> Self {
        Self { max, held: Arc::default() }
    }

    /// Takes a place. There is no queue: a refused request costs its caller a retry, a queued one costs everybody behind it their time.
    ///
    /// # Errors
    /// [`Full`]: the narrowest bound that is reached, so that whoever is the cause is told so.
    pub fn enter(&self, asker: Asker) -> Result<Place, Full> {
        let mut held = locked(&self.held);
        held.room(self.max, asker)?;
        held.all += 1;
        asker.session.into_iter().for_each(|session| *held.by_session.entry(session).or_default() += 1);
        asker.address.into_iter().for_each(|address| *held.by_address.entry(address).or_default() += 1);
        Ok(Place { asker, held: Arc::clone(&self.held) })
    }

    /// Whether `asker` would be given a place now.
    ///
    /// # Errors
    /// As [`Places::enter`].
    pub fn room(&self, asker: Asker) -> Result<(), Full> {
        locked(&self.held).room(self.max, asker)
    }

    /// Places that are taken.
    pub fn current(&self) -> usize {
        locked(&self.held).all
    }
}

impl Held {
    fn room(&self, max: PlacesMax, asker: Asker) -> Result<(), Full> {
        if holds(&self.by_session, asker.session) >= max.per_session {
            return Err(Full::Session);
        }
        if holds(&self.by_address, asker.address) >= max.per_address {
            return Err(Full::Address);
        }
        if self.all >= max.all { Err(Full::All) } else { Ok(()) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = locked(&self.held);
        held.all = held.all.saturating_sub(1);
        leave(&mut held.by_session, self.asker.session);
        leave(&mut held.by_address, self.asker.address);
    }
}

fn holds<K: Hash + Eq>(held: &HashMap<K, usize>, holder: Option<K>) -> usize {
    holder.and_then(|holder| held.get(&holder).copied()).unwrap_or_default()
}

/// Who holds nothing is forgotten: the maps have at most as many entries as there are places.
fn leave<K: Hash + Eq>(held: &mut HashMap<K, usize>, holder: Option<K>) {
    let Some(holder) = holder else { return };
    match held.get_mut(&holder) {
        Some(places) if *places > 1 => *places -= 1,
        _ => drop(held.remove(&holder)),
    }
}

/// Held for a few look-ups, never across an await. A poisoned lock still holds numbers.
fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(address: u8, session: u128) -> Asker {
        Asker { address: Some(std::net::IpAddr::from([192, 0, 2, address]).into()), session: Some(session) }
    }

    #[test]
    fn one_client_cannot_take_what_is_everybodys() {
        let places = Places::new(PlacesMax { all: 6, per_address: 4, per_session: 2 });
        let _one = [places.enter(asker(1, 1)).unwrap(), places.enter(asker(1, 1)).unwrap()];
        assert_eq!(places.enter(asker(1, 1)).unwrap_err(), Full::Session);
        let _two = [places.enter(asker(1, 2)).unwrap(), places.enter(asker(1, 2)).unwrap()];
        assert_eq!(places.enter(asker(1, 3)).unwrap_err(), Full::Address);
        let _other = [places.enter(asker(2, 3)).unwrap(), places.enter(asker(2, 4)).unwrap()];
        assert_eq!(places.enter(asker(3, 5)).unwrap_err(), Full::All);
    }

    #[test]
    fn room_is_made_when_a_place_is_left_and_nobody_is_remembered() {
        let places = Places::new(PlacesMax { all: 1, per_address: 1, per_session: 1 });
        let first = places.enter(asker(1, 1)).unwrap();
        assert!(places.enter(asker(2, 2)).is_err());
        drop(first);
        assert_eq!(places.current(), 0);
        drop(places.enter(asker(2, 2)).unwrap());
        let held = locked(&places.held);
        assert_eq!((held.by_address.len(), held.by_session.len()), (0, 0));
    }
}
