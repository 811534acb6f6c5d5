//! Ways to break a guarantee, to show that the checks notice.

use super::world::Verdict;

/// One guard taken away. Each is done in the simulated host, so that the code under test has no switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The host says "joined" when it begins the transaction, not when it is committed.
    AckBeforeDurable,
    /// The receiver is made to believe that every batch begins where it stands.
    JumpGaps,
    /// Joins are unions that forget causal contexts.
    JoinWithoutContext,
    /// A repair joins a whole state as if it were a delta, so that it does not say what is absent.
    RepairAsDelta,
    /// The log is trimmed through what was sent instead of what was acknowledged.
    TrimBeforeAck,
    /// The log's reader does not stop below the oldest transaction that runs.
    ReadPastRunning,
    /// No comparison is ever answered.
    NoAntiEntropy,
    /// A shopper is told that an edit is done before it is committed.
    AcknowledgeBeforeCommit,
    /// A restored database goes on under its old replica number.
    KeepNumberAfterRestore,
    /// A checkout cuts what is stored instead of what is shown, and so what earlier ones hold.
    CutWhatIsHeld,
    /// An edit removes what is stored instead of what is shown.
    EditWhatIsHeld,
}

impl Sabotage {
    /// Each with the check that must notice it.
    pub const ALL: [(Self, Verdict); 11] = [
        (Self::AckBeforeDurable, Verdict::AckedBeforeDurable),
        (Self::JumpGaps, Verdict::Gap),
        (Self::JoinWithoutContext, Verdict::Intent),
        (Self::RepairAsDelta, Verdict::NotConverged),
        (Self::TrimBeforeAck, Verdict::TrimmedTooFar),
        (Self::ReadPastRunning, Verdict::Gap),
        (Self::NoAntiEntropy, Verdict::NotConverged),
        (Self::AcknowledgeBeforeCommit, Verdict::Lost),
        (Self::KeepNumberAfterRestore, Verdict::Refused),
        (Self::CutWhatIsHeld, Verdict::Intent),
        (Self::EditWhatIsHeld, Verdict::Intent),
    ];
}
