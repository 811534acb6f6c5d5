-- The number under which this database issues dots and positions, kept here and not derived from the region's name: a database that was
-- restored has forgotten what it issued, and goes on under a number that was never used. And the guard that keeps it from going on
-- under the old one: here too, so that it holds for every process and over restarts.

alter table cart_log
    -- Null until a service claims the database.
    add column replica smallint,
    -- Those before it. What they began is still this region's to settle.
    add column former smallint[] not null default '{}',
    -- The life of the server in which the log was last found to be whole, and which server it was. Null: no service has claimed it.
    add column life text,
    add column identity text,
    -- The other region has more of this log than there is: the database went back in time.
    add column rewound_at timestamptz;

-- Changes whenever the server starts, and in a copy of the database: only then can a log have gone back in time.
create function cart_life() returns text
language sql stable as $$
    select pg_postmaster_start_time()::text || '/' || oid::text from pg_database where datname = current_database()
$$;

-- Changes when the server is another one, or was restored to an earlier point of its own log; not by a restart.
create function cart_identity() returns text
language sql stable as $$
    select system_identifier::text || '/' || timeline_id::text || '/' ||
        (select oid::text from pg_database where datname = current_database())
    from pg_control_system(), pg_control_checkpoint()
$$;

-- Whether what came from this replica began here, under whatever number. Null is the present one.
create function cart_is_own(origin smallint) returns boolean
language sql stable as $$
    select origin is null or exists (select from cart_log where origin = any(former))
$$;

-- Refuses to append to a log that may be one that went back in time. A writer says under which number it decided (the setting cart.replica),
-- so that one that has not heard of a new number cannot issue dots under the old one. The codes are ours: no class of Postgres begins so.
create function cart_log_guard() returns trigger
language plpgsql as $$
declare
    log cart_log;
    decided_as text := nullif(current_setting('cart.replica', true), '');
begin
    select * into log from cart_log;
    if log.life is null then
        return new;
    end if;
    if log.rewound_at is not null then
        raise exception 'the log of carts went back in time; it takes a new replica number' using errcode = 'CR001';
    end if;
    if log.life <> cart_life() then
        raise exception 'the log of carts is not known to be whole since its server started' using errcode = 'CR002';
    end if;
    if decided_as <> log.replica::text then
        raise exception 'replica % writes into the log of replica %', decided_as, log.replica using errcode = 'CR003';
    end if;
    return new;
end
$$;

create trigger cart_log_guard
    before insert on cart_operation
    for each row when (new.origin is null)
    execute function cart_log_guard();

-- Goes on under another number. What was begun and logged under the old one is marked with it; the other region gets what it lacks of that
-- by comparing carts, not from the log.
create function cart_renumber(number integer) returns void
language plpgsql as $$
declare
    old smallint;
begin
    -- No append is under way, and none begins, until this is committed.
    lock table cart_operation in share row exclusive mode;
    select replica into old from cart_log for update;
    if old is null then
        raise exception 'no service has claimed this database yet: it has no number to replace';
    end if;
    -- What carts are encoded as has room for numbers below 16.
    if number not between 1 and 15 or number <= old or number % 2 <> old % 2 then
        raise exception 'a number above % is needed, and at most 15, % like it', old,
            case old % 2 when 1 then 'odd' else 'even' end;
    end if;
    update cart_operation set origin = old where origin is null;
    update cart_checkout set origin = old where origin is null;
    update cart_replica set acked_transaction = 0, acked_sequence = 0;
    update cart_log
    set replica = number, former = former || old, life = cart_life(), identity = cart_identity(), rewound_at = null,
        trimmed_transaction = 0, trimmed_sequence = 0;
end
$$;

drop index cart_checkout_overdue;
create index cart_checkout_overdue on cart_checkout (next_look_at) where state = 'undecided';
