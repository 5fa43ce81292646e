-- One day or a range of days: $1 and $2 are the first instant of the first and of the day after the last.
select
    day,
    count(*) as users,
    count(*) filter (where voice_seconds > 0) as voice_users,
    count(*) filter (where messages > 0) as chat_users,
    count(*) filter (where game_seconds > 0) as game_users
from silver.user_activity
where day >= $1::timestamptz::date and day < $2::timestamptz::date
group by day
