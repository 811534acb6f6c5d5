-- Carts. The CRDT's state is kept as one row per line plus the causal context on the cart, so that an edit of one line reads and writes
-- two rows, however long the cart is. All binary columns are the versioned form of crate crdt.

create table cart (
    cart_id uuid primary key,
    -- The session's subject: nobody else sees the cart.
    owner_id uuid not null,
    -- The key of the request that created it.
    idempotency_key text not null,
    -- The causal context: the cart's version.
    context bytea not null,
    -- Optimistic lock of this region's writers. Local: it is not the version that clients see and never leaves the region.
    revision bigint not null default 0,
    -- Rows of cart_line, so that the limit on lines costs no count.
    line_count integer not null default 0,
    created_at timestamptz not null default now(),
    constraint cart_creation_once unique (owner_id, idempotency_key),
    -- The last line of defence behind the service's own limit of 1,500.
    constraint cart_line_count_bounded check (line_count between 0 and 3000)
);

create table cart_line (
    -- No foreign keys here and below: every statement that inserts takes its cart_id from the cart it has just locked, carts are never
    -- deleted, and the checks would double the queries of each add.
    cart_id uuid not null,
    offer_id text not null,
    -- The line's entries. Never empty: an emptied line is deleted.
    line bytea not null,
    primary key (cart_id, offer_id)
);

-- Every change of a cart: what was asked, what was answered, and the delta. It answers repeated requests, and it is the log from which the
-- deltas are shipped to the other region.
create table cart_operation (
    cart_id uuid not null,
    -- 'client:<idempotency key>', 'checkout:<idempotency key>' or 'ordered:<order id>'.
    operation_key text not null,
    -- SHA-256 of the request: the same key with another request is refused. Empty where no client asked.
    request_digest bytea not null,
    -- The encoded reply, given again on a repeat. Empty where no client asked.
    outcome bytea not null,
    delta bytea not null,
    -- Order of shipping. Positions commit out of order, so a reader must stop before the oldest transaction that still runs: that is what
    -- transaction_id is for. (Indexed when shipping is built.)
    position bigint generated always as identity,
    transaction_id xid8 not null default pg_current_xact_id(),
    created_at timestamptz not null default now(),
    primary key (cart_id, operation_key)
);

-- Checkouts and their cuts. While undecided, the cut hides its lines; ordered, it has been joined; abandoned, it is dropped.
create table cart_checkout (
    order_id uuid primary key,
    cart_id uuid not null,
    cut bytea not null,
    state text not null default 'undecided',
    begun_at timestamptz not null default now(),
    constraint cart_checkout_state_known check (state in ('undecided', 'ordered', 'abandoned'))
);

-- Undecided checkouts are few and read with every edit of their cart; settled ones stay only as memory.
create index cart_checkout_undecided on cart_checkout (cart_id) where state = 'undecided';
create index cart_checkout_overdue on cart_checkout (begun_at) where state = 'undecided';
