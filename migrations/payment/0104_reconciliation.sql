-- What the provider's books and ours do not agree on, as the reconciliation found it.

create table reconciliation_difference (
    difference_id uuid not null,
    -- payment or refund.
    about text not null,
    -- missing_here, missing_there, amount, state, double or short_capture. Stable names.
    kind text not null,
    -- The provider's id of what differs; our reference when the provider has nothing.
    subject text not null,
    -- What it is called in calls to the provider: our order's or refund's id, or whatever stands there.
    reference text not null,
    here text not null,
    there text not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    -- When the two agreed again. Should they differ once more after that, it is another row.
    resolved_at timestamptz,
    constraint reconciliation_difference_pkey primary key (difference_id),
    constraint reconciliation_difference_about_known check (about in ('payment', 'refund')),
    constraint reconciliation_difference_kind_known check (
        kind in ('missing_here', 'missing_there', 'amount', 'state', 'double', 'short_capture')
    )
);

-- One open row per difference, however often it is seen.
create unique index reconciliation_difference_open on reconciliation_difference (about, kind, subject)
    where resolved_at is null;

-- For the rows of a span of time. Rows are made in the order of time, so a summary per block is enough and costs a payment next
-- to nothing.
create index payment_created on payment using brin (created_at);
create index refund_created on refund using brin (created_at);
