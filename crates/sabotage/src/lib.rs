//! Ways to break a process on purpose: named places where it may be killed or held up, and guards that may be removed.
//!
//! "Exactly one effect" is a claim about processes that die anywhere, so the code that matters names its anywheres. A **crash point**
//! stands before and after each commit, publication, acknowledgement and call of the provider; `docs/crash-points.md` lists them all,
//! and a test fails when a new commit or publication has none. A drill arms a point in a running process; the process then dies there
//! as by `kill -9`, without unwinding, or is held up there and wakes later with a lease that has lapsed: a zombie.
//!
//! A check that cannot fail proves nothing. So each guard that a drill is about can be taken away ([`Guard`]), and the drill must
//! then fail.
//!
//! All of it exists only with the feature `armed`, in tests and in the binaries called `<service>-sabotaged`. Without it
//! [`crash_point`] is empty and [`is_removed`] is false, both inlined: the real binaries have no such code.
//!
//! Names are `<owner>.<operation>.<before|after>-<commit|publish|ack|call>`. A single statement outside a transaction is a commit too.

#[cfg(feature = "armed")]
mod armed;
mod guard;
mod order;

pub use guard::{Guard, UnknownGuard, is_removed};
pub use order::{Action, InvalidOrder, Order};

#[cfg(feature = "armed")]
pub use armed::{Point, arm, arm_from_environment, disarm, points, reached};

/// Whether this build can be sabotaged at all.
pub const ARMED: bool = cfg!(feature = "armed");

/// The environment variable that arms points at start, as [`Order`]s separated by commas.
pub const POINTS_VARIABLE: &str = "SABOTAGE_POINTS";
/// The environment variable that removes guards, by their names, separated by commas.
pub const GUARDS_VARIABLE: &str = "SABOTAGE_GUARDS";

/// A place where a drill may kill this process or hold the task up. Nothing at all unless the feature `armed` is on.
///
/// `name`: a literal, unique in the workspace; see the module.
#[inline]
#[allow(clippy::unused_async, reason = "held up here when armed")]
pub async fn crash_point(name: &'static str) {
    #[cfg(feature = "armed")]
    armed::pass(name).await;
    #[cfg(not(feature = "armed"))]
    let _ = name;
}
