-- Changes of the catalogue that came under a key: a repeat that arrives late, when others have changed the offers since, changes nothing.

create table catalog_request (
    idempotency_key text not null,
    -- SHA-256 of the offers: the same key with others is refused.
    request_digest bytea not null,
    offers_written integer not null,
    requested_at timestamptz not null default now(),
    constraint catalog_request_pk primary key (idempotency_key)
);

-- For forgetting what nobody repeats any more.
create index catalog_request_age on catalog_request (requested_at);
