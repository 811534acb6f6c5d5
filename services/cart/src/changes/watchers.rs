//! Who waits for changes of which cart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ids::CartId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Watchers of one process. Each holds the cart it showed last: some 2 kB for ten lines, 250 kB for the longest, so 2 MB as a rule and
/// 250 MB at the very worst.
const WATCHERS_MAX: usize = 1_000;
/// How long the feed may be away before its watchers are told. A new connection takes a fraction of a second.
const FEED_AWAY_MAX: Duration = Duration::from_secs(5);

/// The process watches as many carts as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many carts are being watched")]
pub struct TooManyWatchers;

/// The watchers of one process. A change is a mark, not a message: however many come while a watcher is busy, it looks once.
#[derive(Clone)]
pub struct Watchers(Arc<Inner>);

struct Inner {
    carts: Mutex<HashMap<CartId, Watched>>,
    seats: Arc<Semaphore>,
    /// Whether changes are being heard of.
    hears: watch::Sender<bool>,
}

struct Watched {
    mark: watch::Sender<()>,
    watchers: usize,
}

impl Default for Watchers {
    fn default() -> Self {
        Self::at_most(WATCHERS_MAX)
    }
}

impl Watchers {
    /// With room for `max` watchers.
    pub fn at_most(max: usize) -> Self {
        let inner =
            Inner { carts: Mutex::default(), seats: Arc::new(Semaphore::new(max)), hears: watch::Sender::new(false) };
        Self(Arc::new(inner))
    }

    /// Watches a cart from now on: read it after this, and nothing is missed.
    ///
    /// # Errors
    /// [`TooManyWatchers`].
    pub fn watch(&self, cart_id: CartId) -> Result<Watch, TooManyWatchers> {
        let seat = Arc::clone(&self.0.seats).try_acquire_owned().map_err(|_| TooManyWatchers)?;
        let mut carts = self.0.carts();
        let watched = carts.entry(cart_id).or_insert_with(|| Watched { mark: watch::Sender::new(()), watchers: 0 });
        watched.watchers += 1;
        let mark = watched.mark.subscribe();
        drop(carts);
        Ok(Watch { cart_id, mark, hears: self.0.hears.subscribe(), inner: Arc::clone(&self.0), _seat: seat })
    }

    /// Whether changes are being heard of.
    pub fn hear(&self) -> bool {
        *self.0.hears.borrow()
    }

    pub(super) fn changed<'a>(&self, cart_ids: impl IntoIterator<Item = &'a CartId>) {
        let carts = self.0.carts();
        cart_ids.into_iter().filter_map(|cart_id| carts.get(cart_id)).for_each(|watched| {
            watched.mark.send_replace(());
        });
    }

    pub(super) fn any_changed(&self) {
        self.0.carts().values().for_each(|watched| {
            watched.mark.send_replace(());
        });
    }

    pub(super) fn set_hearing(&self, hears: bool) {
        self.0.hears.send_replace(hears);
    }
}

impl Inner {
    /// Held for look-ups, never across an await. A poisoned lock still holds marks.
    fn carts(&self) -> MutexGuard<'_, HashMap<CartId, Watched>> {
        self.carts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher of one cart.
pub struct Watch {
    cart_id: CartId,
    mark: watch::Receiver<()>,
    hears: watch::Receiver<bool>,
    inner: Arc<Inner>,
    _seat: OwnedSemaphorePermit,
}

/// Changes are not being heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes of carts are not being heard of")]
pub struct Deaf;

impl Watch {
    /// Returns once the cart may have changed since the last call.
    ///
    /// # Errors
    /// [`Deaf`] when changes could not be heard of for [`FEED_AWAY_MAX`].
    pub async fn changed(&mut self) -> Result<(), Deaf> {
        tokio::select! {
            marked = self.mark.changed() => marked.map_err(|_| Deaf),
            () = away_too_long(&mut self.hears) => Err(Deaf),
        }
    }
}

async fn away_too_long(hears: &mut watch::Receiver<bool>) {
    loop {
        if hears.wait_for(|hears| !hears).await.is_err() {
            return;
        }
        if tokio::time::timeout(FEED_AWAY_MAX, hears.wait_for(|hears| *hears)).await.is_err() {
            return;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut carts = self.inner.carts();
        if let Some(watched) = carts.get_mut(&self.cart_id) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                carts.remove(&self.cart_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_burst_of_changes_is_one_look() {
        let watchers = Watchers::default();
        watchers.set_hearing(true);
        let (mine, others) = (CartId::generate(), CartId::generate());
        let mut watch = watchers.watch(mine).unwrap();
        watchers.changed(&[others]);
        assert!(watch.changed().now_or_never().is_none(), "another cart's change");
        for _ in 0..1_000 {
            watchers.changed(&[mine]);
        }
        assert_eq!(watch.changed().now_or_never(), Some(Ok(())));
        assert!(watch.changed().now_or_never().is_none(), "all of them were one look");
        watchers.any_changed();
        assert_eq!(watch.changed().now_or_never(), Some(Ok(())));
    }

    #[tokio::test]
    async fn seats_are_bounded_and_given_back() {
        let watchers = Watchers::at_most(2);
        let cart_id = CartId::generate();
        let (one, other) = (watchers.watch(cart_id).unwrap(), watchers.watch(cart_id).unwrap());
        assert_eq!(watchers.watch(cart_id).err(), Some(TooManyWatchers));
        drop(one);
        let third = watchers.watch(cart_id).unwrap();
        drop(other);
        assert_eq!(watchers.0.carts()[&cart_id].watchers, 1);
        drop(third);
        assert!(watchers.0.carts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_absence_of_the_feed_is_nobodys_business_and_a_long_one_is() {
        let watchers = Watchers::default();
        watchers.set_hearing(true);
        let mut watch = watchers.watch(CartId::generate()).unwrap();
        watchers.set_hearing(false);
        let waited = tokio::time::timeout(FEED_AWAY_MAX / 2, watch.changed()).await;
        assert!(waited.is_err(), "{waited:?}");
        watchers.set_hearing(true);
        let waited = tokio::time::timeout(FEED_AWAY_MAX * 2, watch.changed()).await;
        assert!(waited.is_err(), "{waited:?}");
        watchers.set_hearing(false);
        assert_eq!(watch.changed().await, Err(Deaf));
    }
}
