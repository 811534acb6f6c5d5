//! What a run went through: a check that never met its fault has proved nothing.

macro_rules! seen {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What can be seen in a run: every fault, every way out of one, every end of an order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each has its text")]
        pub enum Seen { $($name,)* }

        impl Seen {
            /// All of it.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// In words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

seen! {
    // What goes wrong.
    RequestLost => "requests lost",
    ReplyLost => "replies lost after the work",
    RequestTwice => "requests delivered twice",
    Late => "messages late by seconds",
    CrashAtStep => "processes killed between two steps",
    CrashForLong => "processes killed and away for a while",
    Paused => "processes paused past their leases",
    CommitUnknown => "commits whose outcome the connection took along",
    ProviderSilentBefore => "provider: silence, nothing done",
    ProviderSilentAfter => "provider: silence, though it was done",
    ProviderError => "provider: 5xx",
    ProviderAway => "provider: not reached",
    ProviderLate => "provider: calls that landed after their caller gave up",
    WebhookTwice => "webhooks delivered twice",
    WebhookLost => "webhooks lost",
    BrokerDown => "publications refused by a broker that is down",
    PublishUnacknowledged => "publications stored, acknowledgement lost",
    RelayLostLock => "relays that lost their lock with a batch in hand",
    Rebalanced => "partitions that moved with a batch in hand",
    LinkCut => "calls between the regions cut off",
    LinkOneWay => "links cut in one direction",
    PeerDown => "times at which a region took the other for away",
    Hole => "rows that committed behind later ones",
    // What then holds.
    TakenOver => "leases that went from one driver to the next",
    ZombieRefused => "late writes of orders' drivers refused",
    ClaimLost => "late writes of payments' drivers refused",
    PivotLost => "pivots that found the order moved on",
    KnownRequest => "repeats of a request that found its order",
    KeyReplayed => "repeats recognised by the provider's key",
    Asked => "doubts settled by asking the provider",
    Abandoned => "payments voided while in doubt",
    StockTombstone => "reservations let go before they were made",
    PaymentTombstone => "payments voided before they were asked for",
    LateReserve => "reserves refused by a tombstone",
    LateAuthorise => "authorisations refused after their void",
    Hint => "webhooks that woke a payment",
    Redelivered => "events skipped by the inbox",
    Foreign => "events of the other region passed over",
    Republished => "events published again",
    EarlyCancel => "cancellations that overtook their placed event",
    FateStands => "expired reservations kept, their order undecided or placed",
    FateEnded => "expired reservations let go",
    Transferred => "rights credited from the other region",
    TransferAgain => "transfers asked for again",
    RefundWaits => "refunds that waited for their capture",
    HandedOn => "requests handed on to their home",
    HomeUnreachable => "requests refused because their home could not be asked",
    DecidedAway => "orders decided in an absent home's stead",
    Elsewhere => "requests whose order turned out to be the other region's",
    HomeTold => "homes told of orders decided in their stead",
    CartMoved => "checkouts refused because the cart was shown otherwise",
    VersionAwaited => "waits of a home for edits made in the other region",
    EditedWhileHeld => "edits of a cart while an order held units of it",
    RefusedAgain => "refusals repeated in the other region",
    LateCut => "cuts that became no order, put back",
    // How orders end.
    Captured => "orders shipped and captured",
    Cancelled => "orders cancelled and voided",
    Declined => "orders rejected: card declined",
    OutOfStock => "orders rejected: out of stock",
    TimedOut => "orders rejected: time was up",
    RefundedInPart => "orders refunded in part",
    RefundedWhole => "orders refunded whole",
    SupersededCancelled => "later orders of one request cancelled",
    SupersededReturned => "later orders of one request paid back whole",
    BothPlaced => "overlapping checkouts: both placed",
    FirstRejected => "overlapping checkouts: the first rejected",
    SecondRejected => "overlapping checkouts: the second rejected",
    BothRejected => "overlapping checkouts: both rejected",
    OrderedTwice => "carts ordered in both regions while they could not talk",
    Unattended => "orders placed whose shopper never learnt of it",
}

/// How often each was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage([u64; Seen::ALL.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Self([0; Seen::ALL.len()])
    }
}

impl Coverage {
    /// Counts one.
    pub fn saw(&mut self, what: Seen) {
        self.0[what as usize] += 1;
    }

    /// How often it was seen.
    pub fn of(&self, what: Seen) -> u64 {
        self.0[what as usize]
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// What was never seen.
    pub fn missing(&self) -> Vec<&'static str> {
        Seen::ALL.iter().filter(|what| self.of(**what) == 0).map(|what| what.text()).collect()
    }
}
