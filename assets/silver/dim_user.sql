with members as (
    select coalesce(l.person_id, m.account_id) as person_id, m.account_id, m.at, m.change
    from bronze.discord_members as m
    left join silver.account_links as l on l.account_id = m.account_id
    where not m.bot
),
activity as (
    select person_id, min(day) as first_active_on, max(day) as last_active_on
    from silver.user_activity
    group by person_id
),
accounts as (
    select person_id, account_id from silver.account_links
    union
    select person_id, account_id from members
    union
    -- Somebody without links is known by the one account they have.
    select person_id, person_id from activity
)
select
    a.person_id,
    min(substr(a.account_id, 9)) filter (where a.account_id like 'discord:%') as discord_id,
    min(substr(a.account_id, 7)) filter (where a.account_id like 'steam:%') as steamid64,
    min(substr(a.account_id, 5)) filter (where a.account_id like 'irc:%') as irc_nick,
    count(*) as accounts,
    (select min(m.at) from members as m where m.person_id = a.person_id and m.change = 'joined') as member_since,
    min(d.first_active_on) as first_active_on,
    max(d.last_active_on) as last_active_on
from accounts as a
left join activity as d on d.person_id = a.person_id
group by a.person_id
