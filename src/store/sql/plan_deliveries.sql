-- What is to be said about alerts on channel $1 at $2.
with superseded as (
    -- nobody is reminded of what has ended
    delete from karat.alert_delivery d
    using karat.alert a
    where d.channel = $1 and d.state = 'waiting' and d.event = 'reminded'
      and a.alert_id = d.alert_id and a.recovered_at is not null
),
openings as (
    select a.alert_id, 'opened' as event from karat.alert a
    where (a.recovered_at is null or a.recovered_at > $3)
      and not exists (select from karat.alert_delivery d where d.alert_id = a.alert_id and d.channel = $1)
),
recoveries as (
    -- those whose end was not told yet: an alert that had ended when it was announced was announced as ended
    select a.alert_id, 'recovered' from karat.alert a
    where a.recovered_at > $3 - interval '2 days'
      and exists (
          select from karat.alert_delivery d
          where d.alert_id = a.alert_id and d.channel = $1 and d.state = 'delivered'
      )
      and not exists (
          select from karat.alert_delivery d where d.alert_id = a.alert_id and d.channel = $1 and d.told_end
      )
),
reminders as (
    select a.alert_id, 'reminded' from karat.alert a
    where a.recovered_at is null
      and exists (
          select from karat.alert_delivery d
          where d.alert_id = a.alert_id and d.channel = $1 and d.state <> 'waiting'
      )
      and not exists (
          select from karat.alert_delivery d
          where d.alert_id = a.alert_id and d.channel = $1
            and (d.state = 'waiting' or coalesce(d.delivered_at, d.created_at) > $4)
      )
)
insert into karat.alert_delivery (alert_id, channel, event, created_at, next_try_at)
select said.alert_id, $1, said.event, $2, $2
from (select * from openings union all select * from recoveries union all select * from reminders) said
order by said.alert_id
on conflict do nothing
