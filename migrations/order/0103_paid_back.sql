-- A return is worth what its units cost; what is paid back is as much of it as ever came in.

alter table order_return
    -- What payment paid back, in minor units; null until it says so. Less than amount_minor when less came in.
    add column paid_minor bigint,
    add constraint order_return_paid_within_amount check (paid_minor between 0 and amount_minor);

update order_return set paid_minor = amount_minor where state = 'refunded';

alter table order_return
    add constraint order_return_refunded_is_known check ((paid_minor is not null) = (state = 'refunded'));

alter table operator_action
    drop constraint operator_action_known,
    -- close: what is parked of the order was seen to by hand.
    add constraint operator_action_known check (action in ('park', 'retry', 'compensate', 'close'));
