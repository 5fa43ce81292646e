-- One day or a range of days: $1 and $2 are the first instant of the first and of the day after the last.
-- An instant's date is taken in the zone of the transaction, which is the calendar's; `greatest` keeps the minute in it
-- where a clock was set back across midnight.
with by_account as (
    select
        account_id, greatest(at::date, $1::timestamptz::date) as day,
        count(*) as messages, sum(characters) as characters, 0::bigint as voice_seconds, 0::bigint as game_seconds
    from bronze.discord_messages
    where at >= $1::timestamptz and at < $2::timestamptz and not bot
    group by 1, 2
    union all
    select account_id, greatest(at::date, $1::timestamptz::date), count(*), 0, 0, 0
    from bronze.chat_messages
    where at >= $1::timestamptz and at < $2::timestamptz
    group by 1, 2
    union all
    select account_id, day, 0, 0, sum(seconds)::bigint, 0
    from silver.fact_voice_sessions
    where day >= $1::timestamptz::date and day < $2::timestamptz::date and not afk and seconds > 0
    group by 1, 2
    union all
    select account_id, day, 0, 0, 0, sum(seconds)::bigint
    from silver.fact_game_sessions
    where day >= $1::timestamptz::date and day < $2::timestamptz::date and seconds > 0
    group by 1, 2
)
select
    coalesce(l.person_id, a.account_id) as person_id,
    a.day,
    sum(a.messages)::bigint as messages,
    sum(a.characters)::bigint as characters,
    sum(a.voice_seconds)::bigint as voice_seconds,
    sum(a.game_seconds)::bigint as game_seconds
from by_account as a
left join silver.account_links as l on l.account_id = a.account_id
group by 1, 2
