-- Every order has one home region for ever (its id names it), and one request is one order wherever it is repeated.

alter table customer_order
    -- Set when the order was decided here although its owner's home is the other region, which could not be reached: when to tell the
    -- home of it next. Null once both regions know what became of it, and for every other order.
    add column tell_home_after timestamptz,
    -- When the home was first told.
    add column told_home_at timestamptz,
    -- The other region's order of the same request, which stands in this one's place; this one is cancelled or paid back.
    add column superseded_by uuid;

-- The queue of what the owner's home is still to be told. Partial: empty but after a cut.
create index customer_order_to_tell on customer_order (tell_home_after) where tell_home_after is not null;

-- Requests that were handed to their owner's home region. Written before the first byte is sent: whatever becomes of the answer, this
-- region never makes an order of one of them. Kept as long as the orders themselves.
create table forwarded_request (
    customer_id uuid not null,
    idempotency_key text not null,
    home_region text not null,
    forwarded_at timestamptz not null default now(),

    constraint forwarded_request_pkey primary key (customer_id, idempotency_key)
);

-- Requests of our own owners that the other region made an order of while it could not reach us. Their home for that request is
-- there: a repeat here is answered from there.
create table decided_away (
    customer_id uuid not null,
    idempotency_key text not null,
    order_id uuid not null,
    told_at timestamptz not null default now(),

    constraint decided_away_pkey primary key (customer_id, idempotency_key)
);

-- Orders of ours that are the later of two of one request, and are to be undone: cancelled, or taken back whole when they have shipped.
create table superseded_order (
    order_id uuid not null,
    -- The earlier one, in the other region.
    by_order_id uuid not null,
    -- When to look at it next; null once it is undone.
    next_look_at timestamptz default now(),
    settled_at timestamptz,

    constraint superseded_order_pkey primary key (order_id),
    constraint superseded_order_order_fkey foreign key (order_id) references customer_order (order_id),
    constraint superseded_order_looked_at_until_settled check ((next_look_at is null) = (settled_at is not null))
);

create index superseded_order_to_undo on superseded_order (next_look_at) where next_look_at is not null;
