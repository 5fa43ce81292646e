-- One day or a range of days: $1 and $2 are the first instant of the first and of the day after the last.
-- For each day, the log lines of the day and of the one before it become segments, segments become sessions, and
-- sessions are cut at the ends of the day.
with days as (
    select day, greatest(starts, $1::timestamptz) as starts, least(ends, $2::timestamptz) as ends
    from (
        select day, midnight as starts, lead(midnight) over (order by day) as ends
        -- Numbers rather than dates: the planner can count them.
        from generate_series(0, $2::timestamptz::date - $1::timestamptz::date) as number
        cross join lateral (
            select $1::timestamptz::date + number as day,
                ($1::timestamptz::date + number)::timestamp at time zone current_setting('timezone') as later
        ) as d
        -- Where a clock is set back across midnight, the day begins with the first of the two.
        cross join lateral (
            select case when (later - interval '1 hour')::date = day then later - interval '1 hour' else later end
                as midnight
        ) as m
    ) as calendar
    where ends is not null
)
select s.*
from days as d
cross join lateral (
    with events as (
        select
            account_id, at, server, kind, line, reason,
            -- The sign of life that a line also is comes after what the line says.
            lag(at) over (partition by server order by at, line, kind = 'alive') as previous_at
        from bronze.game_log_events
        where at >= d.starts - interval '1 day' and at < d.ends
    ),
    -- Where the server was last heard of, or midnight if that was just before it.
    last_signs as (
        select server, at, d.ends - at <= interval '15 minutes' as goes_on
        from (select server, max(at) as at from events group by server) as latest
    ),
    -- What ends everybody's session on a server.
    server_ends as materialized (
        select server, at, line, kind, case when kind = 'log_started' then previous_at else at end as ended_at
        from events
        where kind in ('map_loaded', 'log_started', 'log_closed', 'shutdown')
    ),
    players as (
        select
            account_id, server, at, line, kind,
            lead(at) over following as next_at,
            lead(line) over following as next_line,
            lead(kind) over following as next_kind,
            lead(reason) over following as next_reason
        from events
        where kind in ('connected', 'entered', 'disconnected')
        window following as (partition by account_id, server order by at, line)
    ),
    segments as (
        select
            p.*,
            case
                when s.at is not null then s.ended_at
                when p.next_at is not null then p.next_at
                when l.goes_on then d.ends
                else l.at
            end as ended_at,
            case
                when s.at is not null then s.kind
                when p.next_kind = 'entered' then 'stays'
                when p.next_kind = 'connected' then 'reconnected'
                when p.next_kind = 'disconnected' then coalesce(p.next_reason, 'other')
                when l.goes_on then 'midnight'
                else 'last_evidence'
            end as end_reason
        from players as p
        join last_signs as l on l.server = p.server
        left join lateral (
            select at, kind, ended_at
            from server_ends as e
            where e.server = p.server
                and (e.at, e.line) > (p.at, p.line)
                and (p.next_at is null or (e.at, e.line) < (p.next_at, p.next_line))
            order by at, line
            limit 1
        ) as s on true
        where p.kind in ('connected', 'entered')
    ),
    numbered as (
        select *, count(*) filter (where starts) over (partition by account_id, server order by at, line) as number
        from (
            select
                *,
                lag(end_reason) over (partition by account_id, server order by at, line)
                    is distinct from 'stays' as starts
            from segments
        ) as marked
    ),
    sessions as (
        select
            account_id, server,
            min(at) as started_at,
            max(ended_at) as ended_at,
            (array_agg(end_reason order by at desc, line desc))[1] as end_reason
        from numbered
        group by account_id, server, number
    )
    select
        account_id,
        d.day,
        concat_ws('/', account_id, server, floor(extract(epoch from started_at) * 1000)::bigint) as session_id,
        server,
        greatest(started_at, d.starts) as started_at,
        ended_at,
        extract(epoch from ended_at - greatest(started_at, d.starts))::bigint as seconds,
        end_reason
    from sessions
    where ended_at > greatest(started_at, d.starts)
) as s
