-- Rows that arrive whenever they like: marks left by triggers, and rows that came too late to be taken in unasked.

-- A mark says where rows landed in one of two ways: the partition, or, where only the definitions can say which partition
-- that is, the first and last value of the partition column within a quarter of an hour. The second kind is filed under
-- partitions by whoever knows the definitions, with the same transaction: no answer changes by it.
alter table karat.mark
    alter column partition_key drop not null,
    alter column ordinal drop not null,
    -- rows that went from there
    add column rows_removed bigint not null default 0,
    -- of a `date` column the dates, as midnight in UTC
    add column first_at timestamptz,
    add column last_at timestamptz,
    -- when the first of several marks that became this one was made; marked_at is then the last
    add column first_marked_at timestamptz,
    add constraint mark_place check (
        (ordinal is null) = (partition_key is null)
        and (ordinal is null) = (first_at is not null)
        and (first_at is null) = (last_at is null)),
    -- whoever looks for a stretch of time looks a quarter of an hour further back
    add constraint mark_stretch check (last_at >= first_at and last_at < first_at + interval '15 minutes');

create index mark_unfiled on karat.mark (asset_key, first_at) where ordinal is null;

-- The instant at which triggers say something happened. A simulated clock stands in `karat.clock`; other programs go by
-- the server's.
create function karat.trigger_clock() returns timestamptz
    language sql
    set search_path = pg_catalog, pg_temp
    as $$ select coalesce(nullif(current_setting('karat.clock', true), '')::timestamptz, clock_timestamp()) $$;

-- Who writes: what the session calls itself in `karat.writer`, else its application name, else its user.
create function karat.trigger_writer() returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
    select coalesce(nullif(current_setting('karat.writer', true), ''), nullif(current_setting('application_name'), ''),
                    session_user::text)
$$;

-- Statement trigger on the table of an external asset: marks where rows came and went, whoever the writer is.
--
-- Arguments: the asset's key; `instant`, `date`, `key` or `all`; the partition column. Writers of Karat make their own
-- marks in the same transaction and say so by `karat.marked`. Runs with its owner's rights: who may write the rows need
-- not know this schema.
create function karat.mark_rows() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    place text := case tg_argv[1]
        when 'instant' then format('%I', tg_argv[2])
        when 'date' then format('%I::timestamp at time zone ''UTC''', tg_argv[2])
        when 'key' then format('%I::text', tg_argv[2])
        else '''all''::text'
    end;
    moved text := case tg_op
        when 'INSERT' then format('select %s as place, 1 as came, 0 as went from new_rows', place)
        when 'DELETE' then format('select %s as place, 0 as came, 1 as went from old_rows', place)
        when 'UPDATE' then format('select %1$s as place, 1 as came, 0 as went from new_rows
                                   union all select %1$s, 0, 1 from old_rows', place)
        -- before the rows are gone
        else format('select %s as place, 0 as came, 1 as went from %I.%I', place, tg_table_schema, tg_table_name)
    end;
begin
    if tg_argv[1] in ('instant', 'date') then
        -- Partition boundaries of every zone of this century lie on quarters of an hour. What no calendar date can say
        -- is in no partition.
        execute format(
            'insert into karat.mark (asset_key, first_at, last_at, row_count, rows_removed, writer, marked_at)
             select $1, min(place), max(place), sum(came), sum(went), karat.trigger_writer(), karat.trigger_clock()
             from (%s) moved
             where place >= timestamptz ''0001-01-01 00:00+00'' and place < timestamptz ''9999-12-31 00:00+00''
             group by date_bin(''15 minutes'', place, timestamptz ''2000-01-01 00:00+00'')', moved)
            using tg_argv[0];
    else
        execute format(
            'insert into karat.mark (asset_key, partition_key, ordinal, row_count, rows_removed, writer, marked_at)
             select $1, place, 0, sum(came), sum(went), karat.trigger_writer(), karat.trigger_clock()
             from (%s) moved where place is not null group by place', moved)
            using tg_argv[0];
    end if;
    return null;
end
$$;

-- Rows of external assets that came later than the asset allows: kept out of the table until a person decides.
create table karat.quarantine (
    quarantine_id  bigint generated always as identity primary key,
    asset_key      text not null,
    -- the row, column by column, times in UTC
    row_data       jsonb not null,
    -- the values of its natural key; null where the table has none. The same row is kept once however often it comes.
    row_key        text,
    reason         text not null,
    writer         text not null,
    quarantined_at timestamptz not null,
    -- put into the table after all
    released_at    timestamptz,
    -- refused for good
    discarded_at   timestamptz,
    check (released_at is null or discarded_at is null)
);

create unique index quarantine_row on karat.quarantine (asset_key, md5(row_key))
    where row_key is not null and released_at is null;
create index quarantine_waiting on karat.quarantine (asset_key, quarantine_id)
    where released_at is null and discarded_at is null;

-- A row as JSON that does not depend on the session's zone.
create function karat.row_json(whole anyelement) returns jsonb
    language sql stable
    set timezone = 'UTC'
    as $$ select to_jsonb(whole) $$;

-- The natural key of a row in one text.
create function karat.row_key(row_data jsonb, key_columns text[]) returns text
    language sql immutable
    as $$
    select case when cardinality(key_columns) > 0 then
        (select jsonb_agg(row_data -> name order by position)::text
         from unnest(key_columns) with ordinality as c (name, position))
    end
$$;

-- Row trigger before insertion on the table of an external asset with a limit: rows of partitions that ended longer ago
-- go into quarantine.
--
-- Arguments: the asset's key; the partition column; `instant` or `date`; the cadence as `date_trunc` calls it; the zone;
-- the limit as an interval; the limit in words; the natural key's columns as an array.
create function karat.quarantine_late_row() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
    as $$
declare
    row_data jsonb := to_jsonb(new);
    place text := row_data ->> tg_argv[1];
    limit_at timestamptz := date_trunc(tg_argv[3], karat.trigger_clock() - tg_argv[5]::interval, tg_argv[4]);
    late boolean := case tg_argv[2]
        when 'date' then place::date < (limit_at at time zone tg_argv[4])::date
        else place::timestamptz < limit_at
    end;
begin
    if late is not true then
        return new;
    end if;
    insert into karat.quarantine (asset_key, row_data, row_key, reason, writer, quarantined_at)
    values (tg_argv[0], row_data, karat.row_key(row_data, tg_argv[7]::text[]),
            format('its partition ended more than %s before it came', tg_argv[6]), karat.trigger_writer(),
            karat.trigger_clock())
    on conflict do nothing;
    return null;
end
$$;

-- Whose transaction numbers the marks and snapshots are: one row. A database that was restored on another server finds
-- another number there, and its numbers mean nothing any more.
create table karat.cluster (
    is_present        boolean primary key default true check (is_present),
    system_identifier bigint not null
);
