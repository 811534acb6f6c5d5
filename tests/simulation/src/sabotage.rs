//! Guards that can be taken away, to show that the checks notice.

use crate::Verdict;

/// One guard taken away. Each is done in the simulated stores and hosts, so that the rules under test have no switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A consumer does not look for an event's inbox row.
    InboxCheck,
    /// A driver's write does not ask whether the lease has gone to another.
    FencingCheck,
    /// Repeats of a call reach the provider under another key each time, and without a question before.
    ProviderKey,
    /// An event goes to Kafka before the transaction that it is of commits.
    PublishAfterCommit,
    /// Letting go of what was never reserved leaves no tombstone.
    ReservationTombstone,
    /// The pivot is written whatever the order's row says: state or fence.
    PivotGuard,
    /// Voiding what was never authorised leaves no tombstone.
    PaymentTombstone,
    /// An unknown outcome of the provider counts as a decline.
    AskWhenUnknown,
    /// An expired reservation is let go without asking for its order's fate.
    FateBeforeExpiry,
    /// The shopper is told "placed" before the pivot commits.
    AnswerAfterCommit,
    /// The relay remembers the highest position it has published and looks only behind it.
    OldestRowsFirst,
    /// The offset moves on before the effect commits.
    OffsetAfterCommit,
    /// Returns are decided without the lock on their order, each by what it saw before the others.
    ReturnLock,
    /// The credit of transferred rights does not ask whether it was made before.
    CreditOnce,
    /// A request's key is not unique among orders.
    RequestKey,
    /// A refused reservation counts as one that needs no release.
    RefusedReserve,
    /// A cancelled order counts as one that never was, also while its events are on their way.
    CancelledFate,
    /// A region decides every request itself, whatever the home of its owner.
    HandOn,
    /// A region drives an order whose id is the other region's, and no callee minds. The provider knows a key in whichever account.
    ForeignOrder,
    /// The same, and the provider knows a key in its own account only.
    ForeignOrderInAnotherAccount,
    /// Of two orders of one request none is undone.
    OneIntention,
    /// An order does not ask whether the cart is still as its shopper was shown it, nor what that cost.
    CartVersion,
    /// A checkout cuts what another one holds along with what is shown.
    CutWhatIsHeld,
}

impl Sabotage {
    /// Each with the verdicts of which one at least must notice it.
    pub const ALL: [(Self, &[Verdict]); 23] = [
        (Self::InboxCheck, &[Verdict::EffectTwice]),
        (Self::FencingCheck, &[Verdict::ZombieWrote]),
        (Self::ProviderKey, &[Verdict::Charged]),
        (Self::PublishAfterCommit, &[Verdict::Events]),
        (Self::ReservationTombstone, &[Verdict::Orders]),
        (Self::PivotGuard, &[Verdict::Orders, Verdict::Events]),
        (Self::PaymentTombstone, &[Verdict::Orders]),
        (Self::AskWhenUnknown, &[Verdict::Charged]),
        (Self::FateBeforeExpiry, &[Verdict::Orders]),
        (Self::AnswerAfterCommit, &[Verdict::Acknowledged]),
        (Self::OldestRowsFirst, &[Verdict::Settled]),
        (Self::OffsetAfterCommit, &[Verdict::Settled]),
        (Self::ReturnLock, &[Verdict::Refunds]),
        (Self::CreditOnce, &[Verdict::Stock]),
        (Self::RequestKey, &[Verdict::Acknowledged]),
        (Self::RefusedReserve, &[Verdict::Orders]),
        (Self::CancelledFate, &[Verdict::DeadLetter, Verdict::Orders]),
        (Self::HandOn, &[Verdict::Cart]),
        (Self::ForeignOrder, &[Verdict::Home, Verdict::Events]),
        (Self::ForeignOrderInAnotherAccount, &[Verdict::Charged]),
        (Self::OneIntention, &[Verdict::Intention]),
        (Self::CartVersion, &[Verdict::Shown]),
        (Self::CutWhatIsHeld, &[Verdict::Cart]),
    ];
}
