-- Orders, their lines and their returns. Queries stand beside the code that uses them, in services/order/src/store.

-- "order" is a reserved word, hence the longer name; the key is order_id all the same.
create table customer_order (
    -- UUIDv7, made before the cart is cut: newest first is a descending scan of the key. Also names the order's payment and
    -- reservation, and so is the idempotency key of every call the saga makes.
    order_id uuid not null,
    customer_id uuid not null,
    -- The client's key, unique per customer.
    idempotency_key text not null,
    -- SHA-256 over the request: tells a repeat from another request under the same key, without keeping a second copy of
    -- the address.
    request_digest bytea not null,
    -- The region that drives it.
    home_region text not null,
    -- The cart it was cut from; AbandonCheckout needs it.
    cart_id uuid not null,
    state text not null,
    -- While compensating: the step whose compensation runs first. Stable names, see sagas/place_order.
    unwind_from text,
    -- Why it is compensating or rejected, versioned JSON: a repeat of the request gets exactly this refusal again.
    refusal jsonb,
    currency text not null,
    total_minor bigint not null,
    -- How many lines it has, so that a page of orders can be bounded by lines before they are read.
    line_count integer not null,
    -- Whether payment.captured.v1 came in.
    captured boolean not null default false,
    -- Sum of the refunds that payment confirmed.
    refunded_minor bigint not null default 0,
    -- The provider's token of the card, only as long as an authorisation may still be asked for. Never logged.
    card_token text,
    -- Where the goods go: personal data, never logged and in no event.
    delivery_recipient text not null,
    delivery_street text not null,
    delivery_city text not null,
    delivery_postal_code text not null,
    delivery_country text not null,
    -- W3C trace context of the request, so that recovery and shipping go on in the trace that began with the shopper.
    traceparent text,
    -- Who drives the order (a fresh UUID per turn), and until when nobody else may: the lease, or the back-off after a turn
    -- that did not reach the end. drive_after is null when nothing is left to drive.
    driver uuid,
    drive_after timestamptz,
    -- Turns that did not reach the end; the back-off grows with it.
    attempts integer not null default 0,
    -- When it is due to ship; set by the fulfilment worker on order.placed.v1.
    ship_at timestamptz,
    created_at timestamptz not null,

    constraint customer_order_pkey primary key (order_id),
    -- Decides a race of two requests with the same key.
    constraint customer_order_request_unique unique (customer_id, idempotency_key),
    constraint customer_order_state_known
        check (state in ('pending', 'compensating', 'placed', 'shipped', 'rejected', 'cancelled')),
    constraint customer_order_total_positive check (total_minor > 0),
    constraint customer_order_refund_within_total check (refunded_minor between 0 and total_minor),
    -- The token is there exactly as long as it is needed.
    constraint customer_order_card_token_only_pending check ((card_token is not null) = (state = 'pending')),
    constraint customer_order_refusal_only_when_refused
        check ((refusal is not null) = (state in ('compensating', 'rejected'))),
    constraint customer_order_unwind_only_compensating check ((unwind_from is not null) = (state = 'compensating')),
    -- An undecided order can never be forgotten; a decided one has nothing to drive, save the void of a cancelled one.
    constraint customer_order_undecided_is_driven
        check (case
            when state in ('pending', 'compensating') then drive_after is not null
            when state = 'cancelled' then true
            else drive_after is null
        end)
);

-- ListOrders: one customer's orders, newest first.
create index customer_order_by_customer on customer_order (customer_id, order_id desc);

-- The recovery worker's queue. Partial: holds only the few orders that somebody drives.
create index customer_order_to_drive on customer_order (drive_after) where drive_after is not null;

-- The shipping worker's queue.
create index customer_order_to_ship on customer_order (ship_at) where state = 'placed' and ship_at is not null;

-- What was ordered, in the order's currency.
create table order_line (
    order_id uuid not null,
    offer_id text not null,
    seller_id text not null,
    title text not null,
    unit_price_minor bigint not null,
    quantity bigint not null,
    -- Units returned so far, changed only under the order's row lock.
    returned_quantity bigint not null default 0,

    constraint order_line_pkey primary key (order_id, offer_id),
    constraint order_line_order_fkey foreign key (order_id) references customer_order (order_id),
    constraint order_line_price_positive check (unit_price_minor > 0),
    constraint order_line_quantity_positive check (quantity > 0),
    -- The last line of defence: whatever the code does, no more comes back than was ordered.
    constraint order_line_returned_within_ordered check (returned_quantity between 0 and quantity)
);

-- A return and its refund; the return's id is the refund's.
create table order_return (
    return_id uuid not null,
    order_id uuid not null,
    -- The client's key, unique per order.
    idempotency_key text not null,
    -- SHA-256 over the request, as above.
    request_digest bytea not null,
    -- requested: the refund is being driven; refunded: payment confirmed it.
    state text not null,
    amount_minor bigint not null,
    traceparent text,
    -- As in customer_order: null once refunded.
    driver uuid,
    drive_after timestamptz,
    attempts integer not null default 0,
    created_at timestamptz not null,

    constraint order_return_pkey primary key (return_id),
    constraint order_return_order_fkey foreign key (order_id) references customer_order (order_id),
    constraint order_return_request_unique unique (order_id, idempotency_key),
    constraint order_return_state_known check (state in ('requested', 'refunded')),
    constraint order_return_amount_positive check (amount_minor > 0),
    constraint order_return_requested_is_driven check ((drive_after is not null) = (state = 'requested'))
);

-- The refund worker's queue.
create index order_return_to_drive on order_return (drive_after) where drive_after is not null;

create table order_return_line (
    return_id uuid not null,
    offer_id text not null,
    quantity bigint not null,

    constraint order_return_line_pkey primary key (return_id, offer_id),
    constraint order_return_line_return_fkey foreign key (return_id) references order_return (return_id),
    constraint order_return_line_quantity_positive check (quantity > 0)
);
