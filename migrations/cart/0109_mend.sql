-- Values of carts that did not decode and that a person mended: `backbone cart mend` writes a row for each, in the transaction that mends
-- the cart; the command and the audit read them. Rows are added and never changed.
create table cart_mend (
    -- The operation of the log that mended the cart is `mended:<mend_id>`.
    mend_id uuid not null,
    cart_id uuid not null,
    -- 'context', 'address', 'line <offer>' or 'cut <order>'.
    value text not null,
    -- Why it did not decode, and how it came to be whole again.
    fault text not null,
    outcome text not null
        -- 'joined': all of it was found in the other region and in the logs. 'lost': it could be read in neither region.
        constraint cart_mend_outcome_known check (outcome in ('joined', 'lost')),
    -- As it was, for whoever asks how it came about; none of an address, which is nobody's business.
    bytes bytea,
    mended_at timestamptz not null default now(),
    -- Who says so, and why. For people; no personal data of shoppers.
    mended_by text not null constraint cart_mend_by_known check (mended_by <> ''),
    reason text not null constraint cart_mend_reason_given check (length(trim(reason)) between 1 and 1000),
    constraint cart_mend_pk primary key (mend_id, value)
);
