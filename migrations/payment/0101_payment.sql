-- Payments and refunds: what we asked the provider to do, and what it said it did.
--
-- A row that still owes the provider a question or a call is "in flight": it has a due_at. Nothing else makes work, so
-- whatever crashes, the sweep finds it again.

create table payment (
    -- The order it pays. One payment per order: a second authorisation of an order has no row to live in.
    order_id uuid not null,
    -- authorising and abandoning are in doubt: the authorisation's outcome is unknown (abandoning: void it once it is known).
    -- Stable names: they are the domain's own and are never renamed in place.
    state text not null,
    -- The terms. All null in a tombstone: a void that came before any authorisation, kept so that the late one is refused.
    amount_minor bigint,
    currency text,
    -- Rate at the time of the authorisation; a later change of the setting does not touch old payments.
    commission_basis_points smallint,
    -- SHA-256 of amount, currency, card token and shares: tells a repeat from a reused key without keeping the token.
    terms_digest bytea,
    -- Kept only while the authorisation is in doubt, because repeating the call needs it; erased with the outcome.
    card_token text,
    -- The provider's id of the authorisation, once it told us.
    intent_id text,
    decline_code text,
    -- Refunds succeeded or accepted to be, in minor units.
    refunded_minor bigint not null default 0,
    -- Who drives the row now. Fences: an outcome is stored only under the claim it was made under.
    claim uuid,
    -- Claims taken for the present step; from the second on the provider is asked before the call is repeated.
    attempts integer not null default 0,
    -- When a worker may (again) take the row: the end of the lease while it is claimed, else the end of the backoff.
    due_at timestamptz,
    -- W3C trace context of the request or event that caused the present step, so that a worker continues its trace.
    traceparent text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint payment_pkey primary key (order_id),
    constraint payment_state_known check (
        state in ('authorising', 'abandoning', 'authorised', 'declined', 'capturing', 'captured', 'voiding', 'voided')
    ),
    constraint payment_due_while_in_flight check (
        (due_at is not null) = (state in ('authorising', 'abandoning', 'capturing', 'voiding'))
    ),
    constraint payment_claim_only_in_flight check (claim is null or due_at is not null),
    constraint payment_terms_whole check (
        num_nulls(amount_minor, currency, commission_basis_points, terms_digest) in (0, 4)
    ),
    constraint payment_tombstone_is_voided check (terms_digest is not null or state = 'voided'),
    constraint payment_card_token_only_in_doubt check (
        (card_token is not null) = (state in ('authorising', 'abandoning'))
    ),
    constraint payment_intent_known check (
        intent_id is not null or state not in ('authorised', 'capturing', 'captured', 'voiding')
    ),
    constraint payment_amount_bounded check (amount_minor between 1 and 1000000000000),
    constraint payment_commission_bounded check (commission_basis_points between 0 and 10000),
    -- The last line against paying out more than came in; the lock on this row and the domain's check come before it.
    constraint payment_refunds_within_capture check (
        refunded_minor >= 0 and (refunded_minor = 0 or (state = 'captured' and refunded_minor <= amount_minor))
    )
);

-- The workers' queue: small, because settled rows are not in it.
create index payment_due on payment (due_at) where due_at is not null;
-- One authorisation of the provider pays one order.
create unique index payment_intent on payment (intent_id) where intent_id is not null;

create table payment_share (
    order_id uuid not null,
    seller_id text not null,
    amount_minor bigint not null,
    -- Of this share, refunds succeeded or accepted to be.
    refunded_minor bigint not null default 0,
    constraint payment_share_pkey primary key (order_id, seller_id),
    constraint payment_share_payment foreign key (order_id) references payment (order_id),
    constraint payment_share_amount_positive check (amount_minor > 0),
    constraint payment_share_refunds_within_share check (refunded_minor between 0 and amount_minor)
);

create table refund (
    -- The caller's id of the refund, and its idempotency key.
    refund_id uuid not null,
    order_id uuid not null,
    state text not null,
    amount_minor bigint not null,
    -- SHA-256 of order and shares: tells a repeat from a reused key.
    terms_digest bytea not null,
    -- The provider's id, once it told us.
    provider_refund_id text,
    -- As in payment.
    claim uuid,
    attempts integer not null default 0,
    due_at timestamptz,
    traceparent text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint refund_pkey primary key (refund_id),
    constraint refund_payment foreign key (order_id) references payment (order_id),
    constraint refund_state_known check (state in ('pending', 'succeeded')),
    constraint refund_due_while_pending check ((due_at is not null) = (state = 'pending')),
    constraint refund_claim_only_pending check (claim is null or state = 'pending'),
    constraint refund_provider_id_known check (provider_refund_id is not null or state = 'pending'),
    constraint refund_amount_positive check (amount_minor > 0)
);

create index refund_due on refund (due_at) where due_at is not null;
create index refund_order on refund (order_id);

create table refund_share (
    refund_id uuid not null,
    seller_id text not null,
    amount_minor bigint not null,
    -- The commission given back with it, fixed when the refund was reserved, in the order of the reservations: that is what
    -- makes the parts of any number of refunds add up to the commission taken.
    commission_minor bigint not null,
    constraint refund_share_pkey primary key (refund_id, seller_id),
    constraint refund_share_refund foreign key (refund_id) references refund (refund_id),
    constraint refund_share_amount_positive check (amount_minor > 0),
    constraint refund_share_commission_within_amount check (commission_minor between 0 and amount_minor)
);

-- Webhook events of the provider that we acted upon. A repeat has no second effect.
create table webhook_event (
    event_id text not null,
    received_at timestamptz not null default now(),
    constraint webhook_event_pkey primary key (event_id)
);

-- For the purge of old ones.
create index webhook_event_received on webhook_event (received_at);
