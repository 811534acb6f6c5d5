-- Units held for an order, from the saga's first step until the order is sold or ends.

create table reservation (
    order_id uuid constraint reservation_pk primary key,
    -- SHA-256 of the lines; null when the order was let go before it was ever reserved (a tombstone).
    request_digest bytea,
    state text not null,
    -- Why it is released; null in the other states. A placed order may find 'cancelled' here, never the other two.
    release_cause text,
    -- From here on the expiry worker asks what became of the order. It moves when the worker claims the row, so that two
    -- workers do not ask at once and the claim of a dead one lapses.
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),

    constraint reservation_state_known check (state in ('reserved', 'committed', 'released')),
    constraint reservation_release_cause_known check (release_cause in ('requested', 'expired', 'cancelled')),
    constraint reservation_release_cause_when_released check ((state = 'released') = (release_cause is not null)),
    constraint reservation_tombstone_is_released check (request_digest is not null or state = 'released')
);

-- Holds open reservations only, so it stays small and the worker's scan is bounded by what is really open.
create index reservation_expires_at on reservation (expires_at) where state = 'reserved';

create table reservation_line (
    -- No foreign key: header and lines are written by one statement and never deleted, and 700 lines would mean 700 checks.
    order_id uuid not null,
    offer_id text collate "C" not null,
    units bigint not null,

    constraint reservation_line_pk primary key (order_id, offer_id),
    constraint reservation_line_units_positive check (units > 0)
);
