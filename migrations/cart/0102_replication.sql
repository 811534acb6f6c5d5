-- Replication between the regions: this region's own operations are the log that is shipped, the other's are remembered.

alter table cart_operation
    -- The replica it came from; null is this one. Only own operations are shipped.
    add column origin smallint,
    -- The checkout it is about.
    add column order_id uuid;

comment on column cart_operation.position is
    'tells the operations of a transaction apart; the log is ordered by (transaction_id, position)';

-- The log in the order of shipping. The transaction comes first, because "below the oldest transaction that still runs" is a prefix
-- of this order, and of no order of sequence numbers.
create index cart_operation_log on cart_operation (transaction_id, position) where origin is null;
-- What came from elsewhere is kept only to recognise repeats; this finds what is old enough to go.
create index cart_operation_foreign on cart_operation (created_at) where origin is not null;

alter table cart_checkout
    -- The replica that began it and will settle it; null is this one.
    add column origin smallint,
    -- Its own dot's counter, what its shopper had seen, and what was ordered: to tell when two regions ordered the same units.
    add column operation bigint not null default 0,
    add column seen bytea not null default '',
    -- Units by offer.
    add column ordered jsonb not null default '{}';

-- Units that two orders took, each in its region while the regions could not talk. For the shopper to see, and cancel one.
create table cart_ordered_twice (
    cart_id uuid not null,
    offer_id text not null,
    -- The two orders, the smaller id first: both regions find the same row.
    first_order_id uuid not null,
    second_order_id uuid not null,
    quantity bigint not null constraint cart_ordered_twice_some check (quantity > 0),
    primary key (cart_id, offer_id, first_order_id, second_order_id)
);

-- For whole states.
create index cart_checkout_cart on cart_checkout (cart_id);

-- Checkouts that nobody came back for are settled where they were begun.
drop index cart_checkout_overdue;
create index cart_checkout_overdue on cart_checkout (begun_at) where state = 'undecided' and origin is null;

-- The other replicas.
create table cart_replica (
    replica smallint primary key,
    -- Of its log everything up to here is joined here. Moves in the transaction that joins.
    received_transaction bigint not null default 0,
    received_sequence bigint not null default 0,
    -- Of our log everything up to here is joined there: what may be trimmed.
    acked_transaction bigint not null default 0,
    acked_sequence bigint not null default 0
);

-- How far our log was trimmed. One row.
create table cart_log (
    only_row boolean default true
        constraint cart_log_pk primary key
        constraint cart_log_single check (only_row),
    trimmed_transaction bigint not null default 0,
    trimmed_sequence bigint not null default 0
);

insert into cart_log default values;
