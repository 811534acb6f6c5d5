-- A provider may take less than it holds and was told to take. What is short never came in: it is not booked, no seller is owed
-- it, and it cannot be paid back. amount_minor stays what the order costs.

alter table payment
    -- Of amount_minor, what the provider did not take.
    add column short_minor bigint not null default 0,
    add constraint payment_short_only_of_a_capture check (
        short_minor >= 0 and (short_minor = 0 or (state = 'captured' and short_minor < amount_minor))
    ),
    drop constraint payment_refunds_within_capture,
    -- As in 0101, but against what really came in.
    add constraint payment_refunds_within_capture check (
        refunded_minor >= 0
        and (refunded_minor = 0 or (state = 'captured' and refunded_minor <= amount_minor - short_minor))
    );

alter table payment_share
    -- The share's part of what is short; all of it when the part that came in rounds to nothing.
    add column short_minor bigint not null default 0,
    add constraint payment_share_short_within_share check (short_minor between 0 and amount_minor),
    drop constraint payment_share_refunds_within_share,
    add constraint payment_share_refunds_within_share check (
        refunded_minor between 0 and amount_minor - short_minor
    );
