-- The event spine's tables. They live in the database of every service that speaks or listens on the spine, because a
-- row of them is only worth something in the transaction of the change it belongs to.

-- Events that are decided but not yet published in this region. A row is here from the commit of its change until the
-- broker has acknowledged it. The first five columns are those of Debezium's outbox event router, under its names.
create table outbox (
    id uuid constraint outbox_pk primary key,
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    -- Bounded below the broker's message.max.bytes (1 MiB), headers included: a row that can never be published would
    -- block its aggregate for ever.
    payload bytea not null constraint outbox_payload_size check (octet_length(payload) <= 917504),
    -- Publishing order. It is handed out before the commit, so positions become visible out of order: 6 may be seen
    -- while 5 is still uncommitted. Nobody may therefore remember "the last position"; see the relay. Within one
    -- aggregate the order holds, because its writers queue for the aggregate's row before they append.
    position bigint generated always as identity,
    -- The region whose consumers act on the event. Both regions receive it.
    home_region text not null constraint outbox_home_region_known check (home_region in ('east', 'west')),
    -- W3C trace context of the request that made the change; null when it was not traced.
    traceparent text,
    created_at timestamptz not null default clock_timestamp()
)
-- A queue: every row dies young. Vacuum by a fixed number of dead rows, or the scan for the oldest row wades through
-- them.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create index outbox_position_index on outbox (position);

-- Events this region has published and the other region's Kafka has not yet acknowledged. A table of its own, so that a
-- peer that is away for hours makes this one long and leaves `outbox`, which the local relay scans, short.
create table outbox_peer (
    id uuid constraint outbox_peer_pk primary key,
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    payload bytea not null,
    -- Copied from `outbox`: the peer receives an aggregate's events in the same order.
    position bigint not null,
    home_region text not null,
    traceparent text,
    created_at timestamptz not null
)
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create index outbox_peer_position_index on outbox_peer (position);

-- Until when the relay looks at the outbox every few milliseconds by itself, and need not be notified. One row.
create table outbox_relay (
    only_row boolean default true
        constraint outbox_relay_pk primary key
        constraint outbox_relay_single check (only_row),
    awake_until timestamptz not null
);

insert into outbox_relay (awake_until) values ('-infinity');

-- Wakes the relay when it sleeps. Per statement, not per row; Postgres delivers the notification at the commit, when
-- the rows can be seen.
--
-- Not when it is awake: a transaction that notifies holds one lock of the whole server until its commit is on disk, so
-- such commits queue one fsync after another instead of sharing them. With 32 clients that was 330 commits a second
-- against 8,100 without (pgbench, fsync on). A busy relay is awake, so commits notify only while they are few.
create function outbox_notify() returns trigger language plpgsql as $$
begin
    if not exists (select from outbox_relay where awake_until > clock_timestamp()) then
        perform pg_notify('outbox', '');
    end if;
    return null;
end
$$;

create trigger outbox_notify after insert on outbox for each statement execute function outbox_notify();

-- Which events each consumer has already acted on. The primary key is the guard: the row and the effect commit together
-- or not at all, so an event that is delivered again finds its row and is skipped.
create table inbox (
    consumer text not null,
    event_id uuid not null,
    received_at timestamptz not null default now(),
    constraint inbox_pk primary key (consumer, event_id)
);

-- For trimming what no broker can deliver again.
create index inbox_received_at_index on inbox (consumer, received_at);
