//! The points of this process: how often each was passed, and what it is ordered to do.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{LazyLock, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Notify;

use crate::{Action, GUARDS_VARIABLE, Guard, InvalidOrder, Order, POINTS_VARIABLE, UnknownGuard};

/// A point that was passed or is armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// How often it was passed in this process.
    pub passings: u64,
    /// What it is ordered to do.
    pub order: Option<Order>,
    /// How many orders it has carried out.
    pub carried_out: u64,
}

#[derive(Default)]
struct Entry {
    passings: u64,
    carried_out: u64,
    /// With the passings that are left, this one included.
    order: Option<(Order, u32)>,
}

static ENTRIES: Mutex<BTreeMap<String, Entry>> = Mutex::new(BTreeMap::new());
static CARRIED_OUT: Notify = Notify::const_new();

/// Read once: a guard is gone from the process's start or not at all.
static REMOVED: LazyLock<Vec<Guard>> = LazyLock::new(|| {
    let parsed = read_guards();
    // A typing error must not let a drill pass with every guard in place.
    #[allow(
        clippy::panic,
        reason = "only in sabotaged binaries, which must not run on with another sabotage than asked for"
    )]
    parsed.unwrap_or_else(|error| panic!("{GUARDS_VARIABLE}: {error}"))
});

fn read_guards() -> Result<Vec<Guard>, UnknownGuard> {
    let text = std::env::var(GUARDS_VARIABLE).unwrap_or_default();
    text.split(',').filter(|name| !name.is_empty()).map(str::parse).collect()
}

pub(crate) fn is_removed(guard: Guard) -> bool {
    REMOVED.contains(&guard)
}

/// Orders a point to act; replaces what it was ordered before.
pub fn arm(order: Order) {
    with(|entries| {
        let (name, left) = (order.point.clone(), order.passing.get());
        entries.entry(name).or_default().order = Some((order, left));
    });
}

/// Takes every order back that is not carried out yet.
pub fn disarm() {
    with(|entries| entries.values_mut().for_each(|entry| entry.order = None));
}

/// Arms what [`POINTS_VARIABLE`] says.
///
/// # Errors
/// [`InvalidOrder`]; nothing is armed then.
pub fn arm_from_environment() -> Result<(), InvalidOrder> {
    let text = std::env::var(POINTS_VARIABLE).unwrap_or_default();
    let orders = text.split(',').filter(|text| !text.is_empty()).map(str::parse).collect::<Result<Vec<Order>, _>>()?;
    orders.into_iter().for_each(arm);
    Ok(())
}

/// Every point that was passed or is armed, by name.
pub fn points() -> Vec<Point> {
    with(|entries| {
        let point = |(name, entry): (&String, &Entry)| Point {
            name: name.clone(),
            passings: entry.passings,
            order: entry.order.as_ref().map(|(order, _)| order.clone()),
            carried_out: entry.carried_out,
        };
        entries.iter().map(point).collect()
    })
}

/// Returns once the point has carried out an order. A [`Action::Kill`] is not told of.
pub async fn reached(name: &str) {
    loop {
        let told = CARRIED_OUT.notified();
        if with(|entries| entries.get(name).is_some_and(|entry| entry.carried_out > 0)) {
            return;
        }
        told.await;
    }
}

pub(crate) async fn pass(name: &'static str) {
    let action = with(|entries| {
        let entry = entries.entry(name.to_owned()).or_default();
        entry.passings += 1;
        let (order, left) = entry.order.as_mut()?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        let action = order.action;
        entry.order = None;
        entry.carried_out += 1;
        Some(action)
    });
    let Some(action) = action else { return };
    CARRIED_OUT.notify_waiters();
    match action {
        Action::Kill => {
            // Cannot fail: one may always signal oneself. If it did, the drill would miss the death.
            let _ = kill(Pid::this(), Signal::SIGKILL);
            pending::<()>().await;
        }
        // The next line runs when somebody sends SIGCONT.
        Action::Freeze => drop(kill(Pid::this(), Signal::SIGSTOP)),
        Action::Pause(time) => tokio::time::sleep(time).await,
        Action::Hang => pending().await,
    }
}

fn with<T>(use_them: impl FnOnce(&mut BTreeMap<String, Entry>) -> T) -> T {
    use_them(&mut ENTRIES.lock().unwrap_or_else(PoisonError::into_inner))
}
