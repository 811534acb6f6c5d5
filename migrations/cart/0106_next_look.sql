-- Checkouts that nobody came back for are looked at in turn, not the oldest ones again and again: those that stay undecided would else keep
-- the others from ever being looked at.

alter table cart_checkout
    -- When an undecided checkout is next asked about, once it is overdue.
    add column next_look_at timestamptz not null default now();

drop index cart_checkout_overdue;
create index cart_checkout_overdue on cart_checkout (next_look_at) where state = 'undecided' and origin is null;
