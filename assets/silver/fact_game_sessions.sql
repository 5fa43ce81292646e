-- Log lines of the day and the one before it become segments, segments become sessions, sessions are cut at the ends of
-- the day. $1 and $2 are the day's first instant and the next day's, $3 is its date.
with events as (
    select
        account_id, at, server, kind, line, reason,
        -- The sign of life that a line also is comes after what the line says.
        lag(at) over (partition by server order by at, line, kind = 'alive') as previous_at
    from bronze.game_log_events
    where at >= $1::timestamptz - interval '1 day' and at < $2::timestamptz
),
last_signs as (
    select server, max(at) as at from events group by server
),
-- What ends everybody's session on a server.
server_ends as (
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
            when $2::timestamptz - l.at <= interval '15 minutes' then $2::timestamptz
            else l.at
        end as ended_at,
        case
            when s.at is not null then s.kind
            when p.next_kind = 'entered' then 'stays'
            when p.next_kind = 'connected' then 'reconnected'
            when p.next_kind = 'disconnected' then coalesce(p.next_reason, 'other')
            when $2::timestamptz - l.at <= interval '15 minutes' then 'midnight'
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
            lag(end_reason) over (partition by account_id, server order by at, line) is distinct from 'stays' as starts
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
    $3::date as day,
    concat_ws('/', account_id, server, floor(extract(epoch from started_at) * 1000)::bigint) as session_id,
    server,
    greatest(started_at, $1::timestamptz) as started_at,
    ended_at,
    extract(epoch from ended_at - greatest(started_at, $1::timestamptz))::bigint as seconds,
    end_reason
from sessions
where ended_at > greatest(started_at, $1::timestamptz)
