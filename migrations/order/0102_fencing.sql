-- Who may write, and what nobody drives until a person decides.

alter table customer_order
    -- The fencing token: grows with each claim, and each write of a driver is refused unless it holds the latest. So a driver that
    -- was suspended past its lease cannot write when it wakes. It takes the place of the driver's name, which only told drivers apart.
    add column fence bigint not null default 1,
    drop column driver,
    -- Set while the saga is parked: it keeps its state, and nobody drives it until an operator says how it goes on.
    add column parked_at timestamptz,
    -- Why; shown to operators, nothing personal.
    add column parked_reason text,
    add constraint customer_order_fence_positive check (fence > 0),
    add constraint customer_order_parked_with_reason check ((parked_at is null) = (parked_reason is null)),
    drop constraint customer_order_undecided_is_driven,
    -- An undecided order can never be forgotten: it is driven or somebody is told. A decided one has nothing to drive, save the
    -- void of a cancelled one.
    add constraint customer_order_undecided_is_driven
        check (case
            when parked_at is not null then drive_after is null and state in ('pending', 'compensating', 'cancelled')
            when state in ('pending', 'compensating') then drive_after is not null
            when state = 'cancelled' then true
            else drive_after is null
        end);

-- The list of parked orders, oldest first, and their number. Partial: holds next to nothing.
create index customer_order_parked on customer_order (parked_at) where parked_at is not null;

-- A return's refund likewise.
alter table order_return
    add column fence bigint not null default 1,
    drop column driver,
    add column parked_at timestamptz,
    add column parked_reason text,
    add constraint order_return_fence_positive check (fence > 0),
    add constraint order_return_parked_with_reason check ((parked_at is null) = (parked_reason is null)),
    drop constraint order_return_requested_is_driven,
    -- Exactly one of the two while the money is owed, neither afterwards.
    add constraint order_return_requested_is_driven
        check ((drive_after is not null)::integer + (parked_at is not null)::integer = (state = 'requested')::integer);

create index order_return_parked on order_return (parked_at) where parked_at is not null;

-- What people did to orders: who, when, what, why, and how the order stood before and after. Written in the transaction that does it.
create table operator_action (
    action_id uuid not null,
    -- The operator's key: a repeat finds the action and changes nothing more.
    idempotency_key text not null,
    order_id uuid not null,
    action text not null,
    operator text not null,
    reason text not null,
    -- Versioned JSON: state, parking, attempts and fencing token of the order and of its refunds that were not confirmed.
    standing_before jsonb not null,
    standing_after jsonb not null,
    acted_at timestamptz not null,

    constraint operator_action_pkey primary key (action_id),
    constraint operator_action_key_unique unique (idempotency_key),
    constraint operator_action_order_fkey foreign key (order_id) references customer_order (order_id),
    constraint operator_action_known check (action in ('park', 'retry', 'compensate'))
);

-- The history of one order.
create index operator_action_by_order on operator_action (order_id, acted_at);

create function operator_action_refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'the record of operators is append-only: % refused', tg_op
        using errcode = 'restrict_violation', constraint = 'operator_action_append_only';
end
$$;

-- A trigger rather than grants: the service's role owns its tables, and an owner can give itself any grant back by accident.
create trigger operator_action_append_only
    before update or delete or truncate on operator_action
    for each statement execute function operator_action_refuse_change();
