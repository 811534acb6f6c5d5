-- What the provider will not do is for a person to settle: what is stuck is parked, what never came in is not waited for, and a
-- difference between the books can be accepted as it is. Whoever decides is written down.

alter table payment
    -- Since when, and why, the payment needs a person. It is still looked at, seldom; an outcome takes both away.
    add column parked_at timestamptz,
    add column parked_reason text,
    add constraint payment_parked_whole check (
        (parked_at is null) = (parked_reason is null) and (parked_at is null or due_at is not null)
    ),
    drop constraint payment_state_known,
    -- uncollected: the order shipped, and its money never came in.
    add constraint payment_state_known check (
        state in ('authorising', 'abandoning', 'authorised', 'declined', 'capturing', 'captured', 'uncollected', 'voiding', 'voided')
    ),
    drop constraint payment_short_only_of_a_capture,
    add constraint payment_short_only_of_a_capture check (
        short_minor >= 0
        and (short_minor = 0
             or (state = 'captured' and short_minor < amount_minor)
             or (state = 'uncollected' and short_minor = amount_minor))
    );

create index payment_parked on payment (parked_at) where parked_at is not null;

alter table payment_share
    -- Of short_minor, what refunds asked for and did not get, because it never came in.
    add column unpaid_minor bigint not null default 0,
    add constraint payment_share_unpaid_within_short check (unpaid_minor between 0 and short_minor);

alter table refund
    add column parked_at timestamptz,
    add column parked_reason text,
    -- What was asked for and is not paid back, because it never came in. amount_minor is what is.
    add column unpaid_minor bigint not null default 0,
    add constraint refund_parked_whole check (
        (parked_at is null) = (parked_reason is null) and (parked_at is null or due_at is not null)
    ),
    drop constraint refund_state_known,
    -- cancelled: a person found that it is not to be paid through the provider.
    add constraint refund_state_known check (state in ('pending', 'succeeded', 'cancelled')),
    drop constraint refund_amount_positive,
    add constraint refund_amount_positive check (
        amount_minor >= 0 and unpaid_minor >= 0 and amount_minor + unpaid_minor > 0
    ),
    drop constraint refund_provider_id_known,
    -- Who has nothing to pay back does not call the provider.
    add constraint refund_provider_id_known check (
        provider_refund_id is not null or state <> 'succeeded' or amount_minor = 0
    );

create index refund_parked on refund (parked_at) where parked_at is not null;

-- Decisions of people about payments and refunds. Rows are only ever added.
create table payment_action (
    action_id uuid not null,
    -- A repeat under the same key changes nothing more.
    idempotency_key text not null,
    order_id uuid not null,
    refund_id uuid,
    -- retry, settle.
    action text not null,
    -- What was said to have happened: the amount that came in, or the provider's id of a refund; empty for none.
    outcome text not null,
    operator text not null,
    reason text not null,
    state_before text not null,
    state_after text not null,
    acted_at timestamptz not null default now(),
    constraint payment_action_pkey primary key (action_id),
    constraint payment_action_once unique (idempotency_key),
    constraint payment_action_payment foreign key (order_id) references payment (order_id)
);

create trigger payment_action_append_only
    before update or delete or truncate on payment_action
    for each statement execute function ledger_refuse_change();

alter table reconciliation_difference
    -- Who accepted the difference as it is, when and why. It counts as open no more, until our side of it or the provider's changes.
    add column settled_at timestamptz,
    add column settled_by text,
    add column settled_reason text,
    add constraint reconciliation_difference_settled_whole check (
        num_nulls(settled_at, settled_by, settled_reason) in (0, 3)
    );
