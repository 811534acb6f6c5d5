-- Rights that moved between the regions. One transfer has a row on each side, under the same id:
-- in the region that asked (in) and in the region that granted (out).

create table rights_transfer_in (
    transfer_id uuid constraint rights_transfer_in_pk primary key,
    -- The order whose shortfall it covers.
    order_id uuid not null,
    -- pending: the other region may or may not have granted it. It is asked again until it says.
    state text not null,
    -- When the worker asks again; later than the longest call in flight, so that it repeats only what was abandoned.
    ask_again_at timestamptz not null,
    created_at timestamptz not null default now(),

    constraint rights_transfer_in_state_known check (state in ('pending', 'credited'))
);

-- One open question per order: a retried order takes up its own transfer instead of asking for the units once more.
create unique index rights_transfer_in_pending_order on rights_transfer_in (order_id) where state = 'pending';
create index rights_transfer_in_ask_again_at on rights_transfer_in (ask_again_at) where state = 'pending';

create table rights_transfer_in_line (
    transfer_id uuid not null constraint rights_transfer_in_line_transfer_fk references rights_transfer_in,
    offer_id text collate "C" not null,
    asked bigint not null,
    -- Zero until credited.
    granted bigint not null default 0,

    constraint rights_transfer_in_line_pk primary key (transfer_id, offer_id),
    constraint rights_transfer_in_line_asked_positive check (asked > 0),
    constraint rights_transfer_in_line_granted_within_asked check (granted between 0 and asked)
);

create table rights_transfer_out (
    transfer_id uuid constraint rights_transfer_out_pk primary key,
    to_region text not null,
    -- SHA-256 of the request: the same key asking for something else is refused.
    request_digest bytea not null,
    -- The sum over its lines; a transfer that granted nothing is remembered too, as that was its outcome.
    granted_units bigint not null,
    granted_at timestamptz not null default now(),

    constraint rights_transfer_out_granted_units_not_negative check (granted_units >= 0)
);

create table rights_transfer_out_line (
    transfer_id uuid not null constraint rights_transfer_out_line_transfer_fk references rights_transfer_out,
    offer_id text collate "C" not null,
    granted bigint not null,

    constraint rights_transfer_out_line_pk primary key (transfer_id, offer_id),
    constraint rights_transfer_out_line_granted_positive check (granted > 0)
);
