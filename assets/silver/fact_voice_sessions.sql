-- One day or a range of days: $1 and $2 are the first instant of the first and of the day after the last.
-- For each day, the voice states of the day and of the seven before it become segments, segments become sessions, and
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
    with connected as (
        select at from bronze.discord_connection where at >= d.starts - interval '7 days' and at < d.ends
        union
        select at from bronze.discord_voice_states where at >= d.starts - interval '7 days' and at < d.ends
    ),
    evidence as (
        select at, lag(at) over (order by at) as previous_at, lead(at, 1, d.ends) over (order by at) as next_at
        from connected
    ),
    -- The bot was away, or not heard of again: whoever was in voice is last known to be there at these moments.
    stretch_ends as materialized (
        select at from evidence where next_at - at > interval '15 minutes'
    ),
    -- A complete list was received: who is not on it was last known to be there just before.
    snapshots as materialized (
        select c.guild_id, c.at, e.previous_at
        from bronze.discord_connection as c
        join evidence as e on e.at = c.at
        where c.kind = 'snapshot' and c.at >= d.starts - interval '7 days' and c.at < d.ends
    ),
    states as (
        select
            account_id, guild_id, at, sequence, channel_id, afk,
            lead(at) over following as next_at,
            lead(channel_id) over following as next_channel_id,
            lead(snapshot) over following as next_snapshot,
            (lead(channel_id) over following, lead(afk) over following) is not distinct from (channel_id, afk) as stays
        from bronze.discord_voice_states
        where at >= d.starts - interval '7 days' and at < d.ends and not bot
        window following as (partition by account_id, guild_id order by at, sequence)
    ),
    -- What ends each segment: the next state, a list without the person, or the end of all knowledge; else midnight.
    segments as (
        select
            s.*,
            least(
                case when s.next_snapshot and not s.stays then following.previous_at else s.next_at end,
                absent.previous_at, cut.at, d.ends
            ) as ended_at,
            case
                when cut.at is not null and (absent.previous_at is null or cut.at <= absent.previous_at)
                    then 'last_evidence'
                when absent.previous_at is not null then 'restart'
                when s.next_at is null then 'midnight'
                when s.stays then 'stays'
                when s.next_snapshot then 'restart'
                when s.next_channel_id is null then 'left'
                else 'switched'
            end as end_reason
        from states as s
        left join evidence as following on following.at = s.next_at
        left join lateral (
            select at from stretch_ends where at >= s.at and (s.next_at is null or at < s.next_at) order by at limit 1
        ) as cut on true
        left join lateral (
            select previous_at
            from snapshots
            where guild_id = s.guild_id and at > s.at and (s.next_at is null or at < s.next_at)
            order by at
            limit 1
        ) as absent on true
        where s.channel_id is not null
    ),
    numbered as (
        select *, count(*) filter (where starts) over (partition by account_id, guild_id order by at, sequence) as number
        from (
            select
                *,
                lag(end_reason) over (partition by account_id, guild_id order by at, sequence)
                    is distinct from 'stays' as starts
            from segments
        ) as marked
    ),
    sessions as (
        select
            account_id, guild_id, channel_id, afk,
            min(at) as started_at,
            max(ended_at) as ended_at,
            (array_agg(end_reason order by at desc, sequence desc))[1] as end_reason
        from numbered
        group by account_id, guild_id, channel_id, afk, number
    )
    select
        account_id,
        d.day,
        concat_ws('/', account_id, guild_id, channel_id, floor(extract(epoch from started_at) * 1000)::bigint)
            as session_id,
        guild_id,
        channel_id,
        afk,
        greatest(started_at, d.starts) as started_at,
        ended_at,
        extract(epoch from ended_at - greatest(started_at, d.starts))::bigint as seconds,
        end_reason
    from sessions
    where ended_at > greatest(started_at, d.starts)
) as s
