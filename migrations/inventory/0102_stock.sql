-- What this region holds the rights to, per offer, and what came in from outside.
--
-- Invariant, checked by the audit for every offer:
--   received + transferred in - transferred out = available + reserved + sold

create table stock (
    -- No foreign key to offer: rights from the other region must be creditable also when this region has not been told of
    -- the offer yet, or units that were taken off the other side would have nowhere to go.
    offer_id text collate "C" constraint stock_pk primary key,
    available bigint not null default 0,
    reserved bigint not null default 0,
    sold bigint not null default 0,

    -- The last line of defence. Every statement that takes units guards itself; one that forgot fails here.
    constraint stock_available_not_negative check (available >= 0),
    constraint stock_reserved_not_negative check (reserved >= 0),
    constraint stock_sold_not_negative check (sold >= 0)
)
-- Popular offers are updated by every order. Room on the page and no second index keep those updates heap-only.
with (fillfactor = 50);

-- A receipt of goods, under the caller's key.
create table stock_receipt (
    receipt_id uuid constraint stock_receipt_pk primary key,
    -- SHA-256 of the request: the same key with other goods is refused.
    request_digest bytea not null,
    received_at timestamptz not null default now()
);

create table stock_receipt_line (
    receipt_id uuid not null constraint stock_receipt_line_receipt_fk references stock_receipt,
    offer_id text collate "C" not null,
    units bigint not null,

    constraint stock_receipt_line_pk primary key (receipt_id, offer_id),
    constraint stock_receipt_line_units_positive check (units > 0)
);
