-- One day or a range of days: $1 and $2 are the first instant of the first and of the day after the last. A person counts
-- once for each day, however often they were seen in the 30 days that end with it.
with seen as (
    select
        d.day,
        max(a.day) as last_on,
        max(a.day) filter (where a.voice_seconds > 0) as last_voice_on,
        max(a.day) filter (where a.messages > 0) as last_chat_on,
        max(a.day) filter (where a.game_seconds > 0) as last_game_on
    from (
        select day::date
        from generate_series(
            $1::timestamptz::date::timestamp, $2::timestamptz::date::timestamp - interval '1 day', interval '1 day'
        ) as day
    ) as d
    join silver.user_activity as a on a.day > d.day - 30 and a.day <= d.day
    where a.day > $1::timestamptz::date - 30 and a.day < $2::timestamptz::date
    group by d.day, a.person_id
),
counted as (
    select
        day,
        count(*) filter (where last_on = day) as daily_users,
        count(*) filter (where last_on > day - 7) as weekly_users,
        count(*) as monthly_users,
        count(*) filter (where last_voice_on = day) as daily_voice_users,
        count(*) filter (where last_voice_on > day - 7) as weekly_voice_users,
        count(last_voice_on) as monthly_voice_users,
        count(*) filter (where last_chat_on = day) as daily_chat_users,
        count(*) filter (where last_chat_on > day - 7) as weekly_chat_users,
        count(last_chat_on) as monthly_chat_users,
        count(*) filter (where last_game_on = day) as daily_game_users,
        count(*) filter (where last_game_on > day - 7) as weekly_game_users,
        count(last_game_on) as monthly_game_users
    from seen
    group by day
)
select
    *,
    daily_users::double precision / monthly_users as stickiness,
    daily_voice_users::double precision / nullif(monthly_voice_users, 0) as voice_stickiness,
    daily_chat_users::double precision / nullif(monthly_chat_users, 0) as chat_stickiness,
    daily_game_users::double precision / nullif(monthly_game_users, 0) as game_stickiness
from counted
