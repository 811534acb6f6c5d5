-- The catalogue. Each region holds all of it; nothing here refers to stock, and stock does not refer to it (see 0102).

create table offer (
    -- Collation "C" compares bytes, as Rust does: pages and lock order are then the same on both sides of the wire.
    offer_id text collate "C" constraint offer_pk primary key,
    seller_id text not null,
    title text not null,
    price_minor bigint not null,
    currency_code text not null,
    attributes jsonb not null,
    updated_at timestamptz not null default now(),

    constraint offer_price_positive check (price_minor > 0),
    constraint offer_currency_code_shape check (currency_code ~ '^[A-Z]{3}$')
);
