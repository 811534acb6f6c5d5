-- The double-entry ledger. Debits are positive, credits negative, and every entry sums to zero. Rows are only ever added:
-- a mistake is corrected by another entry.

create table account (
    -- psp_receivable, commission_revenue or seller_payable:<seller>. The same account holds every currency; sums are per
    -- currency.
    account_id text not null,
    kind text not null,
    seller_id text,
    opened_at timestamptz not null default now(),
    constraint account_pkey primary key (account_id),
    constraint account_name_follows_kind check (
        case kind
            when 'psp_receivable' then seller_id is null and account_id = kind
            when 'commission_revenue' then seller_id is null and account_id = kind
            when 'seller_payable' then seller_id is not null and account_id = 'seller_payable:' || seller_id
            else false
        end
    )
);

insert into account (account_id, kind)
values ('psp_receivable', 'psp_receivable'), ('commission_revenue', 'commission_revenue');

create table journal_entry (
    entry_id uuid not null,
    kind text not null,
    order_id uuid not null,
    refund_id uuid,
    -- One entry moves one currency.
    currency text not null,
    posted_at timestamptz not null default now(),
    constraint journal_entry_pkey primary key (entry_id),
    -- Target of posting's foreign key, which keeps a posting in its entry's currency.
    constraint journal_entry_currency unique (entry_id, currency),
    constraint journal_entry_kind_known check (kind in ('capture', 'refund')),
    constraint journal_entry_refund_named check ((refund_id is not null) = (kind = 'refund')),
    constraint journal_entry_payment foreign key (order_id) references payment (order_id),
    constraint journal_entry_refund foreign key (refund_id) references refund (refund_id)
);

-- A capture and a refund post once, whatever repeats.
create unique index journal_entry_one_capture on journal_entry (order_id) where kind = 'capture';
create unique index journal_entry_one_per_refund on journal_entry (refund_id) where kind = 'refund';

create table posting (
    entry_id uuid not null,
    account_id text not null,
    -- Debit positive, credit negative, in minor units.
    amount_minor bigint not null,
    currency text not null,
    constraint posting_pkey primary key (entry_id, account_id),
    constraint posting_entry foreign key (entry_id, currency) references journal_entry (entry_id, currency),
    constraint posting_account foreign key (account_id) references account (account_id),
    constraint posting_amount_not_zero check (amount_minor <> 0)
);

-- For the balance of an account.
create index posting_account_currency on posting (account_id, currency);

-- Refuses an entry that does not sum to zero or has no two sides.
create function ledger_refuse_unbalanced(unbalanced_entry_id uuid) returns void
language plpgsql as $$
declare
    sides bigint;
    total numeric;
begin
    select count(*), coalesce(sum(amount_minor), 0) into sides, total from posting where entry_id = unbalanced_entry_id;
    if sides < 2 or total <> 0 then
        raise exception 'journal entry % has % postings that sum to %', unbalanced_entry_id, sides, total
            using errcode = 'check_violation', constraint = 'journal_entry_balanced';
    end if;
end
$$;

create function journal_entry_check_balance() returns trigger
language plpgsql as $$
begin
    perform ledger_refuse_unbalanced(new.entry_id);
    return null;
end
$$;

-- Checked at commit, because an entry is written before its postings. Once per entry, not once per posting: an order of
-- 1,500 sellers would else be summed 1,500 times.
create constraint trigger journal_entry_balanced
    after insert on journal_entry
    deferrable initially deferred
    for each row execute function journal_entry_check_balance();

create function posting_check_balance() returns trigger
language plpgsql as $$
begin
    perform ledger_refuse_unbalanced(entry_id) from (select distinct entry_id from added) as touched;
    return null;
end
$$;

-- An entry's postings are written in one statement, so a statement that leaves an entry unbalanced is refused on the spot.
-- This closes the hole in the check above: postings added later to an entry that is already committed.
create trigger posting_balanced
    after insert on posting
    referencing new table as added
    for each statement execute function posting_check_balance();

create function ledger_refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % on % refused', tg_op, tg_table_name
        using errcode = 'restrict_violation', constraint = 'ledger_append_only';
end
$$;

-- Triggers rather than grants: the service's role owns its tables, and an owner can give itself any grant back by accident.
create trigger journal_entry_append_only
    before update or delete or truncate on journal_entry
    for each statement execute function ledger_refuse_change();
create trigger posting_append_only
    before update or delete or truncate on posting
    for each statement execute function ledger_refuse_change();
